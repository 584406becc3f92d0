//! Labels beside points, none covering another.

/// A rectangle on the drawing, in its units; y grows downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelBox {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// A label to place: its point, its size, and whether it may be left out.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub is_required: bool,
}

impl LabelBox {
    pub fn overlaps(&self, other: &Self) -> bool {
        self.left < other.left + other.width
            && other.left < self.left + self.width
            && self.top < other.top + other.height
            && other.top < self.top + self.height
    }

    fn distance_to(&self, x: f64, y: f64) -> f64 {
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        (x.clamp(self.left, right) - x).hypot(y.clamp(self.top, bottom) - y)
    }

    fn is_inside(&self, frame: &Self) -> bool {
        self.left >= frame.left
            && self.top >= frame.top
            && self.left + self.width <= frame.left + frame.width
            && self.top + self.height <= frame.top + frame.height
    }
}

/// Directions around a point, the most readable first.
const DIRECTIONS: [(f64, f64); 8] =
    [(1.0, -1.0), (1.0, 0.0), (1.0, 1.0), (-1.0, -1.0), (0.0, -1.0), (-1.0, 0.0), (0.0, 1.0), (-1.0, 1.0)];

/// Finds a place for each label inside the frame, near its point and away from the other points and labels.
/// Required ones are placed first and go further away for it; a label without a place is `None`.
pub fn place_labels(wanted: &[Wanted], obstacles: &[LabelBox], frame: LabelBox, gap: f64) -> Vec<Option<LabelBox>> {
    let mut places = vec![None; wanted.len()];
    let mut taken = obstacles.to_vec();
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|index| !wanted[*index].is_required);
    for index in order {
        let label = &wanted[index];
        let furthest = if label.is_required { 16 } else { 2 };
        let candidates = || {
            (1..=furthest).flat_map(|step| {
                let distance = gap * (1.0 + (step - 1) as f64 * 1.5);
                DIRECTIONS.iter().map(move |direction| around(label, *direction, distance))
            })
        };
        let is_free = |place: &LabelBox| place.is_inside(&frame) && !taken.iter().any(|other| place.overlaps(other));
        // Beside another point a label would be read as that point's. Where there is no other room, a line leads to its own.
        let others = || wanted.iter().filter(|other| (other.x, other.y) != (label.x, label.y));
        let is_own = |place: &LabelBox| {
            let own = place.distance_to(label.x, label.y);
            others().all(|other| place.distance_to(other.x, other.y) > own)
        };
        let place = candidates().find(|place| is_free(place) && is_own(place));
        let place = place.or_else(|| candidates().find(|place| label.is_required && is_free(place)));
        taken.extend(place);
        places[index] = place;
    }
    places
}

fn around(label: &Wanted, (right, down): (f64, f64), distance: f64) -> LabelBox {
    let centre_x = label.x + right * (distance + label.width / 2.0);
    let centre_y = label.y + down * (distance + label.height / 2.0);
    LabelBox {
        left: centre_x - label.width / 2.0,
        top: centre_y - label.height / 2.0,
        width: label.width,
        height: label.height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: LabelBox = LabelBox { left: 0.0, top: 0.0, width: 1000.0, height: 700.0 };

    fn label(x: f64, y: f64, is_required: bool) -> Wanted {
        Wanted { x, y, width: 80.0, height: 20.0, is_required }
    }

    #[test]
    fn a_lone_label_sits_right_above_its_point() {
        let place = place_labels(&[label(500.0, 300.0, true)], &[], FRAME, 8.0)[0].unwrap();
        assert!(place.left > 500.0 && place.top + place.height < 300.0 && place.left < 520.0);
    }

    #[test]
    fn what_matters_most_is_placed_first() {
        let crowd: Vec<Wanted> = (0..60).map(|index| label(500.0, 300.0, index == 59)).collect();
        let places = place_labels(&crowd, &[], FRAME, 8.0);
        assert!(places[59].is_some());
        assert!(places.iter().filter(|place| place.is_none()).count() > 10);
    }

    proptest! {
        #[test]
        fn a_label_that_may_be_left_out_is_nearest_to_its_own_point(
            points in prop::collection::vec((0.0..1000.0f64, 0.0..700.0f64), 1..60),
        ) {
            let wanted: Vec<Wanted> = points.iter().map(|(x, y)| label(*x, *y, false)).collect();
            for (own, place) in wanted.iter().zip(place_labels(&wanted, &[], FRAME, 8.0)) {
                let Some(place) = place else { continue };
                let distance = place.distance_to(own.x, own.y);
                let nearest = wanted.iter().map(|other| place.distance_to(other.x, other.y)).fold(f64::INFINITY, f64::min);
                prop_assert!(distance <= nearest);
            }
        }

        #[test]
        fn no_two_labels_overlap_and_none_leaves_the_frame(
            points in prop::collection::vec((0.0..1000.0f64, 0.0..700.0f64, any::<bool>()), 0..80),
        ) {
            let wanted: Vec<Wanted> = points.iter().map(|(x, y, required)| label(*x, *y, *required)).collect();
            let obstacles: Vec<LabelBox> = points.iter()
                .map(|(x, y, _)| LabelBox { left: x - 5.0, top: y - 5.0, width: 10.0, height: 10.0 }).collect();
            let placed: Vec<LabelBox> = place_labels(&wanted, &obstacles, FRAME, 8.0).into_iter().flatten().collect();
            for (index, one) in placed.iter().enumerate() {
                prop_assert!(one.is_inside(&FRAME));
                prop_assert!(placed[index + 1..].iter().chain(&obstacles).all(|other| !one.overlaps(other)));
            }
        }
    }
}
