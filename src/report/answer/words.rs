//! The answer in sentences.

use super::{Point, Standings, running};
use crate::report::table::{number, percent};
use crate::stats::{Expected, mean};

/// What is told first.
pub fn sentences(standings: &Standings, expected: Option<&[Vec<Option<Expected>>]>) -> Vec<String> {
    let Some(expected) = expected else { return unrepeated(standings) };
    let mut told = vec![best(standings, expected)];
    told.extend(alike(standings, expected));
    told.extend(again(standings, expected));
    told.extend(per_gpu(standings));
    if standings.is_of_one_start {
        told.push(
            "Each server was started only once, so these numbers do not include the variation between server starts."
                .into(),
        );
    }
    told
}

/// Without repeats the highest number is just that.
fn unrepeated(standings: &Standings) -> Vec<String> {
    let Some((load, of_load)) = standings.loads.last().zip(standings.points.last()) else { return Vec::new() };
    let throughput = |setting: &usize| of_load[*setting].as_ref().map_or(0.0, |point| point.throughput);
    let highest = (0..of_load.len()).max_by(|left, right| throughput(left).total_cmp(&throughput(right)));
    let named = highest.map(|setting| {
        let (name, value) = (&standings.settings[setting], number(throughput(&setting)));
        format!("{name} had the highest throughput at {load}, {value} tok/s.")
    });
    let why = "Nothing was measured more than once, so this may be due to chance.".to_owned();
    named.into_iter().chain([why]).collect()
}

/// What is said of several loads at once may be wrong this often.
const MOST_DOUBT: f64 = 0.05;

/// How likely another setting is better under at least one of these loads, at most (Bonferroni).
fn doubt(expected: &[Vec<Option<Expected>>], setting: usize) -> f64 {
    expected.iter().map(|of_load| 1.0 - of_load[setting].map_or(0.0, |own| own.best)).sum()
}

/// Which setting is best, under which loads.
fn best(standings: &Standings, expected: &[Vec<Option<Expected>>]) -> String {
    let of_loads: Vec<Vec<usize>> = expected.iter().map(|of_load| running(of_load)).collect();
    let leads = |setting: usize| of_loads.iter().filter(|running| running.first() == Some(&setting)).count();
    let always: Vec<usize> = (0..standings.settings.len())
        .filter(|setting| of_loads.iter().all(|running| running.contains(setting)))
        .collect();
    // Of several that are never behind the one that is first most often.
    let chosen = always.into_iter().max_by_key(|setting| (leads(*setting), usize::MAX - setting));
    let Some(chosen) = chosen else { return by_load(standings, expected, &of_loads) };
    let name = &standings.settings[chosen];
    let is_sure = doubt(expected, chosen) <= MOST_DOUBT;
    let where_ = match (standings.loads.len(), is_sure) {
        (1, true) => format!("best at {}", standings.loads[0]),
        (1, false) => format!("most likely the best at {}, but others may be better", standings.loads[0]),
        (_, true) => "best at every load".into(),
        (_, false) => "best at every load, or indistinguishable from the best".into(),
    };
    format!("{name} is {where_}{}.", lead(standings, expected, chosen).unwrap_or_default())
}

/// By how much it leads at the highest load at which it does so for sure.
fn lead(standings: &Standings, expected: &[Vec<Option<Expected>>], chosen: usize) -> Option<String> {
    let load = (0..expected.len()).rev().find(|load| running(&expected[*load]) == [chosen])?;
    let own = expected[load][chosen]?;
    let others = (0..expected[load].len()).filter(|other| *other != chosen);
    let (next, known) = others
        .filter_map(|other| Some((other, expected[load][other]?)))
        .max_by(|left, right| left.1.log.total_cmp(&right.1.log))?;
    let (log, half) = own.lead(&known);
    let (low, high) = ((log - half).exp_m1(), (log + half).exp_m1());
    Some(format!(
        ": {} more throughput ({} to {}) than the next best, {}, at {}",
        percent(log.exp_m1()),
        percent(low),
        percent(high),
        standings.settings[next],
        standings.loads[load]
    ))
}

