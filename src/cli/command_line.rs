//! Spellings that vLLM's parser takes and clap does not.

use std::ffi::OsString;

/// Flags with underscores become flags with dashes (`--serve_cmd`), and the simulator's short flags of two
/// letters (`-tp`) their long form, as `vllm serve` takes them.
pub fn normalized(arguments: Vec<OsString>) -> Vec<OsString> {
    let is_sim = arguments.get(1).is_some_and(|command| command == "sim");
    let mut is_open = true;
    arguments
        .into_iter()
        .map(|argument| {
            is_open &= argument != "--";
            match argument.to_str().filter(|_| is_open) {
                Some(text) => normalized_flag(text, is_sim).map_or(argument, OsString::from),
                None => argument,
            }
        })
        .collect()
}

fn normalized_flag(text: &str, is_sim: bool) -> Option<String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, format!("={value}")),
        None => (text, String::new()),
    };
    let long = match name {
        "-tp" if is_sim => "--tensor-parallel-size".to_owned(),
        "-pp" if is_sim => "--pipeline-parallel-size".to_owned(),
        "-dp" if is_sim => "--data-parallel-size".to_owned(),
        name if name.starts_with("--") && !name.contains(char::is_whitespace) => name.replace('_', "-"),
        _ => return None,
    };
    Some(long + &value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let words = normalized(text.split(' ').map(OsString::from).collect());
        words.iter().filter_map(|word| word.to_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn underscores_in_flags_become_dashes_and_values_stay() {
        assert_eq!(words("p serve --serve_cmd a_b --num_runs=3 x_y"), "p serve --serve-cmd a_b --num-runs=3 x_y");
        assert_eq!(words("p query -- --a_b"), "p query -- --a_b");
        assert_eq!(words("p sim m -tp 2 -dp=3"), "p sim m --tensor-parallel-size 2 --data-parallel-size=3");
        assert_eq!(words("p bench -tp"), "p bench -tp");
    }
}
