//! Shapes that the margin may have over the load, each a Gaussian process, and how likely they are before anything is measured.
//!
//! A process is a straight line, bent by an integrated Wiener process (its most likely course through points is a cubic
//! spline), with or without a jump. On some axes a law of queues is straight that is bent on others, so several are tried.

/// Ways to write a margin `m = ln(metric / target)`; all are zero where the margin is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// The margin itself: powers of the load are lines over its logarithm.
    Log,
    /// `metric / target - 1`: a latency that is proportional to the load is a line over it.
    Ratio,
    /// `1 - target / metric`: a latency of a queue, `1 / (1 - load)`, is a line over it.
    Reciprocal,
}

/// A jump somewhere between two neighbouring places (logarithms of values).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jump {
    pub from: f64,
    pub until: f64,
    /// Standard deviations of its height and of the change of the slope there.
    height: f64,
    kink: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    is_x_log: bool,
    scale: Scale,
    /// Standard deviations: of the line's slope, and of the bend after one unit.
    slope: f64,
    bend: f64,
    pub jump: Option<Jump>,
    /// How likely it is beforehand.
    pub prior: f64,
}

/// Where a shape is looked at: its own axis, and the logarithm of the value.
#[derive(Clone, Copy)]
pub struct Spot {
    pub x: f64,
    pub place: f64,
}

const OFFSET: f64 = 3.0;
const SLOPE: f64 = 5.0;
/// Bends, and how likely each is.
const BENDS: [(f64, f64); 3] = [(0.03, 0.4), (0.4, 0.35), (4.0, 0.25)];
const SCALES: [(Scale, f64); 3] = [(Scale::Log, 0.4), (Scale::Ratio, 0.3), (Scale::Reciprocal, 0.3)];
/// Jumps: height, kink, slope before, and how likely each is. Before the last three the curve is flat: a server that is not
/// yet full.
const JUMPS: [(f64, f64, f64, f64); 6] = [
    (0.08, 0.0, SLOPE, 0.1),
    (0.5, 0.0, SLOPE, 0.15),
    (2.5, 0.0, SLOPE, 0.1),
    (0.08, 1.0, 0.03, 0.15),
    (0.5, 1.0, 0.03, 0.25),
    (2.5, 1.0, 0.03, 0.25),
];
/// How likely it is that there is a jump.
const JUMP_PRIOR: f64 = 0.5;

impl Shape {
    /// Shapes without a jump.
    pub fn smooth() -> Vec<Self> {
        let mut shapes = Vec::new();
        for is_x_log in [true, false] {
            for (scale, likely) in SCALES {
                for (bend, share) in BENDS {
                    let prior = (1.0 - JUMP_PRIOR) * likely * share / 2.0;
                    shapes.push(Self { is_x_log, scale, slope: SLOPE, bend, jump: None, prior });
                }
            }
        }
        shapes
    }

    /// Shapes with a jump in a gap that has this share of all places where it may be.
    pub fn jumping(from: f64, until: f64, share: f64) -> Vec<Self> {
        let of = |(height, kink, slope, likely): (f64, f64, f64, f64)| {
            [0.03, 0.4].map(|bend| Self {
                is_x_log: true,
                scale: Scale::Log,
                slope,
                bend,
                jump: Some(Jump { from, until, height, kink }),
                prior: JUMP_PRIOR * share * likely / 2.0,
            })
        };
        JUMPS.into_iter().flat_map(of).collect()
    }

    /// How much vaguer it is with the distance from its jump: what is flat there need not be so far away.
    pub fn locality(&self) -> f64 {
        if self.jump.is_some() { 1.0 } else { 0.0 }
    }

    pub fn spot(&self, place: f64, center: f64) -> Spot {
        Spot { x: if self.is_x_log { place - center } else { (place - center).exp_m1() }, place }
    }

    /// A margin on the shape's scale.
    pub fn y(&self, margin: f64) -> f64 {
        match self.scale {
            Scale::Log => margin,
            Scale::Ratio => margin.exp_m1(),
            Scale::Reciprocal => -(-margin).exp_m1(),
        }
    }

    /// How much `y` changes with the margin.
    pub fn stretch(&self, margin: f64) -> f64 {
        match self.scale {
            Scale::Log => 1.0,
            Scale::Ratio => margin.exp(),
            Scale::Reciprocal => (-margin).exp(),
        }
    }

    pub fn covariance(&self, left: Spot, right: Spot) -> f64 {
        let line = OFFSET * OFFSET + self.slope * self.slope * left.x * right.x;
        // An integrated Wiener process on each side of the center.
        let bend = if left.x * right.x > 0.0 {
            let (near, far) = (left.x.abs().min(right.x.abs()), left.x.abs().max(right.x.abs()));
            self.bend * self.bend * near * near * (far / 2.0 - near / 6.0)
        } else {
            0.0
        };
        let jump = self.jump.filter(|jump| left.place > jump.from && right.place > jump.from).map_or(0.0, |jump| {
            jump.height.powi(2) + jump.kink.powi(2) * (left.place - jump.from) * (right.place - jump.from)
        });
        line + bend + jump
    }
}
