//! Axes: scales, ranges and ticks.

use std::str::FromStr;

/// How values become places along an axis, under seaborn's and matplotlib's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Linear,
    Log,
    Log2,
    /// Linear between -1 and 1, logarithmic outside.
    Symlog,
    Sqrt,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("unknown scale {name:?}; expected linear, log, log2, symlog or sqrt")]
pub struct UnknownScale {
    name: String,
}

/// A tick with its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub at: f64,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub label: String,
    pub scale: Scale,
    pub min: f64,
    pub max: f64,
    pub ticks: Vec<Tick>,
    pub minor: Vec<f64>,
    /// Whether infinite values have a place of their own at the far end.
    pub has_infinity: bool,
    /// Whether its ticks are names, at 1, 2, …
    pub has_names: bool,
}

/// Of more values than these an axis has its own ticks.
const MOST_MEASURED: usize = 14;

/// Where finite values end when infinity has a place, and that place.
const FINITE_END: f64 = 0.86;
const INFINITY_AT: f64 = 0.95;

impl FromStr for Scale {
    type Err = UnknownScale;

    fn from_str(name: &str) -> Result<Self, UnknownScale> {
        match name {
            "linear" => Ok(Self::Linear),
            "log" => Ok(Self::Log),
            "log2" => Ok(Self::Log2),
            "symlog" => Ok(Self::Symlog),
            "sqrt" => Ok(Self::Sqrt),
            other => Err(UnknownScale { name: other.into() }),
        }
    }
}

impl Scale {
    /// Whether a value has a place.
    pub fn takes(self, value: f64) -> bool {
        match self {
            Self::Log | Self::Log2 => value > 0.0,
            Self::Sqrt => value >= 0.0,
            Self::Linear | Self::Symlog => !value.is_nan(),
        }
    }

    fn forward(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.log10(),
            Self::Log2 => value.log2(),
            Self::Symlog if value.abs() <= 1.0 => value,
            Self::Symlog => value.signum() * (1.0 + value.abs().log10()),
            Self::Sqrt => value.sqrt(),
        }
    }

    fn backward(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Log => 10f64.powf(place),
            Self::Log2 => 2f64.powf(place),
            Self::Symlog if place.abs() <= 1.0 => place,
            Self::Symlog => place.signum() * 10f64.powf(place.abs() - 1.0),
            Self::Sqrt => place.max(0.0).powi(2),
        }
    }
}

impl Axis {
    /// An axis around the values, with some air. On a linear axis zero is kept where it is near.
    pub fn around(label: impl Into<String>, scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let has_infinity = values.clone().any(|value| value == f64::INFINITY);
        let usable =
            values.filter(|value| value.is_finite() && scale.takes(*value)).map(|value| drawable(scale, value));
        let (low, high) =
            usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (1.0, 10.0) } else { (low, high) };
        let (min, max) = padded(scale, low, high);
        let (ticks, minor) = ticks(scale, min, max);
        Self { label: label.into(), scale, min, max, ticks, minor, has_infinity, has_names: false }
    }

    /// An axis of names: the first at 1, the next at 2.
    pub fn of_names(label: impl Into<String>, names: impl Iterator<Item = String>) -> Self {
        let ticks: Vec<Tick> = names.enumerate().map(|(index, text)| Tick { at: (index + 1) as f64, text }).collect();
        let max = ticks.len() as f64 + 0.5;
        Self {
            label: label.into(),
            scale: Scale::Linear,
            min: 0.5,
            max,
            ticks,
            minor: Vec::new(),
            has_infinity: false,
            has_names: true,
        }
    }

    /// An axis from one value to another, whatever is drawn on it; one of names stays as it is.
    pub fn limited(mut self, from: f64, to: f64) -> Self {
        if self.has_names {
            return self;
        }
        (self.min, self.max) = (drawable(self.scale, from.min(to)), drawable(self.scale, from.max(to)));
        (self.ticks, self.minor) = ticks(self.scale, self.min, self.max);
        self.ticks.retain(|tick| (self.min..=self.max).contains(&tick.at));
        self
    }

    /// With a tick at each of these values, as far as their texts have room; the others are marked without.
    pub fn with_ticks_at(mut self, values: &[f64]) -> Self {
        let mut values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        if values.is_empty() || values.len() > MOST_MEASURED {
            return self;
        }
        let placed: Vec<(f64, f64, String)> = values
            .iter()
            .filter_map(|value| Some((*value, self.place(*value)?, number_label(*value, smallest_step(&values)))))
            .collect();
        let room = |text: &str| 0.012 + 0.011 * text.chars().count() as f64;
        let mut kept: Vec<&(f64, f64, String)> = Vec::new();
        // The largest first: it is what a curve ends at.
        for tick in placed.iter().rev() {
            if kept.iter().all(|other| (other.1 - tick.1).abs() >= (room(&other.2) + room(&tick.2)) / 2.0) {
                kept.push(tick);
            }
        }
        self.minor = placed.iter().map(|tick| tick.0).collect();
        self.ticks = kept.iter().rev().map(|(at, _, text)| Tick { at: *at, text: text.clone() }).collect();
        self
    }

    /// The axis of something that is counted: between whole numbers there is nothing to mark.
    pub fn of_counts(mut self) -> Self {
        self.ticks.retain(|tick| tick.at.fract() == 0.0);
        self.minor.retain(|at| at.fract() == 0.0);
        self
    }

    /// The place of a value between 0 and 1.
    pub fn place(&self, value: f64) -> Option<f64> {
        if value == f64::INFINITY {
            return self.has_infinity.then_some(INFINITY_AT);
        }
        if !value.is_finite() || !self.scale.takes(value) {
            return None;
        }
        let (low, high) = (self.scale.forward(self.min), self.scale.forward(self.max));
        let place = (self.scale.forward(drawable(self.scale, value)) - low) / (high - low);
        Some(if self.has_infinity { place * FINITE_END } else { place })
    }

    /// The ticks, with the one of infinity where it has a place.
    pub fn all_ticks(&self) -> Vec<Tick> {
        let infinity = self.has_infinity.then(|| Tick { at: f64::INFINITY, text: "inf".into() });
        self.ticks.iter().cloned().chain(infinity).collect()
    }
}

