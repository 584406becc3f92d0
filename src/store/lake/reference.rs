//! Sweeps by the names that people give them: a path, a name in the lake, a tag, `latest`, `latest~2`, `@2026-11-01`, `last-month`.

use super::discover::find_sweeps;
use crate::files::is_inside;
use crate::store::StoreError;
use crate::store::file::write_bytes_atomically;
use crate::store::sweep::{Manifest, SweepState, foreign_start};
use chrono::{DateTime, Days, Local, Months, NaiveDate, Utc};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a lake keeps its tags: an object of tag to the sweep's folder, relative to the lake.
const TAGS: &str = "tags.json";

/// Finds the sweep that a text names.
pub fn resolve(reference: &str, lake: &Path) -> Result<PathBuf, StoreError> {
    let tags = known_tags(lake)?;
    if let Some(folder) = tagged(&tags, lake, reference)? {
        return Ok(folder);
    }
    if let Some(wanted) = Wanted::parse(reference) {
        return wanted.find(lake, reference);
    }
    let candidates = [PathBuf::from(reference), lake.join(reference)];
    if let Some(folder) = candidates.into_iter().find(|path| path.is_dir()) {
        return Ok(folder);
    }
    // A tag of another lake, by its path; and a sweep that lies deeper, by the name that `list` shows.
    let path = Path::new(reference);
    if let (Some(other), Some(name)) = (path.parent().filter(|other| other.is_dir()), path.file_name())
        && let Some(folder) = tagged(&known_tags(other)?, other, &name.to_string_lossy())?
    {
        return Ok(folder);
    }
    let found = find_sweeps(&[lake.to_owned()]);
    let named =
        found.ok().and_then(|found| Some(found.all().iter().find(|sweep| sweep.name == reference)?.folder.clone()));
    named.ok_or_else(|| StoreError::NoSuchSweep {
        reference: reference.into(),
        lake: lake.into(),
        tags: tags.into_keys().collect(),
    })
}

/// The sweep that a tag names, which must still be there.
fn tagged(tags: &BTreeMap<String, String>, lake: &Path, name: &str) -> Result<Option<PathBuf>, StoreError> {
    let Some(folder) = tags.get(name).map(|folder| lake.join(folder)) else { return Ok(None) };
    match folder.is_dir() {
        true => Ok(Some(folder)),
        false => Err(StoreError::TagOfNothing { tag: name.into(), folder, tags: lake.join(TAGS) }),
    }
}

/// The lake that a sweep lies in.
pub fn lake_of(sweep: &Path) -> Result<PathBuf, StoreError> {
    let folder = sweep.canonicalize().map_err(StoreError::io(sweep))?;
    Ok(folder.parent().unwrap_or(&folder).to_owned())
}

/// Gives a sweep a name of its own in the lake. A tag that is there already moves.
pub fn tag(lake: &Path, sweep: &Path, name: &str) -> Result<(), StoreError> {
    if name.is_empty() || name.contains(['/', '~', '*', '?']) || Wanted::parse(name).is_some() {
        return Err(StoreError::BadTag { name: name.into() });
    }
    let absolute = |path: &Path| path.canonicalize().map_err(StoreError::io(path));
    let (lake_path, sweep_path) = (absolute(lake)?, absolute(sweep)?);
    let Ok(folder) = sweep_path.strip_prefix(&lake_path) else {
        return Err(StoreError::NotInLake { sweep: sweep.into(), lake: lake.into() });
    };
    let folder = folder.to_string_lossy().into_owned();
    let mut tags = known_tags(lake)?;
    tags.insert(name.to_owned(), folder);
    write_tags(lake, &tags)
}

/// Makes the tags of a sweep those of another folder of the lake, or takes them away.
pub fn move_tags(lake: &Path, from: &str, to: Option<&str>) -> Result<(), StoreError> {
    let mut tags = known_tags(lake)?;
    let before = tags.clone();
    match to {
        Some(to) => tags.values_mut().filter(|folder| *folder == from).for_each(|folder| *folder = to.to_owned()),
        None => tags.retain(|_, folder| folder != from),
    }
    if tags == before { Ok(()) } else { write_tags(lake, &tags) }
}

fn write_tags(lake: &Path, tags: &BTreeMap<String, String>) -> Result<(), StoreError> {
    let path = lake.join(TAGS);
    let text = serde_json::to_string_pretty(tags).map_err(StoreError::data(&path))?;
    write_bytes_atomically(&path, (text + "\n").as_bytes())
}

