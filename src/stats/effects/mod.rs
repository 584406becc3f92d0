//! What each parameter does to a metric, the others held alike: least squares on logarithms, which an unbalanced design does not mislead.
//!
//! Means over all combinations with a value would credit a parameter with whatever it was run together with. Here each level is an
//! estimated marginal mean (Searle, Speed and Milliken 1980, <https://doi.org/10.1080/00031305.1980.10483031>), each parameter is tested
//! against the model without it, and the share that it explains is omega squared (Hays 1963): that of noise is taken off.

mod design;
mod fit;

use design::{Design, Term};
use fit::Fit;
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

/// A combination: the logarithm of its metric, and what was set.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    pub log: f64,
    /// Name and value of each parameter; one that is missing was not set.
    pub settings: Vec<(String, String)>,
}

/// How much repeats of a combination scatter: the variance of a mean, and its degrees of freedom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    pub variance: f64,
    pub degrees: f64,
}

/// A parameter, several that always change together, or what two do beyond each alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Joined by commas where nobody can tell them apart, by `×` where it is an interaction.
    pub parameter: String,
    /// Of the metric's variance, that of noise taken off; nothing where it can't be told.
    pub share: Option<f64>,
    /// That there is nothing.
    pub p_value: Option<f64>,
    pub levels: Vec<Level>,
    /// Parameters from which it can't be told apart.
    pub inseparable: Vec<String>,
}

/// A value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    pub value: String,
    pub combinations: usize,
    /// Of the metric, the other parameters held alike; nothing where the data can't say.
    pub mean: Option<f64>,
    /// As a change from the mean of all levels, and its 95 % interval.
    pub change: Option<f64>,
    pub interval: Option<(f64, f64)>,
}

/// Interactions are looked for among so many parameters, the strongest.
const MOST_INTERACTING: usize = 6;
/// An interaction is worth a word from this share on.
const LARGE: f64 = 0.02;
/// What is said of an interaction is luck this often, over all pairs.
const LUCK: f64 = 0.01;

/// The parameters that vary, the strongest first, and then the interactions that are large. `noise`: for where the combinations leave
/// nothing to tell it by.
pub fn effects(observations: &[Observation], noise: Option<Noise>) -> Vec<Effect> {
    let design = Design::of(observations);
    let terms: Vec<Term> = design.parameters().map(Term::Main).collect();
    let Some(full) = Fit::of(&design, &terms) else { return Vec::new() };
    let error = full.noise().or(noise);
    let found: Vec<Effect> = terms.iter().map(|term| main_effect(&design, &terms, *term, &full, error)).collect();
    let mut order: Vec<usize> = (0..found.len()).collect();
    let strength = |index: usize| found[index].share.unwrap_or(-1.0);
    order.sort_by(|left, right| strength(*right).total_cmp(&strength(*left)));
    let interactions = interactions(&design, &terms, &order, &full, noise);
    order.iter().map(|index| found[*index].clone()).chain(interactions).collect()
}

fn main_effect(design: &Design, terms: &[Term], term: Term, full: &Fit, error: Option<Noise>) -> Effect {
    let Term::Main(parameter) = term else { unreachable!("main effects are those of one parameter") };
    let without = |left_out: &[Term]| {
        let kept: Vec<Term> = terms.iter().filter(|term| !left_out.contains(term)).copied().collect();
        Fit::of(design, &kept)
    };
    let reduced = without(&[term]);
    let gained = reduced.as_ref().map_or(0, |reduced| full.rank - reduced.rank);
    let inseparable = match gained {
        0 => terms
            .iter()
            .filter(|other| **other != term)
            .filter(|other| {
                let (neither, alone) = (without(&[term, **other]), without(&[**other]));
                neither.zip(alone).is_some_and(|(neither, alone)| alone.rank > neither.rank)
            })
            .map(|other| design.name(*other))
            .collect(),
        _ => Vec::new(),
    };
    let tested = reduced.filter(|_| gained > 0).and_then(|reduced| test(full, &reduced, error));
    Effect {
        parameter: design.name(term),
        share: tested.map(|(share, _)| share),
        p_value: tested.map(|(_, p_value)| p_value),
        levels: (0..design.levels(parameter).len())
            .map(|level| level_of(design, full, parameter, level, error))
            .collect(),
        inseparable,
    }
}

