//! The search for the greatest value of a variable that meets an SLA. Pure: from what was measured follows what to
//! measure next, or the answer.

use super::answer::{Answer, Domain, Status, Step};
use super::boundary::Boundary;
use super::lead::leading;
use super::level::{CLEAR, Level, Measured, levels_of};

/// The probability on each side of the bracket that the boundary lies beyond it.
const TAIL: f64 = 0.0025;
const INTERVAL_TAIL: f64 = 0.01;
/// At an end of the domain, a margin as small as this may be luck.
const DOUBTFUL: f64 = 0.15;
const MOST_RUNS_AT_AN_END: usize = 3;
/// How far down the search goes at a time while all fails, in logarithms, as the margin tells.
const DESCENT: (f64, f64) = (0.69, 2.7);
const LEAST_RUNS_IN_DOUBT: usize = 8;
/// A run that tells less (in nats) is not worth its time.
const LEAST_GAIN: f64 = 0.12;
/// An interval so wide is not narrowed by runs at values that were measured.
const NEAR: f64 = 0.3;
/// A mean is clear when it is so many standard errors from zero.
const STANDARD_ERRORS: f64 = 2.5;

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

/// How likely it is that each measured value passes, in ascending order: what an answer rests on.
pub fn passing(measured: &[Measured]) -> Vec<(f64, f64)> {
    let levels = levels_of(measured);
    let [Some(first), Some(last)] = [levels.first(), levels.last()] else { return Vec::new() };
    let is_bracketed = levels.iter().any(|level| level.margin <= 0.0) && last.margin > 0.0 && first.value < last.value;
    if !is_bracketed {
        // Even the greatest passes, or none does: a level between that says otherwise was luck.
        let passes = if last.margin <= 0.0 { 1.0 } else { 0.0 };
        return levels.iter().map(|level| (level.value, passes)).collect();
    }
    let (low, high) = surely(&levels, first.value, last.value);
    let boundary = Boundary::of(measured, low.ln(), high.ln());
    levels.iter().map(|level| (level.value, (1.0 - boundary.below(level.place())).clamp(0.0, 1.0))).collect()
}

struct Search<'a> {
    domain: &'a Domain,
    measured: &'a [Measured],
    given: usize,
    levels: Vec<Level>,
}