/// The tags of a lake, and the folders that they stand for.
pub fn known_tags(lake: &Path) -> Result<BTreeMap<String, String>, StoreError> {
    let path = lake.join(TAGS);
    match crate::files::text(&path, crate::files::Links::Refuse) {
        Ok(text) => {
            let tags: BTreeMap<String, String> = serde_json::from_str(&text).map_err(StoreError::data(&path))?;
            match tags.values().find(|folder| !is_inside(folder)) {
                Some(folder) => Err(StoreError::Outside { path, folder: folder.clone() }),
                None => Ok(tags),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(StoreError::io(&path)(error)),
    }
}

/// Sweeps by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    which: Which,
    /// How many sweeps before the newest of them.
    age: usize,
    /// On this day or before it.
    until: Option<NaiveDate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// Those that ended well.
    Complete,
    Any,
}

impl Wanted {
    fn parse(reference: &str) -> Option<Self> {
        let complete = |age, until| Some(Self { which: Which::Complete, age, until });
        let today = Local::now().date_naive();
        match reference {
            "yesterday" => return complete(0, today.checked_sub_days(Days::new(1))),
            "last-week" => return complete(0, today.checked_sub_days(Days::new(7))),
            "last-month" => return complete(0, today.checked_sub_months(Months::new(1))),
            _ => {}
        }
        if let Some(date) = reference.strip_prefix('@') {
            return complete(0, Some(date.parse().ok()?));
        }
        let rest = reference.strip_prefix("latest")?;
        let (which, rest) = match rest.strip_prefix("-any") {
            Some(rest) => (Which::Any, rest),
            None => (Which::Complete, rest),
        };
        let age = if rest.is_empty() { 0 } else { rest.strip_prefix('~')?.parse().ok()? };
        Some(Self { which, age, until: None })
    }

    fn find(self, lake: &Path, reference: &str) -> Result<PathBuf, StoreError> {
        let sweeps = by_time(lake, self.which)?;
        let is_in_time = |sweep: &&(DateTime<Utc>, PathBuf)| {
            self.until.is_none_or(|until| sweep.0.with_timezone(&Local).date_naive() <= until)
        };
        let in_time: Vec<&PathBuf> = sweeps.iter().filter(is_in_time).map(|(_, folder)| folder).collect();
        in_time.get(self.age).map(|folder| (*folder).clone()).ok_or_else(|| StoreError::TooOld {
            reference: reference.into(),
            lake: lake.into(),
            count: in_time.len(),
        })
    }
}

/// The sweeps of a lake, the newest first.
fn by_time(lake: &Path, which: Which) -> Result<Vec<(DateTime<Utc>, PathBuf)>, StoreError> {
    let mut sweeps = Vec::new();
    for sweep in find_sweeps(&[lake.to_owned()])?.all() {
        let began = match sweep.manifest()? {
            Some(manifest) => Some(manifest.started_at),
            None => foreign_start(&sweep.folder),
        };
        if let Some(began) = began
            && (which == Which::Any || sweep.state()? == SweepState::Completed)
        {
            sweeps.push((began, sweep.folder.clone()));
        }
    }
    sweeps.sort_by_key(|(started_at, _)| std::cmp::Reverse(*started_at));
    Ok(sweeps)
}

/// The sweeps that a text names: one, or all of a lake whose names or tags match a pattern with `*` and `?`, the oldest first.
pub fn resolve_all(reference: &str, lake: &Path) -> Result<Vec<PathBuf>, StoreError> {
    if !reference.contains(['*', '?']) {
        return resolve(reference, lake).map(|folder| vec![folder]);
    }
    let tags = known_tags(lake)?;
    let tagged: Vec<PathBuf> =
        tags.iter().filter(|(tag, _)| matches(reference, tag)).map(|(_, folder)| lake.join(folder)).collect();
    let found = find_sweeps(&[lake.to_owned()])?;
    let mut sweeps: Vec<(Option<DateTime<Utc>>, PathBuf)> = Vec::new();
    for sweep in found.all().iter().filter(|sweep| matches(reference, &sweep.name) || tagged.contains(&sweep.folder)) {
        let began = sweep.manifest()?.map(|manifest| manifest.started_at).or_else(|| foreign_start(&sweep.folder));
        sweeps.push((began, sweep.folder.clone()));
    }
    sweeps.sort();
    match sweeps.is_empty() {
        true => Err(StoreError::NoSuchSweep {
            reference: reference.into(),
            lake: lake.into(),
            tags: tags.into_keys().collect(),
        }),
        false => Ok(sweeps.into_iter().map(|(_, folder)| folder).collect()),
    }
}

/// The complete sweeps of a lake that began before a sweep, the oldest first.
pub fn before(sweep: &Path, lake: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let started_at = Manifest::read(sweep)?.started_at;
    let earlier = by_time(lake, Which::Complete)?.into_iter().filter(|(time, _)| *time < started_at);
    let mut earlier: Vec<PathBuf> = earlier.map(|(_, folder)| folder).collect();
    earlier.reverse();
    Ok(earlier)
}

/// Whether a name has the form of a pattern: `*` stands for any text, `?` for any letter.
fn matches(pattern: &str, name: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = letters.as_str();
            (0..=name.len()).filter_map(|at| name.get(at..)).any(|behind| matches(rest, behind))
        }
        Some(letter) => {
            let mut other = name.chars();
            other.next().is_some_and(|own| letter == '?' || letter == own) && matches(letters.as_str(), other.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_times_are_read() {
        assert!(matches("nightly*", "nightly-3") && matches("*", "") && matches("a?c*e", "abcdde"));
        assert!(!matches("nightly*", "a-nightly") && !matches("a?c", "ac"));
        let wanted = |text: &str| Wanted::parse(text);
        assert_eq!(wanted("latest-any~2"), Some(Wanted { which: Which::Any, age: 2, until: None }));
        assert_eq!(wanted("latest~1").map(|wanted| (wanted.which, wanted.age)), Some((Which::Complete, 1)));
        assert_eq!(wanted("@2026-11-01").and_then(|wanted| wanted.until), NaiveDate::from_ymd_opt(2026, 11, 1));
        assert_eq!([wanted("latestx"), wanted("@noon"), wanted("nightly")], [None; 3]);
    }
}
