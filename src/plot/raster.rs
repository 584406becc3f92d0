//! SVG to PNG, with the embedded font and nothing of the system's.

use super::PlotError;
use super::theme::FONT;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use std::sync::{Arc, LazyLock};

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(notosans::REGULAR_TTF.to_vec());
    fonts.load_font_data(notosans::BOLD_TTF.to_vec());
    fonts.set_sans_serif_family(FONT);
    Arc::new(fonts)
});

/// The largest picture that is drawn, in pixels.
const MOST_PIXELS: u64 = 400_000_000;

/// Renders the SVG to exactly this size.
pub fn to_png(svg: &str, width: u32, height: u32) -> Result<Vec<u8>, PlotError> {
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(PlotError::TooLarge { width, height });
    }
    let options = Options { fontdb: FONTS.clone(), font_family: FONT.into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| PlotError::Drawing(error.to_string()))?;
    let mut pixels = Pixmap::new(width, height).ok_or(PlotError::TooLarge { width, height })?;
    pixels.fill(resvg::tiny_skia::Color::WHITE);
    let (scale_x, scale_y) = (width as f32 / tree.size().width(), height as f32 / tree.size().height());
    resvg::render(&tree, Transform::from_scale(scale_x, scale_y), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| PlotError::Drawing(error.to_string()))
}