impl Search<'_> {
    fn next(&self) -> Step {
        let Some(top) = self.levels.iter().find(|level| level.value == self.domain.max) else {
            return match self.is_out_of_runs() && self.made() > 0 {
                true => Step::Done(Answer::none()),
                false => Step::Run(self.domain.max),
            };
        };
        if self.is_doubtful(top) {
            return Step::Run(top.value);
        }
        if top.margin <= 0.0 {
            return Step::Done(self.at_an_end(Status::PassesEverywhere, top.value));
        }
        if self.levels.iter().all(|level| level.margin > 0.0)
            && let Some(step) = self.descend()
        {
            return step;
        }
        let (low, high) = surely(&self.levels, self.domain.min, self.domain.max);
        self.decide(&Boundary::of(self.measured, low.ln(), high.ln()), (low, high))
    }

    /// Down from where runs are cheap, until one passes.
    fn descend(&self) -> Option<Step> {
        let least = self.levels.first()?;
        let is_certain = least.margin > DOUBTFUL || least.is_exact;
        let upper = Some(least.value).filter(|_| is_certain);
        let none_passed = Answer { status: Status::Wide, upper, ..Answer::none() };
        if least.value <= self.domain.min {
            return Some(match self.is_doubtful(least) {
                true => Step::Run(least.value),
                false if is_certain => Step::Done(self.at_an_end(Status::FailsEverywhere, least.value)),
                false => Step::Done(none_passed),
            });
        }
        if self.is_out_of_runs() {
            return Some(Step::Done(none_passed));
        }
        // Faster each time: where even a small load fails, none may pass.
        let least_step = DESCENT.0 * 2f64.powi(self.levels.len() as i32 - 1);
        let down = least.margin.clamp(least_step, DESCENT.1.max(least_step));
        let value = self.snapped(least.place() - down);
        let value = if value < least.value { value } else { least.value - 1.0 };
        // What is left below would need a run of its own.
        Some(Step::Run(if value < self.domain.min * 1.05 { self.domain.min } else { value }))
    }

    /// Enough is known, or the next run is where it tells most. `sure`: values between which the boundary lies whatever the noise.
    fn decide(&self, boundary: &Boundary, sure: (f64, f64)) -> Step {
        let (lower, upper) = self.bracket(boundary);
        let (from, until) = (boundary.quantile(TAIL), boundary.quantile(1.0 - TAIL));
        if self.is_close(lower, upper) || self.is_out_of_runs() {
            return Step::Done(self.answer(boundary, lower, upper));
        }
        let width = until - from;
        let (candidate, gain) = self.candidate(boundary);
        let is_futile =
            self.made() >= LEAST_RUNS_IN_DOUBT && width > self.domain.tolerance.ln_1p() && gain < LEAST_GAIN;
        if is_futile && !self.has_repeats() {
            let middle = boundary.quantile(0.5);
            return Step::Run(self.nearest(middle).map_or(middle.exp(), |level| level.value));
        }
        if is_futile {
            // The answer is a value that was measured: one more, if none is near the most likely place.
            let answer = self.answer(boundary, lower, upper);
            let middle = boundary.quantile(0.45);
            let is_near = answer.value.is_some_and(|value| (middle - value.ln()).abs() < width / 5.0);
            let wanted = self.snapped(middle);
            let is_known = self.levels.iter().any(|level| level.value == wanted);
            return if is_near || is_known { Step::Done(answer) } else { Step::Run(wanted) };
        }
        if width <= self.domain.tolerance.ln_1p() && !self.domain.is_integer {
            return Step::Run(self.flank((lower, upper), (from, until)));
        }
        if self.domain.is_integer
            && let Some(value) = self.integer_flank((lower, upper), (from, until))
        {
            return Step::Run(value);
        }
        Step::Run(self.proposal(candidate, width, sure))
    }

    fn answer(&self, boundary: &Boundary, lower: f64, upper: f64) -> Answer {
        let is_close = self.is_close(lower, upper);
        let passing = self.levels.iter().rfind(|level| boundary.below(level.place()) < 0.5);
        let (from, until) = (boundary.quantile(INTERVAL_TAIL).exp(), boundary.quantile(1.0 - INTERVAL_TAIL).exp());
        Answer {
            status: if is_close { Status::Found } else { Status::Wide },
            value: passing.map(|level| level.value),
            lower: Some(lower),
            upper: Some(upper),
            confidence: Some(1.0 - 2.0 * TAIL),
            interval: Some(if is_close { (lower, upper) } else { (from.max(lower), until.min(upper)) }),
            is_monotone: self.is_monotone(boundary.noise()),
        }
    }

    fn at_an_end(&self, status: Status, value: f64) -> Answer {
        match status {
            Status::PassesEverywhere => Answer { status, value: Some(value), lower: Some(value), ..Answer::none() },
            _ => Answer { status, upper: Some(value), ..Answer::none() },
        }
    }

    /// The greatest measured value that passes for sure, and the least that fails for sure.
    fn bracket(&self, boundary: &Boundary) -> (f64, f64) {
        let fails = |level: &&Level| boundary.below(level.place());
        let lower = self.levels.iter().rfind(|level| fails(level) <= TAIL);
        let upper = self.levels.iter().find(|level| fails(level) >= 1.0 - TAIL);
        (lower.map_or(self.domain.min, |level| level.value), upper.map_or(self.domain.max, |level| level.value))
    }

    /// Where the next run tells most for its time, and how much one can tell (in nats).
    fn candidate(&self, boundary: &Boundary) -> (f64, f64) {
        let gain = |place: f64| {
            let fails = boundary.below(place).clamp(1e-6, 1.0 - 1e-6);
            let entropy = -(fails * fails.ln() + (1.0 - fails) * (1.0 - fails).ln());
            (place, entropy * boundary.resolution(place))
        };
        let places =
            [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9].map(|probability| gain(boundary.quantile(probability)));
        let per_second = |(place, gain): &(f64, f64)| gain / self.seconds(*place);
        let best = places.iter().max_by(|left, right| per_second(left).total_cmp(&per_second(right)));
        let most = places.iter().map(|(_, gain)| *gain).fold(0.0, f64::max);
        (best.map_or(0.0, |(place, _)| *place), most)
    }

    /// How long a run takes at a place: between two levels a power of the load, beyond them as at the last; all alike where nothing is
    /// known.
    fn seconds(&self, place: f64) -> f64 {
        let known = || self.levels.iter().filter_map(|level| Some((level.place(), level.seconds?.max(1e-3).ln())));
        let below = known().rfind(|(other, _)| *other <= place);
        let above = known().find(|(other, _)| *other > place);
        let log = match (below, above) {
            (Some((from, short)), Some((until, long))) => short + (long - short) * (place - from) / (until - from),
            (Some((_, seconds)), None) | (None, Some((_, seconds))) => seconds,
            (None, None) => 0.0,
        };
        log.exp()
    }

    fn proposal(&self, candidate: f64, width: f64, (low, high): (f64, f64)) -> f64 {
        let distance = |level: &Level, place: f64| (level.place() - place).abs();
        // Across a wide bracket the spline leads, where it foretold the latest levels.
        let led = (width > NEAR).then(|| leading(self.measured, &self.levels)).flatten().filter(|root| {
            low.ln() < *root
                && *root < high.ln()
                && self.nearest(*root).is_some_and(|level| distance(level, *root) > width / 20.0)
        });
        let place = led.unwrap_or(candidate);
        match self.nearest(place) {
            Some(level) if width < NEAR && distance(level, place) <= width / 10.0 && level.is_worth_a_repeat() => {
                level.value
            }
            _ => self.between(place, low, high),
        }
    }

    /// It is known where the boundary is: what is missing is a run on one of its sides.
    fn flank(&self, (lower, upper): (f64, f64), (from, until): (f64, f64)) -> f64 {
        let close = self.domain.tolerance.ln_1p();
        let slack = close - (until - from);
        let (low, high) = (lower.ln(), upper.ln());
        let place = if low >= until - close {
            (until + low + close) / 2.0
        } else if high <= from + close {
            (from + high - close) / 2.0
        } else {
            from - slack / 2.2
        };
        self.between(place, lower, upper)
    }

    fn integer_flank(&self, (lower, upper): (f64, f64), (from, until): (f64, f64)) -> Option<f64> {
        let (below, above) = (from.exp().floor(), until.exp().ceil());
        let missing = if lower < below { below } else { above };
        (above - below <= 1.0 && lower < missing && missing < upper).then_some(missing)
    }

    fn is_close(&self, lower: f64, upper: f64) -> bool {
        (upper / lower).ln() <= self.domain.tolerance.ln_1p() + 1e-9 || (self.domain.is_integer && upper - lower <= 1.0)
    }

    /// Whether no level clearly fails below one that clearly passes.
    fn is_monotone(&self, noise: f64) -> bool {
        let is_clear = |level: &&Level| level.margin.abs() * (level.runs as f64).sqrt() > STANDARD_ERRORS * noise;
        let sides: Vec<bool> = self.levels.iter().filter(is_clear).map(|level| level.margin <= 0.0).collect();
        sides.is_sorted_by(|left, right| left >= right)
    }

    /// Whether anything tells noise from shape: runs at one value, near enough to the boundary to be alike.
    fn has_repeats(&self) -> bool {
        self.levels.iter().any(|level| level.runs > 1 && level.margin.abs() < CLEAR)
    }

    /// The level that is nearest to a place.
    fn nearest(&self, place: f64) -> Option<&Level> {
        let distance = |level: &Level| (level.place() - place).abs();
        self.levels.iter().min_by(|left, right| distance(left).total_cmp(&distance(right)))
    }

    fn is_out_of_runs(&self) -> bool {
        self.made() >= self.domain.max_runs
    }

    /// Runs that this search made.
    fn made(&self) -> usize {
        self.measured.len() - self.given
    }

    /// Whether the verdict at an end of the domain may be luck. Runs that agree to the last digit are no luck.
    fn is_doubtful(&self, level: &Level) -> bool {
        let is_settled = level.is_exact || level.runs >= MOST_RUNS_AT_AN_END;
        level.margin.abs() < DOUBTFUL && !is_settled && !self.is_out_of_runs()
    }

    /// A value that the variable can have near a place, strictly between two others if there is one.
    fn between(&self, place: f64, low: f64, high: f64) -> f64 {
        let value = self.snapped(place);
        match low < value && value < high {
            true => value,
            false if self.domain.is_integer && high - low >= 2.0 => value.clamp(low + 1.0, high - 1.0),
            false => place.exp().clamp(self.domain.min, self.domain.max),
        }
    }

    /// The nearest value that the variable can have, inside of the domain.
    fn snapped(&self, place: f64) -> f64 {
        let value = match self.domain.is_integer {
            true => place.exp().round(),
            false => rounded(place.exp(), self.domain.tolerance),
        };
        value.clamp(self.domain.min, self.domain.max)
    }
}

