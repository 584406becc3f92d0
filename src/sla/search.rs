//! The search for the greatest value of a variable that meets an SLA. Pure: from what was measured follows what to
//! measure next, or the answer.

use super::curve::{Curve, Scales};
use super::level::Level;
use super::posterior::Posterior;

/// The values that the variable may have, and how close the answer must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Domain {
    pub min: f64,
    pub max: f64,
    pub is_integer: bool,
    /// Relative: 0.01 asks for a least failing value at most 1 % above the greatest passing one. Adjacent integers are
    /// always close enough.
    pub tolerance: f64,
    /// Runs after which the search ends with what it has.
    pub max_runs: usize,
}

/// A run at a value: how far its metrics are from their targets, not positive when all are met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub value: f64,
    pub margin: f64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    Run(f64),
    Done(Answer),
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    pub status: Status,
    /// The greatest value that passes: the greatest measured one, or where the ends are in doubt the most likely place.
    pub value: Option<f64>,
    /// The boundary lies between these: the greatest value that passes for sure, the least that fails for sure.
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    /// How sure it is that the boundary lies between them.
    pub confidence: Option<f64>,
    pub is_monotone: bool,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Wide => "wide",
            Self::PassesEverywhere => "passes_everywhere",
            Self::FailsEverywhere => "fails_everywhere",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The bracket is as close as was asked for.
    Found,
    /// The limit of runs was reached before.
    Wide,
    /// Even the greatest value meets the SLA.
    PassesEverywhere,
    /// Even the least value does not.
    FailsEverywhere,
}

/// A bracket this wide (in logarithms) is narrow enough to ask how noisy its ends are.
const NEAR: f64 = 0.2;
/// A mean is clear when it is so many standard errors from zero.
const CLEAR: f64 = 2.5;
/// The share of the boundary's probability that the reported bracket holds.
const CONFIDENCE: f64 = 0.95;
/// A run narrows a wide bracket by at least this share.
const LEAST_GAIN: f64 = 0.1;
/// Which levels a curve goes through.
#[derive(Clone, Copy)]
enum Through {
    All,
    Below,
    Above,
}

/// A curve that was so wrong is not believed in a bracket so wide (in logarithms).
const SURPRISED: f64 = 0.3;
const WIDE: f64 = 0.5;
/// How wrong a curve may be about a level that it can't foretell.
const UNKNOWN_SURPRISE: f64 = 0.3;
/// A deviation that was seen once may be small by luck: so many times as large is what it may really be.
const CAUTION: f64 = 8.0;
const LEAST_RUNS_IN_DOUBT: usize = 10;
/// So many runs the curve has before it must be faster than halving.
const SLACK: f64 = 3.0;
/// Margins that differ by less are equal.
const EQUAL: f64 = 1e-9;
/// Levels by which the scales of the curve are chosen.
const FORETOLD: usize = 2;
/// At an end of the domain, a margin as small as this may be luck.
const DOUBTFUL: f64 = 0.1;
const MOST_RUNS_AT_AN_END: usize = 3;

/// From what was measured, in the order in which it was, to what comes next. The first `given` runs were there before the
/// search began: they count as knowledge, not as runs that it made.
pub fn next_step(domain: &Domain, measured: &[Measured], given: usize) -> Step {
    // What lies outside was measured for another domain.
    let is_inside = |run: &&Measured| domain.min <= run.value && run.value <= domain.max;
    let given = measured[..given].iter().filter(is_inside).count();
    let measured: Vec<Measured> = measured.iter().filter(is_inside).copied().collect();
    Search { domain, levels: levels_of(&measured), measured: &measured, given }.next()
}

