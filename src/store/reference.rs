//! Sweeps by the names that people give them: a path, a name in the lake, a tag, `latest`, `latest~2`.

use super::{StoreError, find_sweeps, write_bytes_atomically};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a lake keeps its tags: an object of tag to the sweep's folder, relative to the lake.
const TAGS: &str = "tags.json";

/// Finds the sweep that a text names.
pub fn resolve(reference: &str, lake: &Path) -> Result<PathBuf, StoreError> {
    let tags = read_tags(lake)?;
    if let Some(folder) = tagged(&tags, lake, reference)? {
        return Ok(folder);
    }
    if let Some(age) = age_of(reference) {
        return latest(lake, age, reference);
    }
    let candidates = [PathBuf::from(reference), lake.join(reference)];
    if let Some(folder) = candidates.into_iter().find(|path| path.is_dir()) {
        return Ok(folder);
    }
    // A tag of another lake, by its path; and a sweep that lies deeper, by the name that `list` shows.
    let path = Path::new(reference);
    if let (Some(other), Some(name)) = (path.parent().filter(|other| other.is_dir()), path.file_name())
        && let Some(folder) = tagged(&read_tags(other)?, other, &name.to_string_lossy())?
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
    if name.is_empty() || name.contains(['/', '~']) || age_of(name).is_some() {
        return Err(StoreError::BadTag { name: name.into() });
    }
    let absolute = |path: &Path| path.canonicalize().map_err(StoreError::io(path));
    let (lake_path, sweep_path) = (absolute(lake)?, absolute(sweep)?);
    let Ok(folder) = sweep_path.strip_prefix(&lake_path) else {
        return Err(StoreError::NotInLake { sweep: sweep.into(), lake: lake.into() });
    };
    let folder = folder.to_string_lossy().into_owned();
    let mut tags = read_tags(lake)?;
    tags.insert(name.to_owned(), folder);
    let path = lake.join(TAGS);
    let text = serde_json::to_string_pretty(&tags).map_err(StoreError::data(&path))?;
    write_bytes_atomically(&path, (text + "\n").as_bytes())
}

fn read_tags(lake: &Path) -> Result<BTreeMap<String, String>, StoreError> {
    let path = lake.join(TAGS);
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map_err(StoreError::data(&path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(StoreError::io(&path)(error)),
    }
}

/// How many sweeps before the newest: 0 of `latest`, 2 of `latest~2`.
fn age_of(reference: &str) -> Option<usize> {
    match reference.strip_prefix("latest")? {
        "" => Some(0),
        age => age.strip_prefix('~')?.parse().ok(),
    }
}

fn latest(lake: &Path, age: usize, reference: &str) -> Result<PathBuf, StoreError> {
    let found = find_sweeps(&[lake.to_owned()])?;
    let mut sweeps = Vec::new();
    for sweep in found.all() {
        if let Some(manifest) = sweep.manifest()? {
            sweeps.push((manifest.started_at, sweep.folder.clone()));
        }
    }
    sweeps.sort_by_key(|(started_at, _)| std::cmp::Reverse(*started_at));
    let count = sweeps.len();
    let found = sweeps.into_iter().nth(age).map(|(_, folder)| folder);
    found.ok_or_else(|| StoreError::TooOld { reference: reference.into(), lake: lake.into(), count })
}