/// The nearest value that arithmetic on an axis bears: beyond, sums overflow and quotients are lost.
fn drawable(scale: Scale, value: f64) -> f64 {
    const LARGEST: f64 = 1e250;
    match scale {
        Scale::Log | Scale::Log2 => value.clamp(1.0 / LARGEST, LARGEST),
        _ if value.abs() < 1.0 / LARGEST => 0.0,
        _ => value.clamp(-LARGEST, LARGEST),
    }
}

fn padded(scale: Scale, low: f64, high: f64) -> (f64, f64) {
    let (from, to) = (scale.forward(low), scale.forward(high));
    let span = to - from;
    // A single value sits in the middle of its own magnitude.
    let alone = match scale {
        Scale::Log => 0.3,
        Scale::Log2 => 1.0,
        Scale::Symlog => 0.5,
        Scale::Linear | Scale::Sqrt => (from.abs() * 0.2).max(0.5),
    };
    let air = if span > 0.0 { span * 0.06 } else { alone };
    let near_zero = low >= 0.0 && scale.forward(low) - air < scale.forward(0.0) + span * 0.25;
    let from = match scale {
        Scale::Linear | Scale::Sqrt if near_zero => 0.0,
        _ => from - air,
    };
    (scale.backward(from), scale.backward(to + air))
}

fn ticks(scale: Scale, min: f64, max: f64) -> (Vec<Tick>, Vec<f64>) {
    let (major, minor) = match scale {
        Scale::Linear => linear_ticks(min, max),
        Scale::Log => log_ticks(min, max),
        Scale::Log2 => log2_ticks(min, max),
        Scale::Symlog => symlog_ticks(min, max),
        Scale::Sqrt => sqrt_ticks(min, max),
    };
    let step = smallest_step(&major);
    let ticks = major.into_iter().map(|at| Tick { at, text: number_label(at, step) }).collect();
    (ticks, minor)
}

fn linear_ticks(min: f64, max: f64) -> (Vec<f64>, Vec<f64>) {
    let step = nice_step((max - min) / 6.5);
    let fine = step / if (step / 10f64.powf(step.log10().floor()) - 2.0).abs() < 1e-6 { 4.0 } else { 5.0 };
    (multiples(step, min, max), multiples(fine, min, max))
}