/// Values between which the boundary lies whatever the noise.
fn surely(levels: &[Level], min: f64, max: f64) -> (f64, f64) {
    let fails_from = |value: f64| levels.iter().all(|level| level.value < value || level.margin > 0.0);
    let passes_to = |value: f64| levels.iter().all(|level| level.value > value || level.margin <= 0.0);
    // Runs that agree to the last digit have no noise.
    let is_sure = |level: &Level| level.margin.abs() > CLEAR || level.is_exact;
    let high = levels.iter().find(|level| level.margin > 0.0 && is_sure(level) && fails_from(level.value));
    let high = high.map_or(max, |level| level.value);
    let low = levels
        .iter()
        .rfind(|level| level.margin <= 0.0 && is_sure(level) && level.value < high && passes_to(level.value));
    (low.map_or(min, |level| level.value), high)
}

/// As few digits as the tolerance needs, so that values are readable.
pub fn rounded(value: f64, tolerance: f64) -> f64 {
    let digits = (1.5 - tolerance.log10()).ceil().clamp(2.0, 12.0);
    let scale = 10f64.powf(digits - 1.0 - value.log10().floor());
    (value * scale).round() / scale
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
                Step::Run(value) => measured.push(Measured::new(value, margin(value))),
                Step::Done(answer) => return (measured, answer),
            }
            assert!(measured.len() <= domain.max_runs, "{measured:?}");
        }
    }

    fn runs(pairs: &[(f64, f64)]) -> Vec<Measured> {
        pairs.iter().map(|(value, margin)| Measured::new(*value, *margin)).collect()
    }

    #[test]
    fn the_ends_come_first_and_may_be_the_answer() {
        let (measured, answer) = search(&RATES, |_| -0.5);
        assert_eq!((measured.len(), answer.status, answer.value), (1, Status::PassesEverywhere, Some(1000.0)));
        // Down from where runs are cheap, in steps that grow.
        let (measured, answer) = search(&RATES, |_| 0.5);
        let values: Vec<f64> = measured.iter().map(|run| run.value).collect();
        assert!(values.len() <= 5 && values.is_sorted_by(|left, right| left > right), "{values:?}");
        assert_eq!((answer.status, answer.value, answer.upper), (Status::FailsEverywhere, None, Some(1.0)));
    }

    #[test]
    fn a_verdict_at_an_end_that_may_be_luck_is_asked_for_again() {
        let mut margins = [-0.01, 0.05, 0.06, -0.8].into_iter();
        let Step::Run(first) = next_step(&RATES, &runs(&[(1000.0, margins.next().unwrap())]), 0) else { panic!() };
        assert_eq!(first, 1000.0);
        let lucky = runs(&[(1000.0, -0.01), (1000.0, 0.05), (1000.0, 0.06)]);
        assert_eq!(next_step(&RATES, &lucky, 0), Step::Run(501.6));
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
        let (value, lower, upper) = (answer.value.unwrap(), answer.lower.unwrap(), answer.upper.unwrap());
        assert!(answer.status == Status::Wide && lower <= 50.0 && upper >= 200.0 && value <= 200.0, "{answer:?}");
    }

    #[test]
    fn what_is_stored_is_used() {
        let law = |load: f64| Measured::new(load, (load / 50.0).ln());
        let stored = [1.0, 20.0, 40.0, 45.0, 49.8, 50.2, 55.0, 80.0, 1000.0].map(law);
        let Step::Done(answer) = next_step(&RATES, &stored, stored.len()) else { panic!("no run is needed") };
        assert_eq!((answer.lower, answer.upper), (Some(49.8), Some(50.2)));
        let answer = standing(true, 0.0, &runs(&[(4.0, -1.0), (64.0, 1.0)])).unwrap();
        assert_eq!((answer.status, answer.lower, answer.upper), (Status::Wide, Some(4.0), Some(64.0)));
        assert_eq!(standing(true, 0.0, &[]), None);
    }

    proptest! {
        // Each of their runs weighs hundreds of shapes.
        #![proptest_config(ProptestConfig::with_cases(12))]

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
        fn an_answer_names_what_was_measured_and_follows_from_its_history(
            loads in prop::collection::vec(1u32..200, 2..9), bound in 1.0..220.0f64, noise in prop::collection::vec(-0.1..0.1f64, 30),
        ) {
            let law = |(index, load): (usize, &u32)| {
                Measured::new(f64::from(*load), (f64::from(*load) / bound).ln() + noise[index % noise.len()])
            };
            let measured: Vec<Measured> = loads.iter().chain(&loads).enumerate().map(law).collect();
            let answer = standing(true, 0.0, &measured).unwrap();
            let history = passing(&measured);
            let is_measured = |value: &f64| measured.iter().any(|run| run.value == *value);
            prop_assert!([answer.value, answer.lower, answer.upper].iter().flatten().all(is_measured), "{answer:?}");
            prop_assert!(history.iter().map(|level| level.1).is_sorted_by(|left, right| *left >= *right - 1e-9), "{history:?}");
            let greatest = history.iter().rfind(|level| level.1 > 0.5).map(|level| level.0);
            prop_assert_eq!(answer.value, greatest, "{:?} {:?}", answer, history);
            if let (Some(value), Some(upper)) = (answer.value, answer.upper) {
                prop_assert!(answer.lower.unwrap() <= value && value < upper, "{answer:?}");
            }
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
