//! A sweep that several machines write: each its own runs, all of them one manifest.

use super::folder::SweepFolder;
use super::going_on::{OnChange, conditions_after};
use super::kind::SweepState;
use super::layout;
use super::lock::{lock_beside, lock_manifest};
use super::manifest::Manifest;
use super::names::check_name;
use super::writer::SweepWriter;
use crate::plan::Combination;
use crate::store::StoreError;
use chrono::{DateTime, Utc};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;

fn remove_folder_if_there(folder: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io(folder)(error)),
        _ => Ok(()),
    }
}

impl SweepWriter {
    /// Works at a sweep together with other machines: begins it, or joins those that did.
    pub fn join(
        lake: &Path,
        name: &str,
        wanted: Manifest,
        combinations: &[Combination],
        on_change: OnChange,
    ) -> Result<Self, StoreError> {
        check_name(name)?;
        let folder = lake.join(name);
        std::fs::create_dir_all(&folder).map_err(|source| StoreError::Unwritable { path: folder.clone(), source })?;
        let held = lock_manifest(&folder)?;
        let is_there = folder.join(layout::MANIFEST).is_file();
        let wanted = Manifest { is_shared: true, sweep: name.to_owned(), state: SweepState::Running, ..wanted };
        // The machine that began it is the sweep's; each run tells its own.
        let (mut at, begun_on, is_settled) = match is_there {
            false => {
                let own = wanted.environment.clone();
                (SweepFolder::of(folder, wanted), own, false)
            }
            true => {
                let stored = Manifest::read(&folder)?;
                if !stored.is_shared {
                    return Err(StoreError::NotShared { path: folder });
                }
                let measured_under = conditions_after(&folder, &stored, &wanted, on_change)?;
                let is_settled = stored.state != SweepState::Running;
                if is_settled {
                    // Nobody works at it. What is missing, or has failed, is anybody's again.
                    remove_folder_if_there(&folder.join(layout::CLAIMS))?;
                }
                let begun_on = stored.environment.clone();
                let (environment, state) = (wanted.environment, SweepState::Running);
                let manifest = Manifest { measured_under, environment, state, ..stored };
                (SweepFolder::of(folder, manifest), begun_on, is_settled)
            }
        };
        combinations.iter().for_each(|combination| at.add(combination));
        Manifest { environment: begun_on, ..at.manifest.clone() }.write(&at.folder)?;
        drop(held);
        // It shows that somebody is at work.
        let lock = Some(lock_beside(&at.folder)?);
        Ok(Self { at, answered: HashSet::new(), is_settled, _lock: lock })
    }

    /// Changes the manifest, and what is stored of it. Where others write it, too, it is theirs until then.
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut Manifest) -> T) -> Result<T, StoreError> {
        if !self.at.manifest.is_shared {
            let changed = change(&mut self.at.manifest);
            self.at.manifest.write(&self.at.folder)?;
            return Ok(changed);
        }
        let _held = lock_manifest(&self.at.folder)?;
        let stored = self.learn()?;
        let changed = change(&mut self.at.manifest);
        Manifest { environment: stored.environment, ..self.at.manifest.clone() }.write(&self.at.folder)?;
        Ok(changed)
    }

    /// Reads what others wrote into the manifest.
    fn learn(&mut self) -> Result<Manifest, StoreError> {
        let stored = Manifest::read(&self.at.folder)?;
        self.at.learn(&stored);
        self.at.manifest.server_starts = self.at.manifest.server_starts.max(stored.server_starts);
        self.at.manifest.state = stored.state;
        Ok(stored)
    }

    /// Ends a sweep for all that worked at it: whoever is last. Its state is that of all runs.
    pub fn finish_shared(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.refresh()?;
        if self.at.manifest.state != SweepState::Running && self.is_settled {
            return Ok(());
        }
        self.settle()?;
        let state = if self.at.manifest.failed > 0 { SweepState::Failed } else { SweepState::Completed };
        let settled = (self.at.manifest.runs, self.at.manifest.failed, self.at.manifest.checksums.clone());
        self.change(|manifest| {
            (manifest.runs, manifest.failed, manifest.checksums) = settled;
            manifest.state = state;
            manifest.finished_at = Some(now);
        })
    }

    /// Whether the tables of the whole sweep hold all that was made here.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Whether the sweep has ended with runs that failed.
    pub fn has_failed(&self) -> bool {
        self.at.manifest.state == SweepState::Failed
    }

    /// Learns what others did since.
    pub fn refresh(&mut self) -> Result<(), StoreError> {
        let _held = lock_manifest(&self.at.folder)?;
        self.learn().map(|_| ())
    }
}
