//! From values to places on the drawing.

use super::super::axis::Axis;
use super::super::chart::{Join, Point, Series};
use super::super::labels::LabelBox;

/// A place on the drawing.
pub type Place = (f64, f64);

/// From values to units.
pub struct Map<'a> {
    pub x: &'a Axis,
    pub y: &'a Axis,
    pub frame: &'a LabelBox,
}

impl Map<'_> {
    pub fn x_units(&self, value: f64) -> Option<f64> {
        Some(self.frame.left + within(self.x.place(value)?)? * self.frame.width)
    }

    pub fn y_units(&self, value: f64) -> Option<f64> {
        Some(self.frame.top + (1.0 - within(self.y.place(value)?)?) * self.frame.height)
    }

    /// An interval that leaves the axis ends at its edge.
    pub fn x_clamped(&self, value: f64) -> Option<f64> {
        self.x_units(value.clamp(self.x.min, self.x.max))
    }

    pub fn y_clamped(&self, value: f64) -> Option<f64> {
        self.y_units(value.clamp(self.y.min, self.y.max))
    }

    pub fn place_of(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        Some((self.x_units(x)?, self.y_units(y)?))
    }

    pub fn place(&self, point: &Point) -> Option<(f64, f64)> {
        self.place_of(point.x.mean, point.y.mean)
    }
}

/// A place on an axis, if the axis reaches it.
fn within(place: f64) -> Option<f64> {
    const TOLERANCE: f64 = 1e-6;
    (-TOLERANCE..=1.0 + TOLERANCE).contains(&place).then(|| place.clamp(0.0, 1.0))
}

pub fn whole((x, y): (f64, f64)) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

/// The line through a series' points.
pub fn path_of(series: &Series, map: &Map<'_>) -> Vec<(f64, f64)> {
    let places: Vec<(f64, f64)> = series.points.iter().filter_map(|point| map.place(point)).collect();
    match series.join {
        Join::None | Join::Straight => places,
        Join::StepsAtStart => stepped(&places, |from, to| (from.0, to.1)),
        Join::StepsAtEnd => stepped(&places, |from, to| (to.0, from.1)),
    }
}

/// A path with a corner between every two places.
fn stepped(places: &[Place], corner: fn(Place, Place) -> Place) -> Vec<Place> {
    let corners = places.windows(2).flat_map(|pair| [pair[0], corner(pair[0], pair[1])]);
    corners.chain(places.last().copied()).collect()
}

/// Of curves that lie on each other, how many are drawn above each: the lower ones are drawn wider, so that all are seen. More than two make none wider.
pub fn layers(series: &[Series], map: &Map<'_>) -> Vec<usize> {
    const SAME: f64 = 0.006;
    let paths: Vec<Vec<Place>> = series.iter().map(|series| path_of(series, map)).collect();
    let near = |from: &Place, to: &Place| (from.0 - to.0).hypot(from.1 - to.1) <= SAME * map.frame.height;
    let covers = |upper: &[Place], lower: &[Place]| {
        let shared = lower.iter().filter(|place| upper.iter().any(|other| near(place, other))).count();
        shared > 1 && 2 * shared >= lower.len()
    };
    let above =
        |index: usize| paths.iter().skip(index + 1).filter(|upper| covers(upper, &paths[index])).take(2).count();
    (0..series.len()).map(|index| if series[index].join == Join::None { 0 } else { above(index) }).collect()
}
