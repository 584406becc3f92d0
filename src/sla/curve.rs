//! The curve through a search's history: a monotone spline, on scales on which it may be straight.

use splines::{Interpolation, Key, Spline};

/// Halvings of an interval until a root is exact to the last digits of a float.
const HALVINGS: usize = 60;

/// The scales on which a curve is drawn: what is straight needs the fewest points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    is_x_log: bool,
    margin: MarginScale,
}

/// Ways to write a margin `m = ln(metric / target)`; all are zero where the margin is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum MarginScale {
    /// The margin near zero, its logarithm far away: for what spans orders of magnitude.
    Asinh,
    /// The margin itself: a latency that grows by a factor with each step of the load is a line over it.
    Log,
    /// `metric / target - 1`: a latency that is proportional to the load is a line over it.
    Ratio,
    /// `1 - target / metric`: a latency of a queue, `1 / (1 - load)`, is a line over it.
    Reciprocal,
}

/// Beyond this a margin is as good as infinite, and its exponential still a number.
const FAR: f64 = 50.0;

impl Scales {
    /// The value itself and how many times the target the metric is: nothing transformed.
    pub const PLAIN: Self = Self { is_x_log: false, margin: MarginScale::Ratio };

    /// Those to take while nothing is known: they hold whatever spans orders of magnitude.
    pub const WIDEST: Self = Self { is_x_log: true, margin: MarginScale::Asinh };

    /// All of them, [`Scales::WIDEST`] first.
    pub fn all() -> impl Iterator<Item = Self> {
        use MarginScale::{Asinh, Log, Ratio, Reciprocal};
        let margins = [Asinh, Log, Ratio, Reciprocal].into_iter();
        margins.flat_map(|margin| [true, false].map(|is_x_log| Self { is_x_log, margin }))
    }

    fn x(self, value: f64) -> f64 {
        if self.is_x_log { value.ln() } else { value }
    }

    fn value(self, x: f64) -> f64 {
        if self.is_x_log { x.exp() } else { x }
    }

    fn y(self, margin: f64) -> f64 {
        let margin = margin.clamp(-FAR, FAR);
        match self.margin {
            MarginScale::Asinh => margin.asinh(),
            MarginScale::Log => margin,
            MarginScale::Ratio => margin.exp_m1(),
            MarginScale::Reciprocal => -(-margin).exp_m1(),
        }
    }

    fn margin(self, y: f64) -> f64 {
        match self.margin {
            MarginScale::Asinh => y.sinh(),
            MarginScale::Log => y,
            MarginScale::Ratio => y.max(-1.0).ln_1p(),
            MarginScale::Reciprocal => -(-y.min(1.0)).ln_1p(),
        }
    }
}

/// A monotone cubic through points of (value, margin), and its tangents beyond them. Between two points it never
/// leaves their range, so a root that the points bracket is one that the curve has. (Fritsch and Carlson's condition,
/// Butland's slopes.)
pub struct Curve {
    scales: Scales,
    spline: Spline<f64, f64>,
    first: Tangent,
    last: Tangent,
}

#[derive(Clone, Copy)]
struct Tangent {
    x: f64,
    y: f64,
    slope: f64,
}

impl Tangent {
    fn at(self, x: f64) -> f64 {
        self.y + (x - self.x) * self.slope
    }
}

impl Curve {
    /// `points` ascend strictly in their value; `None` for fewer than two. A margin below an earlier one counts as that
    /// one.
    pub fn through(points: &[(f64, f64)], scales: Scales) -> Option<Self> {
        let mut highest = f64::NEG_INFINITY;
        let monotone = points.iter().map(|(value, margin)| {
            highest = highest.max(*margin);
            (scales.x(*value), scales.y(highest))
        });
        let points: Vec<(f64, f64)> = monotone.collect();
        let steps: Vec<f64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        let rises = points.windows(2).map(|pair| pair[1].1 - pair[0].1);
        let slopes: Vec<f64> = rises.zip(&steps).map(|(rise, step)| rise / step).collect();
        let (first, last) = (points.first()?, points.last()?);
        if slopes.is_empty() {
            return None;
        }
        let tangents = tangents(&steps, &slopes);
        let step_at = |index: Option<usize>| index.and_then(|index| steps.get(index)).copied().unwrap_or(0.0);
        let keys = points.iter().zip(&tangents).enumerate().map(|(index, (&(x, y), tangent))| {
            // A third of the way along the tangent on either side: the Bézier form of the cubic Hermite.
            let before = y - tangent * step_at(index.checked_sub(1)) / 3.0;
            Key::new(x, y, Interpolation::StrokeBezier(before, y + tangent * step_at(Some(index)) / 3.0))
        });
        let tangent =
            |&(x, y): &(f64, f64), slope: Option<&f64>| Tangent { x, y, slope: slope.copied().unwrap_or(0.0) };
        Some(Self {
            scales,
            spline: Spline::from_iter(keys),
            first: tangent(first, tangents.first()),
            last: tangent(last, tangents.last()),
        })
    }