/// Where none is best throughout: the best of each stretch of loads.
fn by_load(standings: &Standings, expected: &[Vec<Option<Expected>>], of_loads: &[Vec<usize>]) -> String {
    let first: Vec<Option<usize>> = of_loads.iter().map(|running| running.first().copied()).collect();
    let mut parts = Vec::new();
    let mut start = 0;
    for stretch in first.chunk_by(|left, right| left == right) {
        let end = start + stretch.len() - 1;
        if let Some(setting) = stretch[0] {
            let is_sure = doubt(&expected[start..=end], setting) <= MOST_DOUBT;
            let (name, loads) = (&standings.settings[setting], &standings.loads);
            let at = if start == end { loads[start].clone() } else { format!("{} to {}", loads[start], loads[end]) };
            parts.push(format!("{name} at {at}{}", if is_sure { "" } else { " (not certain)" }));
        }
        start = end + 1;
    }
    format!("The best setting depends on the load: {}.", parts.join("; "))
}

/// Settings that can't be told apart at the highest load.
fn alike(standings: &Standings, expected: &[Vec<Option<Expected>>]) -> Option<String> {
    let (load, of_load) = standings.loads.last().zip(expected.last())?;
    let running = running(of_load);
    let names: Vec<&str> = running.iter().map(|setting| standings.settings[*setting].as_str()).collect();
    let chance = of_load[*running.first()?]?.best;
    (names.len() > 1).then(|| {
        format!(
            "At {load}, these cannot be distinguished given the noise: {}. The first is the best with a probability of {}.",
            names.join("; "),
            percent(chance)
        )
    })
}

/// What the winner of the highest load would come to if it were measured again.
fn again(standings: &Standings, expected: &[Vec<Option<Expected>>]) -> Option<String> {
    let (load, of_load) = standings.loads.last().zip(expected.last())?;
    let first = *running(of_load).first()?;
    let (own, point) = (of_load[first]?, standings.points.last()?[first].as_ref()?);
    Some(format!(
        "If measured again at {load}, {} would likely reach {} tok/s ({} to {}); this time it reached {}.",
        standings.settings[first],
        number(own.log.exp()),
        number((own.log - own.half).exp()),
        number((own.log + own.half).exp()),
        number(point.throughput)
    ))
}

