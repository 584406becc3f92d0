//! The line as far as it is typed.

use crate::store::find_sweeps;
use std::path::PathBuf;

/// Where a lake lies unless the line says otherwise.
const USUAL: &str = "results";

/// The words of the line, without the program's name.
fn words() -> Vec<String> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(2);
    words.filter_map(|word| word.into_string().ok()).collect()
}

/// The lake that `--lake` names.
pub fn lake() -> PathBuf {
    let words = words();
    let apart =
        words.iter().zip(words.iter().skip(1)).find(|(flag, _)| *flag == "--lake").map(|(_, lake)| lake.as_str());
    let joined = words.iter().find_map(|word| word.strip_prefix("--lake="));
    apart.or(joined).unwrap_or(USUAL).into()
}

/// The sweeps and lakes among the words.
pub fn places() -> Vec<PathBuf> {
    let has_sweeps = |path: &PathBuf| path.is_dir() && find_sweeps(std::slice::from_ref(path)).is_ok();
    let named: Vec<PathBuf> = words().into_iter().skip(1).map(PathBuf::from).filter(has_sweeps).collect();
    if named.is_empty() { vec![lake()] } else { named }
}
