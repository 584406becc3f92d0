//! The look: colours that colour-blind readers can tell apart, dashes, markers, sizes.

/// Red, green, blue.
pub type Color = (u8, u8, u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
    Cross,
    /// Only the line.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dash {
    Solid,
    Dashed,
    Dotted,
    /// Dashes and dots in turn.
    Mixed,
}

pub const FONT: &str = "Noto Sans";
pub const INK: Color = (31, 35, 40);
pub const QUIET_INK: Color = (87, 96, 106);
pub const GRID: Color = (216, 222, 228);
pub const FINE_GRID: Color = (238, 241, 244);
pub const FRAME: Color = (140, 149, 159);
pub const DIMMED: Color = (150, 158, 168);

const MARKERS: [Marker; 6] =
    [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::TriangleDown, Marker::Cross];
const DASHES: [Dash; 4] = [Dash::Solid, Dash::Dashed, Dash::Dotted, Dash::Mixed];

/// Okabe and Ito's palette, without the yellow that vanishes on white.
const CATEGORIES: [Color; 7] =
    [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0), (70, 70, 70)];

/// Points of the viridis colour map, from dark to as light as still stands out from white.
const SEQUENCE: [Color; 6] =
    [(68, 1, 84), (65, 68, 135), (42, 120, 142), (34, 168, 132), (94, 201, 98), (170, 200, 30)];

/// Sets of colors to choose from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// Okabe and Ito's, which color-blind readers can tell apart; viridis for ordered values.
    #[default]
    OkabeIto,
    Viridis,
    /// Tableau 10.
    Tableau,
    Gray,
}

const TABLEAU: [Color; 10] = [
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (127, 127, 127),
    (188, 189, 34),
    (23, 190, 207),
];

impl Palette {
    /// The color of the `index`-th of `count` things.
    pub fn color(self, index: usize, count: usize) -> Color {
        match self {
            Self::OkabeIto => category_color(index),
            Self::Viridis => sequence_color(index, count),
            Self::Tableau => TABLEAU[index % TABLEAU.len()],
            Self::Gray => {
                let level = 30 + (150 * index / count.max(1)) as u8;
                (level, level, level)
            }
        }
    }
}

/// The colour of a category; past the palette's end it repeats, and the marker tells apart.
pub fn category_color(index: usize) -> Color {
    CATEGORIES[index % CATEGORIES.len()]
}

/// The colour of the `index`-th of `count` ordered values.
pub fn sequence_color(index: usize, count: usize) -> Color {
    if count < 2 {
        return CATEGORIES[0];
    }
    let place = index as f64 / (count - 1) as f64 * (SEQUENCE.len() - 1) as f64;
    let (low, high) = (SEQUENCE[place.floor() as usize], SEQUENCE[place.ceil() as usize]);
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * place.fract()).round() as u8;
    (mix(low.0, high.0), mix(low.1, high.1), mix(low.2, high.2))
}

pub fn marker(index: usize) -> Marker {
    MARKERS[index % MARKERS.len()]
}

pub fn dash(index: usize) -> Dash {
    DASHES[index % DASHES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contrast against white as WCAG 2 defines it.
    fn contrast(color: Color) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        1.05 / (0.2126 * linear(color.0) + 0.7152 * linear(color.1) + 0.0722 * linear(color.2) + 0.05)
    }

    #[test]
    fn every_curve_stands_out_from_white() {
        let all = CATEGORIES.into_iter().chain((0..12).map(|index| sequence_color(index, 12)));
        for color in all {
            assert!(contrast(color) > 1.8, "{color:?} has a contrast of {}", contrast(color));
        }
    }

    #[test]
    fn ordered_values_have_colours_of_their_own() {
        let colors: std::collections::HashSet<Color> = (0..12).map(|index| sequence_color(index, 12)).collect();
        assert_eq!(colors.len(), 12);
    }
}