/// The best for each GPU, where settings have different numbers of them.
fn per_gpu(standings: &Standings) -> Option<String> {
    let gpus = |setting: usize| {
        let known: Vec<f64> = standings.points.iter().filter_map(|of_load| of_load[setting].as_ref()?.gpus).collect();
        (!known.is_empty()).then(|| mean(&known))
    };
    let counts: Vec<f64> = (0..standings.settings.len()).map(gpus).collect::<Option<Vec<_>>>()?;
    if counts.windows(2).all(|pair| pair[0] == pair[1]) {
        return None;
    }
    let log = |point: &Point| point.candidate.log - point.gpus.unwrap_or(1.0).ln();
    let expected = standings.expected(standings.noise?, log);
    let (load, of_load) = standings.loads.last().zip(expected.last())?;
    let names: Vec<&str> = running(of_load).iter().map(|setting| standings.settings[*setting].as_str()).collect();
    let value = of_load[*running(of_load).first()?]?.log.exp();
    Some(match names.as_slice() {
        [one] => format!("Per GPU, {one} is best at {load}: {} tok/s.", number(value)),
        several => format!("Per GPU, these cannot be distinguished at {load}: {}.", several.join("; ")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Mark, Matrix};
    use super::*;
    use crate::stats::{Candidate, RunNoise};

    /// Settings a, b, … by loads, in tok/s.
    fn standings(values: &[&[f64]], gpus: &[f64]) -> Standings {
        let point = |(setting, throughput): (usize, &f64)| {
            Some(Point {
                throughput: *throughput,
                ttft_ms: Some(20.0),
                e2el_ms: None,
                p99_ttft_ms: None,
                p99_tpot_ms: None,
                gpus: Some(gpus[setting]),
                candidate: Candidate { log: throughput.ln(), runs: 3 },
            })
        };
        Standings {
            settings: ["a", "b", "c"][..gpus.len()].iter().map(|name| (*name).to_owned()).collect(),
            loads: (0..values.len()).map(|load| format!("load={load}")).collect(),
            points: values.iter().map(|of_load| of_load.iter().enumerate().map(point).collect()).collect(),
            noise: Some(RunNoise { variance: 0.01f64.powi(2), degrees: 12.0 }),
            is_of_one_start: false,
        }
    }

    fn told(standings: &Standings) -> Vec<String> {
        let expected = standings.expected(standings.noise.unwrap(), |point| point.candidate.log);
        sentences(standings, Some(&expected))
    }

    #[test]
    fn a_setting_that_leads_everywhere_is_named_with_its_lead() {
        let found = told(&standings(&[&[100.0, 150.0], &[1000.0, 1810.0]], &[1.0, 1.0]));
        assert!(found[0].starts_with("b is best at every load: 81.0 % more throughput ("), "{found:?}");
        assert!(found[0].ends_with("than the next best, a, at load=1."), "{found:?}");
        assert!(found[1].starts_with("If measured again at load=1, b would likely reach 18"), "{found:?}");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn what_is_alike_is_said_to_be_and_no_winner_is_named() {
        let even = standings(&[&[100.0, 100.5, 99.8], &[1000.0, 1003.0, 998.0]], &[1.0; 3]);
        let found = told(&even);
        assert!(found[0].contains("or indistinguishable from the best"), "{found:?}");
        assert!(found[1].starts_with("At load=1, these cannot be distinguished given the noise: "), "{found:?}");
        let expected = even.expected(even.noise.unwrap(), |point| point.candidate.log);
        let matrix = Matrix::of(&even, Some(&expected), None);
        assert!(matrix.rows.iter().flat_map(|row| row.cells.iter().flatten()).all(|cell| cell.mark == Mark::MayBeBest));
    }

    #[test]
    fn a_change_of_the_lead_with_the_load_is_told() {
        let found = told(&standings(&[&[200.0, 100.0], &[400.0, 300.0], &[500.0, 900.0]], &[1.0, 1.0]));
        assert_eq!(found[0], "The best setting depends on the load: a at load=0 to load=1; b at load=2.");
    }

    /// Under each load alone the lead has a chance of 97 %: under four at once that is too little to promise.
    #[test]
    fn a_lead_that_is_barely_sure_at_each_load_is_not_called_sure_at_all_of_them() {
        let lead = (1.0 + 0.02f64, 1000.0);
        let loads: Vec<[f64; 2]> =
            (0..4).map(|load| [lead.1 * (1.0 + f64::from(load)), lead.1 * (1.0 + f64::from(load)) * lead.0]).collect();
        let loads: Vec<&[f64]> = loads.iter().map(|load| load.as_slice()).collect();
        let barely = standings(&loads, &[1.0, 1.0]);
        let expected = barely.expected(barely.noise.unwrap(), |point| point.candidate.log);
        let chances: Vec<f64> = expected.iter().map(|of_load| of_load[1].unwrap().best).collect();
        assert!(chances.iter().all(|chance| (0.955..0.98).contains(chance)), "{chances:?}");
        let found = told(&barely);
        assert!(found[0].starts_with("b is best at every load, or indistinguishable from the best"), "{found:?}");
    }

    #[test]
    fn more_gpus_are_no_merit_by_themselves() {
        let found = told(&standings(&[&[1000.0, 1500.0]], &[1.0, 2.0]));
        assert!(found[0].starts_with("b is best at load=0: 50.0 % more"), "{found:?}");
        assert!(found.last().unwrap().starts_with("Per GPU, a is best at load=0: "), "{found:?}");
    }

    #[test]
    fn without_repeats_nothing_is_called_best() {
        let once = Standings { noise: None, ..standings(&[&[100.0, 150.0]], &[1.0, 1.0]) };
        let found = sentences(&once, None);
        assert_eq!(found[0], "b had the highest throughput at load=0, 150 tok/s.");
        assert!(found[1].contains("due to chance"), "{found:?}");
    }
}
