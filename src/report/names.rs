//! Names of combinations, without what all of them share.

/// The parameters in the names that all of them share, and the names without those. Where a name would have nothing left, all
/// stay as they are.
pub fn told_apart(names: &[&str]) -> (Vec<String>, Option<String>) {
    let whole = || names.iter().map(|name| (*name).to_owned()).collect();
    let Some(first) = names.first().filter(|first| names.iter().any(|name| name != *first)) else {
        return (whole(), None);
    };
    let all: Vec<Vec<String>> = names.iter().map(|name| parameters(name)).collect();
    let common: Vec<String> =
        parameters(first).into_iter().filter(|parameter| all.iter().all(|own| own.contains(parameter))).collect();
    let own = |own: &Vec<String>| {
        own.iter().filter(|parameter| !common.contains(parameter)).cloned().collect::<Vec<_>>().join(" ")
    };
    let short: Vec<String> = all.iter().map(own).collect();
    match common.is_empty() || short.iter().any(String::is_empty) {
        true => (whole(), None),
        false => (short, Some(common.join(" "))),
    }
}

/// `a=1`, `b=two words` of `a=1 · b=two words`.
fn parameters(name: &str) -> Vec<String> {
    let mut parameters: Vec<String> = Vec::new();
    for word in name.split(' ').filter(|word| *word != "·") {
        match parameters.last_mut() {
            Some(last) if !word.contains('=') => *last = format!("{last} {word}"),
            _ => parameters.push(word.to_owned()),
        }
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::told_apart;

    #[test]
    fn names_lose_what_all_of_them_share() {
        let (names, common) = told_apart(&["a=1 b=2 · c=3", "a=1 b=4 · c=5"]);
        assert_eq!((names, common.as_deref()), (vec!["b=2 c=3".into(), "b=4 c=5".into()], Some("a=1")));
        let (names, common) = told_apart(&["a=1", "a=1 · c=5"]);
        assert_eq!((names, common), (vec!["a=1".to_owned(), "a=1 · c=5".into()], None));
        assert_eq!(told_apart(&["a=1", "a=1"]), (vec!["a=1".into(), "a=1".into()], None));
    }

    #[test]
    fn a_value_of_several_words_stays_whole() {
        let (names, common) = told_apart(&["a=fast run b=1", "a=fast walk b=1"]);
        assert_eq!((names, common.as_deref()), (vec!["a=fast run".into(), "a=fast walk".into()], Some("b=1")));
    }
}