fn level_of(design: &Design, full: &Fit, parameter: usize, level: usize, error: Option<Noise>) -> Level {
    let (value, combinations) = &design.levels(parameter)[level];
    let mean = full.estimate(&design.marginal_mean(full.terms(), parameter, level), error);
    let change = full.estimate(&design.contrast(full.terms(), parameter, level), error);
    Level {
        value: value.clone(),
        combinations: *combinations,
        mean: mean.map(|(log, _)| log.exp()),
        change: change.map(|(log, _)| log.exp_m1()),
        interval: change.and_then(|(log, half)| half.map(|half| ((log - half).exp_m1(), (log + half).exp_m1()))),
    }
}

/// The share of the variance that the terms in which two models differ explain, and the p-value of their F-test. Nothing where
/// there is no noise to compare with.
fn test(full: &Fit, reduced: &Fit, error: Option<Noise>) -> Option<(f64, f64)> {
    let degrees = (full.rank - reduced.rank) as f64;
    let error = error?;
    let explained = (reduced.residual - full.residual).max(0.0);
    let share = ((explained - degrees * error.variance) / (full.total + error.variance)).clamp(0.0, 1.0);
    let f = explained / degrees / error.variance;
    let p_value = match f.is_finite() {
        true => FisherSnedecor::new(degrees, error.degrees).ok()?.sf(f),
        // Without any noise whatever differs does so for sure.
        false => f64::from(u8::from(explained == 0.0)),
    };
    Some((if full.total > 0.0 { share } else { 0.0 }, p_value))
}