fn log_ticks(min: f64, max: f64) -> (Vec<f64>, Vec<f64>) {
    let decades = (min.log10().floor() as i32)..=(max.log10().ceil() as i32);
    let at = |factors: &[f64]| {
        let all = decades.clone().flat_map(|decade| factors.iter().map(move |factor| factor * 10f64.powi(decade)));
        all.filter(|value| *value >= min * 0.9999 && *value <= max * 1.0001).collect::<Vec<_>>()
    };
    let minor = at(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    let span = max.log10() - min.log10();
    // Within less than a factor of two, decades say nothing.
    if span < 0.3 {
        return linear_ticks(min, max);
    }
    let major = match span {
        span if span > 7.0 => at(&[1.0]).into_iter().step_by((span / 6.0).ceil() as usize).collect(),
        span if span > 3.2 => at(&[1.0]),
        span if span > 1.0 => at(&[1.0, 2.0, 5.0]),
        _ => at(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]),
    };
    if major.len() < 2 { linear_ticks(min, max) } else { (major, minor) }
}

fn log2_ticks(min: f64, max: f64) -> (Vec<f64>, Vec<f64>) {
    let powers: Vec<f64> = ((min.log2() - 1e-9).ceil() as i32..=(max.log2() + 1e-9).floor() as i32)
        .map(|power| 2f64.powi(power))
        .collect();
    if powers.len() < 2 {
        return linear_ticks(min, max);
    }
    let every = powers.len().div_ceil(10);
    (
        powers.iter().copied().step_by(every).collect(),
        powers.iter().map(|power| power * 1.5).filter(|at| *at <= max).collect(),
    )
}

fn symlog_ticks(min: f64, max: f64) -> (Vec<f64>, Vec<f64>) {
    let most = min.abs().max(max.abs()).max(1.0).log10().ceil() as i32;
    let every = (most / 5).max(1) as usize;
    let positive: Vec<f64> = (0..=most).step_by(every).map(|power| 10f64.powi(power)).collect();
    let negative = positive.iter().rev().map(|value| -value);
    let all = negative.chain([0.0]).chain(positive.iter().copied());
    let major: Vec<f64> = all.filter(|value| (min..=max).contains(value)).collect();
    if major.len() < 3 { linear_ticks(min, max) } else { (major, Vec::new()) }
}

fn sqrt_ticks(min: f64, max: f64) -> (Vec<f64>, Vec<f64>) {
    let (all, minor) = linear_ticks(min, max);
    let square = nice_step(max / 25.0);
    let first = if square < all.get(1).copied().unwrap_or(max) / 2.0 { Some(square) } else { None };
    let mut major = all;
    major.extend(first.filter(|at| *at > min));
    major.sort_by(f64::total_cmp);
    (major, minor)
}

fn multiples(step: f64, min: f64, max: f64) -> Vec<f64> {
    let first = (min / step - 1e-9).ceil() as i64;
    let last = (max / step + 1e-9).floor() as i64;
    (first..=last).map(|count| count as f64 * step).collect()
}

/// The nearest of 1, 2, 2.5, 5 and 10 times a power of ten, not below.
fn nice_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999);
    factor.unwrap_or(10.0) * power
}

fn smallest_step(major: &[f64]) -> f64 {
    major.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(f64::INFINITY, f64::min)
}

/// A number for a reader: thousands separated, as many decimals as the step needs, powers of ten for what is
/// very large or very small.
pub fn number_label(value: f64, step: f64) -> String {
    if value == f64::INFINITY {
        return "inf".into();
    }
    if value != 0.0 && !(1e-4..1e7).contains(&value.abs()) {
        return scientific(value);
    }
    let needed = |number: f64| (0..=6).find(|decimals| is_whole(number * 10f64.powi(*decimals))).unwrap_or(6);
    let decimals = if step.is_finite() { needed(step).min(needed(value)) } else { needed(value).min(3) };
    let text = format!("{:.*}", decimals as usize, value.abs());
    let (whole, fraction) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, fraction)| (whole, Some(fraction)));
    let sign = if value < 0.0 { "−" } else { "" };
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    format!("{sign}{}{fraction}", grouped(whole))
}

fn scientific(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((factor, power)) = text
        .split_once('e')
        .and_then(|(factor, power)| Some((factor.parse::<f64>().ok()?, power.parse::<i32>().ok()?)))
    else {
        return text;
    };
    let digits = "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().collect::<Vec<_>>();
    let exponent: String =
        power.to_string().chars().map(|digit| digit.to_digit(10).map_or('⁻', |digit| digits[digit as usize])).collect();
    match (factor - 1.0).abs() < 1e-9 {
        true => format!("10{exponent}"),
        false => format!("{}×10{exponent}", number_label(factor, 0.1)),
    }
}