    /// The margin at a value.
    pub fn at(&self, value: f64) -> f64 {
        self.scales.margin(self.y(self.scales.x(value)))
    }

    /// Where the curve crosses zero between two values; one of them if it does so elsewhere.
    pub fn root(&self, low: f64, high: f64) -> f64 {
        let (mut low, mut high) = (self.scales.x(low), self.scales.x(high));
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            if self.y(middle) <= 0.0 { low = middle } else { high = middle }
        }
        self.scales.value((low + high) / 2.0)
    }

    fn y(&self, x: f64) -> f64 {
        if x <= self.first.x {
            self.first.at(x)
        } else if x >= self.last.x {
            self.last.at(x)
        } else {
            self.spline.clamped_sample(x).unwrap_or(f64::NAN)
        }
    }
}

/// Tangents at the points: weighted harmonic means of the slopes on both sides, zero where they turn.
fn tangents(steps: &[f64], slopes: &[f64]) -> Vec<f64> {
    let inner = steps.windows(2).zip(slopes.windows(2)).map(|(step, slope)| {
        if slope[0] * slope[1] <= 0.0 {
            return 0.0;
        }
        let (left, right) = (2.0 * step[1] + step[0], step[1] + 2.0 * step[0]);
        (left + right) / (left / slope[0] + right / slope[1])
    });
    let last = slopes.len() - 1;
    let first = end_tangent(steps, slopes, 0, 1.min(last));
    let end = end_tangent(steps, slopes, last, last.saturating_sub(1));
    std::iter::once(first).chain(inner).chain([end]).collect()
}

/// The tangent at an end: that of the parabola through three points, kept monotone.
fn end_tangent(steps: &[f64], slopes: &[f64], own: usize, next: usize) -> f64 {
    let bend = steps[own] * (slopes[own] - slopes[next]) / (steps[own] + steps[next]);
    let tangent = slopes[own] + bend;
    if tangent * slopes[own] <= 0.0 {
        0.0
    } else if slopes[own] * slopes[next] <= 0.0 && tangent.abs() > 3.0 * slopes[own].abs() {
        3.0 * slopes[own]
    } else {
        tangent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // scipy: PchipInterpolator([0, 1, 3, 4, 7], [-2, -1.5, 0.5, 0.75, 4]), its root by brentq
    const PCHIP: [(f64, f64); 6] = [
        (0.25, -1.9051339285714286),
        (0.9, -1.5630714285714284),
        (1.7, -0.80609375),
        (3.5, 0.6258844339622641),
        (4.1, 0.7894684661076169),
        (6.6, 3.34582110412299),
    ];
    const PCHIP_ROOT: f64 = 2.3643412366592234;

    fn scales(margin: MarginScale) -> Scales {
        Scales { is_x_log: false, margin }
    }

    #[test]
    fn it_is_scipys_pchip() {
        let points = [(0.0, -2.0), (1.0, -1.5), (3.0, 0.5), (4.0, 0.75), (7.0, 4.0)];
        let curve = Curve::through(&points, scales(MarginScale::Log)).unwrap();
        for (x, expected) in PCHIP {
            assert!((curve.at(x) - expected).abs() < 1e-12, "{x}: {} is not {expected}", curve.at(x));
        }
        let root = curve.root(1.0, 3.0);
        assert!((root - PCHIP_ROOT).abs() < 1e-9, "{root}");
    }

    #[test]
    fn on_its_own_scales_a_law_needs_two_points_on_whichever_side() {
        type Law = fn(f64) -> f64;
        let laws: [(Law, MarginScale); 3] = [
            (|load| ((1.0 + load / 8.0) / 3.0).ln(), MarginScale::Ratio),
            (|load| load / 16.0 - 1.0, MarginScale::Log),
            (|load| (1.0 / (1.0 - load / 20.0) / 5.0).ln(), MarginScale::Reciprocal),
        ];
        for (law, margin) in laws {
            for (left, right) in [(8.0, 19.0), (4.0, 8.0), (17.0, 19.0)] {
                let curve = Curve::through(&[(left, law(left)), (right, law(right))], scales(margin)).unwrap();
                assert!((curve.root(1.0, 19.9) - 16.0).abs() < 1e-9, "{margin:?}: {}", curve.root(1.0, 19.9));
            }
        }
    }

    #[test]
    fn one_point_is_no_curve() {
        assert!(Curve::through(&[(1.0, -1.0)], scales(MarginScale::Log)).is_none());
    }
}