/// What runs that were made for another purpose say: the answer without any further run.
pub fn standing(is_integer: bool, tolerance: f64, measured: &[Measured]) -> Option<Answer> {
    let values = || measured.iter().map(|run| run.value);
    let domain =
        Domain { min: values().reduce(f64::min)?, max: values().reduce(f64::max)?, is_integer, tolerance, max_runs: 0 };
    match next_step(&domain, measured, measured.len()) {
        Step::Done(answer) => Some(answer),
        Step::Run(_) => None,
    }
}

struct Search<'a> {
    domain: &'a Domain,
    measured: &'a [Measured],
    given: usize,
    levels: Vec<Level>,
}

/// Two neighbouring levels between which the boundary lies.
#[derive(Clone, Copy)]
struct Bracket {
    pass: Level,
    fail: Level,
}

impl Bracket {
    fn width(&self) -> f64 {
        self.fail.place() - self.pass.place()
    }
}

impl Search<'_> {
    fn next(&self) -> Step {
        for (end, status) in [(self.domain.max, Status::PassesEverywhere), (self.domain.min, Status::FailsEverywhere)] {
            let wanted = status == Status::PassesEverywhere;
            match self.levels.iter().find(|level| level.value == end) {
                None => return Step::Run(end),
                Some(level) if self.is_doubtful(level) => return Step::Run(end),
                Some(level) if level.passes() == wanted => return Step::Done(self.at_an_end(status, level)),
                Some(_) => {}
            }
        }
        let bracket = self.bracket();
        let Some(std) = self.std() else {
            return self.before_repeats(&bracket);
        };
        let is_clear = bracket.pass.is_clear(CLEAR, std) && bracket.fail.is_clear(CLEAR, std);
        match is_clear && self.is_monotone(std) {
            true => self.narrow(&bracket),
            false => self.weigh(std),
        }
    }

    /// No level was run twice yet, so nothing is known of noise but what neighbouring levels tell.
    fn before_repeats(&self, bracket: &Bracket) -> Step {
        let is_contradicted = self.levels.iter().any(|level| level.passes() && level.value > bracket.fail.value);
        if bracket.width() > NEAR && !self.is_close(bracket) && !is_contradicted {
            return self.narrow(bracket);
        }
        let std = self.std_without_repeats(bracket);
        // Noise that is small beside the rise from one end to the other moves the boundary by little.
        let rise = bracket.fail.margin - bracket.pass.margin;
        let is_silent = rise >= 2.0 * CLEAR * std && !is_contradicted;
        match is_silent || self.is_out_of_runs() {
            true => self.narrow(bracket),
            false => Step::Run(nearer(bracket).value),
        }
    }

    /// What noise there can be, from the levels near the bracket: those on the same step of a stair are equal, and on a
    /// smooth curve the others foretell the latest.
    fn std_without_repeats(&self, bracket: &Bracket) -> f64 {
        let is_near = |level: &&Level| (level.place() - bracket.pass.place()).abs() < NEAR;
        let near: Vec<&Level> = self.levels.iter().filter(is_near).collect();
        if near.windows(2).any(|pair| (pair[1].margin - pair[0].margin).abs() < EQUAL) {
            return 0.0;
        }
        self.best_curve().map_or(f64::INFINITY, |(surprise, _)| CAUTION * surprise)
    }

    /// Both ends are beyond doubt: the next run goes where it narrows the bracket most, until that is close.
    fn narrow(&self, bracket: &Bracket) -> Step {
        if self.is_close(bracket) || self.is_out_of_runs() {
            return Step::Done(self.exact(bracket));
        }
        Step::Run(self.proposal(bracket))
    }

    /// The ends are in doubt: runs go to where the boundary is most likely, until that place is certain enough.
    fn weigh(&self, std: f64) -> Step {
        let (low, high) = self.surely(std);
        let posterior = Posterior::of(&self.levels, low.ln(), high.ln(), std);
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let (lower, upper) = (posterior.quantile(tail), posterior.quantile(1.0 - tail));
        if self.is_certain(lower.exp(), upper.exp()) || self.made() >= self.most_runs_in_doubt() {
            return Step::Done(self.weighed(&posterior, lower.exp(), upper.exp(), std));
        }
        let aim = if self.measured.len().is_multiple_of(2) { 0.4 } else { 0.6 };
        Step::Run(self.snapped(posterior.quantile(aim).exp(), (upper - lower) / 10.0))
    }

    fn weighed(&self, posterior: &Posterior, lower: f64, upper: f64, std: f64) -> Answer {
        let middle = posterior.quantile(0.5).exp();
        let value = match self.domain.is_integer {
            true => middle.floor(),
            false => rounded(middle, self.domain.tolerance),
        };
        Answer {
            status: if self.is_certain(lower, upper) { Status::Found } else { Status::Wide },
            value: Some(value),
            lower: Some(if self.domain.is_integer { lower.floor() } else { lower }),
            upper: Some(if self.domain.is_integer { upper.ceil() } else { upper }),
            confidence: Some(CONFIDENCE),
            is_monotone: self.is_monotone(std),
        }
    }

    /// Whether an interval is as narrow as was asked for; of integers, whether it holds one boundary only.
    fn is_certain(&self, lower: f64, upper: f64) -> bool {
        (upper / lower).ln() <= self.domain.tolerance.ln_1p()
            || (self.domain.is_integer && lower.floor() == (upper - 1e-9).floor())
    }

    fn exact(&self, bracket: &Bracket) -> Answer {
        Answer {
            status: if self.is_close(bracket) { Status::Found } else { Status::Wide },
            value: Some(bracket.pass.value),
            lower: Some(bracket.pass.value),
            upper: Some(bracket.fail.value),
            confidence: None,
            is_monotone: self.is_monotone(self.std().unwrap_or(0.0)),
        }
    }

    fn at_an_end(&self, status: Status, level: &Level) -> Answer {
        let (lower, upper) = match status {
            Status::PassesEverywhere => (Some(level.value), None),
            _ => (None, Some(level.value)),
        };
        Answer { status, value: lower, lower, upper, confidence: None, is_monotone: true }
    }

    /// The least failing level, and the greatest passing one below it.
    fn bracket(&self) -> Bracket {
        let first = self.levels.iter().position(|level| !level.passes()).unwrap_or(self.levels.len() - 1);
        Bracket { pass: self.levels[first.saturating_sub(1)], fail: self.levels[first] }
    }

    /// Values between which the boundary lies beyond doubt.
    fn surely(&self, std: f64) -> (f64, f64) {
        let clearly = |level: &&Level| level.is_clear(2.0 * CLEAR, std);
        let fails = self.levels.iter().filter(clearly).find(|level| !level.passes());
        let high = fails.map_or(self.domain.max, |level| level.value);
        let passes = self.levels.iter().filter(clearly).rev().find(|level| level.passes() && level.value < high);
        (passes.map_or(self.domain.min, |level| level.value), high)
    }

    /// Whether no level clearly fails below one that clearly passes.
    fn is_monotone(&self, std: f64) -> bool {
        let clearly = |level: &&Level| level.margin.abs() * (level.runs as f64).sqrt() > CLEAR * std;
        let sides: Vec<bool> = self.levels.iter().filter(clearly).map(Level::passes).collect();
        sides.is_sorted_by(|left, right| left >= right)
    }

    fn is_close(&self, bracket: &Bracket) -> bool {
        bracket.width() <= self.domain.tolerance.ln_1p() + 1e-9
            || (self.domain.is_integer && bracket.fail.value - bracket.pass.value <= 1.0)
    }

    fn is_out_of_runs(&self) -> bool {
        self.made() >= self.domain.max_runs
    }

    /// Runs that this search made.
    fn made(&self) -> usize {
        self.measured.len() - self.given
    }

    /// In doubt a search may take as many runs again as it took until it came near.
    fn most_runs_in_doubt(&self) -> usize {
        let is_repeat = |index: &usize| {
            let run = &self.measured[*index];
            run.value > self.domain.min
                && run.value < self.domain.max
                && self.measured[..*index].iter().any(|earlier| earlier.value == run.value)
        };
        let first = (self.given..self.measured.len()).find(is_repeat).unwrap_or(self.measured.len());
        (2 * (first - self.given)).max(LEAST_RUNS_IN_DOUBT).min(self.domain.max_runs)
    }

    /// Whether the verdict at an end of the domain may be luck. Runs that agree to the last digit are no luck.
    fn is_doubtful(&self, level: &Level) -> bool {
        let is_settled = level.runs > 1 && (level.squares == 0.0 || level.runs >= MOST_RUNS_AT_AN_END);
        level.margin.abs() < DOUBTFUL && !is_settled && !self.is_out_of_runs()
    }

    /// Standard deviation of a run's margin, from levels that were run more than once. With few repeats it is an upper
    /// bound: two runs that agree by luck must not pass for silence.
    fn std(&self) -> Option<f64> {
        let degrees: usize = self.levels.iter().map(|level| level.runs - 1).sum();
        let squares: f64 = self.levels.iter().map(|level| level.squares).sum();
        (degrees > 0).then(|| {
            let caution = 1.0 + 1.0 / degrees as f64 + 6.0 / (degrees * degrees) as f64;
            ((squares / degrees as f64).sqrt() * caution).max(1e-9)
        })
    }

    /// The root of the spline, safeguarded.
    fn proposal(&self, bracket: &Bracket) -> f64 {
        let (low, high) = (bracket.pass.place(), bracket.fail.place());
        let width = high - low;
        if self.is_slow() || self.is_on_stairs(bracket) {
            return self.inside(bracket, (low + high) / 2.0);
        }
        let close = self.domain.tolerance.ln_1p();
        // A curve that was wrong about the latest levels does not lead across a wide bracket.
        let leads = |(surprise, _): &(f64, Curve)| *surprise < SURPRISED || width < WIDE;
        let Some((_, curve)) = self.best_curve().filter(leads) else {
            return self.inside(bracket, (low + high) / 2.0);
        };
        let root = curve.root(bracket.pass.value, bracket.fail.value).ln();
        // With one end as close to the root as the answer may be, the other end is to come as close.
        let step = 0.45 * close;
        let aim = if root - low <= close - step {
            low.max(root) + step
        } else if high - root <= close - step {
            high.min(root) - step
        } else {
            root
        };
        let room = if width > 1.0 { LEAST_GAIN * width } else { 0.0 };
        self.inside(bracket, aim.clamp(low + room, high - room))
    }

    /// Whether the bracket shrinks more slowly than halving it would; then every other run halves it.
    fn is_slow(&self) -> bool {
        let widths = self.widths();
        let Some(first) = widths.first() else { return false };
        let halvings = widths.len() - 1;
        let is_slow = widths[halvings] > first * 0.5f64.powf(halvings as f64 - SLACK);
        is_slow && halvings % 2 == 1
    }

    /// Whether the margin is flat on one side of the bracket: no curve tells where it jumps.
    fn is_on_stairs(&self, bracket: &Bracket) -> bool {
        let ends = [bracket.pass, bracket.fail];
        self.levels.windows(2).any(|pair| {
            let is_at_bracket = pair[1].value == ends[0].value || pair[0].value == ends[1].value;
            is_at_bracket && (pair[1].margin - pair[0].margin).abs() < EQUAL
        })
    }

    /// The width of the bracket after each run that left one.
    fn widths(&self) -> Vec<f64> {
        let counts = self.given.max(2)..=self.measured.len();
        let brackets = counts.filter_map(|count| {
            let levels = levels_of(&self.measured[..count]);
            let fail = levels.iter().position(|level| !level.passes()).filter(|index| *index > 0)?;
            Some(levels[fail].place() - levels[fail - 1].place())
        });
        let mut widths: Vec<f64> = brackets.collect();
        widths.dedup();
        widths
    }

    /// The curve on which the latest levels were foretold best by the others: through all levels, or through those on
    /// one side only where the margin has a kink.
    fn best_curve(&self) -> Option<(f64, Curve)> {
        let latest: Vec<f64> = self.latest_inner_values().into_iter().take(FORETOLD).collect();
        let bracket = self.bracket();
        // Of equals the first is taken: plain axes, unless the margin grows faster than the load.
        let explodes = bracket.fail.margin > bracket.width();
        let first = (!explodes).then_some(Scales::PLAIN);
        let scales = first.into_iter().chain(Scales::all());
        let ways = scales.flat_map(|scales| [Through::All, Through::Below, Through::Above].map(|side| (scales, side)));
        let foretold = ways.filter_map(|(scales, side)| {
            let curve = Curve::through(&self.points(side, bracket.fail.value, None), scales)?;
            let surprises = latest.iter().map(|value| {
                let others = Curve::through(&self.points(side, *value, Some(*value)), scales)?;
                let found = self.levels.iter().find(|level| level.value == *value)?.margin;
                // Far from the boundary a margin is only large.
                Some((others.at(*value).tanh() - found.tanh()).abs())
            });
            let surprise: f64 = surprises.map(|surprise| surprise.unwrap_or(UNKNOWN_SURPRISE)).sum();
            Some((surprise, curve))
        });
        foretold.min_by(|left, right| left.0.total_cmp(&right.0))
    }

    /// The levels on a side of a value.
    fn points(&self, side: Through, value: f64, without: Option<f64>) -> Vec<(f64, f64)> {
        let is_there = |level: &&Level| match side {
            Through::All => true,
            Through::Below => level.value < value,
            Through::Above => level.value >= value,
        };
        let levels = self.levels.iter().filter(is_there).filter(|level| Some(level.value) != without);
        levels.map(|level| (level.value, level.margin)).collect()
    }

    /// The values between the ends of the domain, the latest first.
    fn latest_inner_values(&self) -> Vec<f64> {
        let mut values: Vec<f64> = Vec::new();
        for run in self.measured.iter().rev() {
            if run.value > self.domain.min && run.value < self.domain.max && !values.contains(&run.value) {
                values.push(run.value);
            }
        }
        values
    }

    /// A value that the variable can have strictly between the ends of a bracket, near a place.
    fn inside(&self, bracket: &Bracket, place: f64) -> f64 {
        let (low, high) = (bracket.pass.value, bracket.fail.value);
        let value = place.exp();
        if self.domain.is_integer {
            return value.round().clamp(low + 1.0, high - 1.0);
        }
        let short = rounded(value, self.domain.tolerance);
        if low < short && short < high { short } else { value }
    }

    /// The nearest value that the variable can have, inside of the domain; one that was measured if it is near enough.
    fn snapped(&self, value: f64, near: f64) -> f64 {
        let value = match self.domain.is_integer {
            true => value.round(),
            false => rounded(value, self.domain.tolerance),
        };
        let value = value.clamp(self.domain.min, self.domain.max);
        let distance = |level: &Level| (level.place() - value.ln()).abs();
        let nearest = self.levels.iter().min_by(|left, right| distance(left).total_cmp(&distance(right)));
        nearest.filter(|level| distance(level) <= near).map_or(value, |level| level.value)
    }
}