fn interactions(design: &Design, terms: &[Term], order: &[usize], full: &Fit, noise: Option<Noise>) -> Vec<Effect> {
    let strongest = &order[..order.len().min(MOST_INTERACTING)];
    let pairs: Vec<Term> = strongest
        .iter()
        .enumerate()
        .flat_map(|(place, left)| strongest[place + 1..].iter().map(move |right| Term::Pair(*left, *right)))
        .collect();
    let of = |pair: &Term| {
        let with = Fit::of(design, &[terms, &[*pair]].concat()).filter(|with| with.rank > full.rank)?;
        let (share, p_value) = test(&with, full, with.noise().or(noise))?;
        let is_said = share >= LARGE && p_value * pairs.len() as f64 <= LUCK;
        is_said.then(|| Effect {
            parameter: design.name(*pair),
            share: Some(share),
            p_value: Some(p_value),
            levels: Vec::new(),
            inseparable: Vec::new(),
        })
    };
    let mut found: Vec<Effect> = pairs.iter().filter_map(of).collect();
    found.sort_by(|left, right| right.share.unwrap_or(0.0).total_cmp(&left.share.unwrap_or(0.0)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::prelude::*;
    use rand_distr::{Distribution, StandardNormal};

    /// Combinations with the metric that a rule gives them.
    fn run(settings: &[&[(&str, i64)]], rule: impl Fn(&dyn Fn(&str) -> f64) -> f64) -> Vec<Observation> {
        let of = |set: &&[(&str, i64)]| {
            let get = |name: &str| set.iter().find(|(other, _)| *other == name).map_or(0.0, |(_, value)| *value as f64);
            let settings = set.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
            Observation { log: rule(&get).ln(), settings }
        };
        settings.iter().map(of).collect()
    }

    fn grid(of: &[(&'static str, &[i64])]) -> Vec<Vec<(&'static str, i64)>> {
        of.iter().fold(vec![Vec::new()], |sets, (name, values)| {
            sets.iter()
                .flat_map(|set| values.iter().map(move |value| [&set[..], &[(*name, *value)]].concat()))
                .collect()
        })
    }

    fn observations(sets: &[Vec<(&str, i64)>], rule: impl Fn(&dyn Fn(&str) -> f64) -> f64) -> Vec<Observation> {
        run(&sets.iter().map(Vec::as_slice).collect::<Vec<_>>(), rule)
    }

    fn ratio(effect: &Effect, from: &str, to: &str) -> f64 {
        let at = |value: &str| 1.0 + effect.levels.iter().find(|level| level.value == value).unwrap().change.unwrap();
        at(to) / at(from)
    }

    fn named<'a>(effects: &'a [Effect], name: &str) -> &'a Effect {
        effects.iter().find(|effect| effect.parameter == name).unwrap_or_else(|| panic!("{name}: {effects:?}"))
    }

    #[test]
    fn a_setting_that_was_run_with_one_value_of_another_is_judged_at_that_value() {
        // 8 was run with TP 1 only; TP 2 is 1.8 times as fast; 64 is 1.37 times as fast as 8 at equal TP.
        let sets = [[("seqs", 8), ("tp", 1)], [("seqs", 64), ("tp", 1)], [("seqs", 64), ("tp", 2)]];
        let sets: Vec<Vec<_>> =
            sets.iter().flat_map(|set| [1, 4, 16].map(|load| [&set[..], &[("load", load)]].concat())).collect();
        let rule = |get: &dyn Fn(&str) -> f64| {
            let seqs = if get("seqs") == 64.0 { 1.37 } else { 1.0 };
            100.0 * seqs * get("tp").powf(1.8f64.log2()) * get("load").powf(0.7)
        };
        let found = effects(&observations(&sets, rule), None);
        assert!((ratio(named(&found, "seqs"), "8", "64") - 1.37).abs() < 1e-9);
        assert!((ratio(named(&found, "tp"), "1", "2") - 1.8).abs() < 1e-9);
        assert!((ratio(named(&found, "load"), "1", "16") - 16f64.powf(0.7)).abs() < 1e-6);
    }

    #[test]
    fn a_setting_that_was_measured_at_low_loads_only_is_not_blamed_for_them() {
        let mut sets = grid(&[("seqs", &[16, 32]), ("load", &[1, 4, 16, 64])]);
        // It ran out of memory at high loads.
        sets.retain(|set| !(set[0].1 == 32 && set[1].1 > 4));
        let rule = |get: &dyn Fn(&str) -> f64| if get("seqs") == 32.0 { 1.1 } else { 1.0 } * get("load").powf(0.5);
        let found = effects(&observations(&sets, rule), None);
        assert!((ratio(named(&found, "seqs"), "16", "32") - 1.1).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn what_always_changes_together_is_named_together() {
        let sets: Vec<Vec<_>> = grid(&[("a", &[1, 2, 3]), ("c", &[1, 2])])
            .into_iter()
            .map(|set| [&set[..], &[("b", 10 * set[0].1)]].concat())
            .collect();
        let found = effects(&observations(&sets, |get| get("a") + 0.1 * get("c")), None);
        let names: Vec<&str> = found.iter().map(|effect| effect.parameter.as_str()).collect();
        assert_eq!(names, ["a, b", "c"]);
        assert_eq!(found[0].levels[2].value, "3, 30");
        // Also where one falls while the other rises.
        let sets = [[1, 30], [2, 20], [3, 10], [1, 30]].map(|[a, b]| vec![("a", a), ("b", b)]);
        let found = effects(&observations(&sets, |get| get("a")), None);
        assert_eq!((found[0].parameter.as_str(), found[0].levels[2].value.as_str()), ("a, b", "3, 10"));
        // A value of `sum` says what a and b are: without it, each is something of its own.
        let sets = [[0, 0], [0, 1], [1, 0], [1, 1], [0, 1], [1, 0]];
        let sets: Vec<Vec<_>> = sets.iter().map(|[a, b]| vec![("a", *a), ("b", *b), ("sum", a + 2 * b)]).collect();
        let found = effects(&observations(&sets, |get| 1.0 + get("a")), None);
        assert_eq!(named(&found, "a").inseparable, ["sum"]);
        assert_eq!(named(&found, "a").share, None);
        assert_eq!(named(&found, "b").inseparable, ["sum"]);
        assert!(named(&found, "a").levels.iter().all(|level| level.change.is_none()));
    }

    #[test]
    fn noise_explains_nothing() {
        let sets = grid(&[("a", &[1, 2, 3]), ("b", &[1, 2, 3, 4]), ("c", &[1, 2])]);
        let (mut shares, mut said, mut held, mut levels) = (Vec::new(), 0, 0, 0);
        for seed in 0..400 {
            let mut random = StdRng::seed_from_u64(seed);
            let noise: Vec<f64> = sets.iter().map(|_| StandardNormal.sample(&mut random)).collect();
            let mut observations = observations(&sets, |_| 1.0);
            observations.iter_mut().zip(&noise).for_each(|(one, noise): (_, &f64)| one.log = 0.03 * noise);
            let found = effects(&observations, None);
            let first = named(&found, "b");
            shares.push(first.share.unwrap());
            said += usize::from(first.p_value.unwrap() < 0.05);
            assert!(found.iter().filter(|effect| effect.parameter.contains('×')).count() <= 3);
            for level in &first.levels {
                let (low, high) = level.interval.unwrap();
                held += usize::from(low <= 0.0 && 0.0 <= high);
                levels += 1;
            }
        }
        // Eta squared would say 3 / 23 on average.
        assert!(crate::stats::mean(&shares) < 0.06, "{}", crate::stats::mean(&shares));
        assert!((8..35).contains(&said), "{said} of 400 at 5 %");
        let coverage = held as f64 / levels as f64;
        assert!((0.93..0.97).contains(&coverage), "{coverage}");
    }

    #[test]
    fn an_interaction_is_found_and_only_there() {
        let sets = grid(&[("seqs", &[8, 64]), ("load", &[1, 8, 64]), ("other", &[1, 2])]);
        // More sequences help only where there is load.
        let rule = |get: &dyn Fn(&str) -> f64| get("load").min(get("seqs")) * (1.0 + 0.001 * get("other"));
        let found = effects(&observations(&sets, rule), None);
        let interactions: Vec<&str> =
            found.iter().map(|effect| effect.parameter.as_str()).filter(|name| name.contains('×')).collect();
        assert_eq!(interactions, ["load × seqs"]);
    }

    #[test]
    fn shares_agree_with_the_textbook() {
        // A balanced one-way layout, by hand.
        let values = [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [5.0, 6.0, 7.0]];
        let mut rows = Vec::new();
        for (level, values) in values.iter().enumerate() {
            for value in values {
                rows.push(Observation { log: *value, settings: vec![("a".into(), level.to_string())] });
            }
        }
        let found = effects(&rows, None);
        // Between: 3 * (1.667² + 0.667² + 2.333²) = 26, within: 6 over 6 degrees; omega squared: (26 - 2 * 1) / (32 + 1).
        assert!((found[0].share.unwrap() - 24.0 / 33.0).abs() < 1e-9, "{found:?}");
        // F(2, 6) = 13.
        assert!((found[0].p_value.unwrap() - 0.006_591_8).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn without_anything_left_over_repeats_tell_the_noise() {
        let sets = grid(&[("a", &[1, 2])]);
        let observations = observations(&sets, |get| get("a"));
        assert_eq!(effects(&observations, None)[0].p_value, None);
        let noise = Noise { variance: 0.01f64.powi(2), degrees: 4.0 };
        assert!(effects(&observations, Some(noise))[0].p_value.unwrap() < 1e-4);
        assert!(effects(&[], None).is_empty());
    }
}