fn is_whole(number: f64) -> bool {
    (number - number.round()).abs() < 1e-6 * number.abs().max(1.0)
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn an_axis_around_any_numbers_can_be_drawn(
            values in proptest::collection::vec(proptest::prelude::any::<f64>(), 0..6),
            scale in proptest::sample::select(vec![Scale::Linear, Scale::Log, Scale::Log2, Scale::Symlog, Scale::Sqrt]),
        ) {
            let extremes = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 0.0, f64::INFINITY, f64::NAN];
            for extra in extremes {
                let all = values.iter().copied().chain([extra]);
                let axis = Axis::around("x", scale, all.clone());
                proptest::prop_assert!(axis.min.is_finite() && axis.max.is_finite() && axis.min < axis.max, "{axis:?}");
                let ticks = axis.all_ticks();
                proptest::prop_assert!((1..60).contains(&ticks.len()) && axis.minor.len() < 5000, "{axis:?}");
                proptest::prop_assert!(ticks.iter().all(|tick| tick.text.len() < 40), "{ticks:?}");
                for place in all.filter_map(|value| axis.place(value)) {
                    proptest::prop_assert!((-0.001..=1.001).contains(&place), "{place} on {axis:?}");
                }
            }
        }
    }

    fn texts(scale: Scale, values: &[f64]) -> Vec<String> {
        Axis::around("x", scale, values.iter().copied()).all_ticks().into_iter().map(|tick| tick.text).collect()
    }

    #[test]
    fn ticks_are_round_numbers_with_separators() {
        assert_eq!(texts(Scale::Linear, &[120.0, 9_800.0]), ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]);
        assert_eq!(texts(Scale::Linear, &[0.12, 0.31]), ["0.15", "0.2", "0.25", "0.3"]);
        assert_eq!(texts(Scale::Log, &[3.0, 20_000.0]), ["10", "100", "1,000", "10,000"]);
        assert_eq!(texts(Scale::Log, &[4.0, 420.0]), ["5", "10", "20", "50", "100", "200", "500"]);
        assert_eq!(texts(Scale::Log, &[10.0, 200.0]), ["10", "20", "50", "100", "200"]);
        assert_eq!(texts(Scale::Symlog, &[118.0, 544.0]), ["200", "300", "400", "500"]);
        assert_eq!(texts(Scale::Log2, &[1.0, 64.0]), ["1", "2", "4", "8", "16", "32", "64"]);
    }

    #[test]
    fn infinity_has_a_place_behind_all_others() {
        let axis = Axis::around("rate", Scale::Linear, [1.0, 8.0, f64::INFINITY].into_iter());
        assert!(axis.place(f64::INFINITY).unwrap() > axis.place(8.0).unwrap());
        assert_eq!(axis.all_ticks().last().unwrap().text, "inf");
        assert_eq!(Axis::around("x", Scale::Linear, [1.0].into_iter()).place(f64::INFINITY), None);
    }

    #[test]
    fn places_keep_the_order_and_what_has_none_is_left_out() {
        for scale in [Scale::Linear, Scale::Log, Scale::Log2, Scale::Symlog, Scale::Sqrt] {
            let axis = Axis::around("x", scale, [0.5, 2.0, 30.0].into_iter());
            let places: Vec<f64> = [0.5, 2.0, 30.0].iter().map(|value| axis.place(*value).unwrap()).collect();
            assert!(
                places.windows(2).all(|pair| pair[0] < pair[1]) && places[0] >= 0.0 && places[2] <= 1.0,
                "{scale:?}"
            );
            assert_eq!(axis.place(f64::NAN), None);
        }
        assert_eq!(Axis::around("x", Scale::Log, [1.0, 10.0].into_iter()).place(0.0), None);
    }

    #[test]
    fn one_value_and_no_value_still_make_an_axis() {
        for values in [&[5.0][..], &[], &[f64::NAN], &[0.0]] {
            let axis = Axis::around("x", Scale::Linear, values.iter().copied());
            assert!(axis.min < axis.max && !axis.ticks.is_empty(), "{values:?}");
        }
    }

    #[test]
    fn a_scale_that_is_not_drawn_is_refused_by_name() {
        assert_eq!(
            "logit".parse::<Scale>().unwrap_err().to_string(),
            "unknown scale \"logit\"; expected linear, log, log2, symlog or sqrt"
        );
    }

    #[test]
    fn extreme_numbers_are_powers_of_ten() {
        assert_eq!(number_label(1e9, f64::INFINITY), "10⁹");
        assert_eq!(number_label(2.5e-7, f64::INFINITY), "2.5×10⁻⁷");
        assert_eq!(number_label(-1234.5, f64::INFINITY), "−1,234.5");
    }
}