fn nearer(bracket: &Bracket) -> Level {
    if bracket.pass.margin.abs() <= bracket.fail.margin.abs() { bracket.pass } else { bracket.fail }
}

/// As few digits as the tolerance needs, so that values are readable.
pub fn rounded(value: f64, tolerance: f64) -> f64 {
    let digits = (1.5 - tolerance.log10()).ceil().clamp(2.0, 12.0);
    let scale = 10f64.powf(digits - 1.0 - value.log10().floor());
    (value * scale).round() / scale
}

/// The runs by value, in ascending order.
fn levels_of(measured: &[Measured]) -> Vec<Level> {
    let mut values: Vec<f64> = measured.iter().map(|run| run.value).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
        .into_iter()
        .map(|value| {
            let margins: Vec<f64> = measured.iter().filter(|run| run.value == value).map(|run| run.margin).collect();
            let margin = margins.iter().sum::<f64>() / margins.len() as f64;
            let squares = margins.iter().map(|run| (run - margin).powi(2)).sum();
            Level { value, margin, runs: margins.len(), squares }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATES: Domain = Domain { min: 1.0, max: 1000.0, is_integer: false, tolerance: 0.01, max_runs: 24 };

    fn integers(max: f64) -> Domain {
        Domain { min: 1.0, max, is_integer: true, tolerance: 0.0, max_runs: 24 }
    }

    /// Searches with a double of the benchmark, and returns all runs with the answer.
    fn search(domain: &Domain, mut margin: impl FnMut(f64) -> f64) -> (Vec<Measured>, Answer) {
        let mut measured = Vec::new();
        loop {
            match next_step(domain, &measured, 0) {
                Step::Run(value) => measured.push(Measured { value, margin: margin(value) }),
                Step::Done(answer) => return (measured, answer),
            }
            assert!(measured.len() <= domain.max_runs, "{measured:?}");
        }
    }

    fn runs(pairs: &[(f64, f64)]) -> Vec<Measured> {
        pairs.iter().map(|(value, margin)| Measured { value: *value, margin: *margin }).collect()
    }

    #[test]
    fn the_ends_come_first_and_may_be_the_answer() {
        let (measured, answer) = search(&RATES, |_| -0.5);
        assert_eq!((measured.len(), answer.status, answer.value), (1, Status::PassesEverywhere, Some(1000.0)));
        let (measured, answer) = search(&RATES, |_| 0.5);
        assert_eq!((measured.len(), answer.status, answer.value), (2, Status::FailsEverywhere, None));
        assert_eq!((measured[0].value, measured[1].value, answer.upper), (1000.0, 1.0, Some(1.0)));
    }

    #[test]
    fn a_verdict_at_an_end_that_may_be_luck_is_asked_for_again() {
        let mut margins = [-0.01, 0.05, 0.06, -0.8].into_iter();
        let Step::Run(first) = next_step(&RATES, &runs(&[(1000.0, margins.next().unwrap())]), 0) else { panic!() };
        assert_eq!(first, 1000.0);
        let lucky = runs(&[(1000.0, -0.01), (1000.0, 0.05), (1000.0, 0.06)]);
        assert_eq!(next_step(&RATES, &lucky, 0), Step::Run(1.0));
    }

    #[test]
    fn a_cliff_a_stair_and_an_explosion_are_found() {
        type Margin = fn(f64) -> f64;
        let curves: [(&str, Margin, f64); 5] = [
            ("cliff", |load| if load <= 123.0 { -3.0 } else { 40.0 }, 123.0),
            ("stairs", |load| ((load / 10.0).ceil() / 7.5).ln(), 70.0),
            ("explosion", |load| load - 5.0, 5.0),
            ("flat, then steep", |load| (load / 900.0).powi(40).ln(), 900.0),
            ("at the low end", |load| (load / 1.02).ln(), 1.02),
        ];
        for (name, margin, truth) in curves {
            let (measured, answer) = search(&RATES, margin);
            let (lower, upper) = (answer.lower.unwrap(), answer.upper.unwrap());
            assert!(lower <= truth * 1.000_001 && truth <= upper, "{name}: {answer:?}");
            assert!(answer.status == Status::Found && upper / lower < 1.011, "{name}: {answer:?}");
            assert!(measured.len() <= 16, "{name}: {} runs", measured.len());
        }
    }

    #[test]
    fn neighbouring_integers_end_a_search() {
        for max in [2.0, 3.0, 4.0, 200.0] {
            let (measured, answer) = search(&integers(max), |users| (users / 1.5).ln());
            assert_eq!((answer.value, answer.upper), (Some(1.0), Some(2.0)), "up to {max}: {measured:?}");
        }
        let (measured, answer) = search(&integers(500.0), |users| (users / 87.3).ln());
        assert_eq!((answer.status, answer.value, answer.upper), (Status::Found, Some(87.0), Some(88.0)));
        assert!(measured.iter().all(|run| run.value.fract() == 0.0));
    }

    #[test]
    fn a_history_that_is_not_monotone_is_told_and_not_trusted() {
        let history = runs(&[
            (1000.0, 2.0),
            (1.0, -2.0),
            (100.0, 0.5),
            (100.0, 0.51),
            (50.0, -0.8),
            (50.0, -0.81),
            (200.0, -0.4),
            (200.0, -0.41),
        ]);
        let answer = standing(false, 0.01, &history).unwrap();
        assert!(!answer.is_monotone);
        assert!(answer.upper.unwrap() <= 200.0 && answer.lower.unwrap() >= 50.0, "{answer:?}");
    }

    #[test]
    fn what_is_stored_is_used() {
        let stored = runs(&[(1000.0, 2.0), (1.0, -2.0), (50.0, -0.3), (50.0, -0.31), (50.4, 0.3), (50.4, 0.31)]);
        let Step::Done(answer) = next_step(&RATES, &stored, stored.len()) else { panic!("no run is needed") };
        assert_eq!((answer.lower, answer.upper), (Some(50.0), Some(50.4)));
        let answer = standing(true, 0.0, &runs(&[(4.0, -1.0), (64.0, 1.0)])).unwrap();
        assert_eq!((answer.status, answer.lower, answer.upper), (Status::Wide, Some(4.0), Some(64.0)));
        assert_eq!(standing(true, 0.0, &[]), None);
    }

    proptest! {
        #[test]
        fn any_monotone_curve_is_bracketed(
            truth in 1.01..990.0f64,
            below in 0.01..20.0f64,
            above in 0.01..20.0f64,
            bend in 0.1..8.0f64,
            jump in 0.0..2.0f64,
        ) {
            let margin = |load: f64| {
                let distance = (load / truth).ln();
                match distance <= 0.0 {
                    true => -below * (-distance).powf(bend) - jump,
                    false => above * distance.powf(bend) + jump + 1e-12,
                }
            };
            let (measured, answer) = search(&RATES, margin);
            prop_assert!(measured.iter().all(|run| (1.0..=1000.0).contains(&run.value)));
            prop_assert!(answer.lower.unwrap() <= truth * 1.000_001 && answer.upper.unwrap() >= truth * 0.999_999, "{answer:?} {measured:?}");
        }

        #[test]
        fn whatever_is_measured_a_search_ends_in_its_domain(
            margins in prop::collection::vec(prop_oneof![-1.0..1.0f64, -0.02..0.02f64, Just(50.0), Just(-50.0), Just(0.0)], 24),
            is_integer in any::<bool>(),
            max in 2.0..400.0f64,
        ) {
            let domain = match is_integer {
                true => integers(max.floor()),
                false => Domain { max, ..RATES },
            };
            let mut margins = margins.into_iter();
            let (measured, answer) = search(&domain, |_| margins.next().unwrap());
            prop_assert!(measured.iter().all(|run| domain.min <= run.value && run.value <= domain.max));
            prop_assert!(!is_integer || measured.iter().all(|run| run.value.fract() == 0.0));
            let ends = [answer.lower, answer.value, answer.upper];
            prop_assert!(ends.iter().flatten().is_sorted(), "{answer:?}");
        }
    }
}
