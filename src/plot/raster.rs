//! SVG to PNG, with the embedded font and nothing of the system's.

use super::PlotError;
use super::theme::FONT;
use png::{BitDepth, ColorType, Compression, Encoder};
use rayon::prelude::*;
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use std::ops::Range;
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
const BYTES_PER_PIXEL: usize = 3;

/// Renders the SVG to exactly this size.
pub fn to_png(svg: &str, width: u32, height: u32) -> Result<Vec<u8>, PlotError> {
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(PlotError::BadSize { width, height });
    }
    let options = Options { fontdb: FONTS.clone(), font_family: FONT.into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(drawing)?;
    let mut pixels = vec![0; width as usize * height as usize * BYTES_PER_PIXEL];
    // One band of rows for each thread: a shape that crosses bands is drawn in each.
    let band_rows = height.div_ceil(rayon::current_num_threads() as u32);
    let band_bytes = band_rows as usize * width as usize * BYTES_PER_PIXEL;
    pixels.par_chunks_mut(band_bytes).enumerate().try_for_each(|(index, band)| {
        let top = index as u32 * band_rows;
        render_band(&tree, (width, height), top..height.min(top + band_rows), band)
    })?;
    encode(&pixels, width, height).map_err(drawing)
}

fn render_band(tree: &Tree, (width, height): (u32, u32), rows: Range<u32>, band: &mut [u8]) -> Result<(), PlotError> {
    let mut pixels = Pixmap::new(width, rows.end - rows.start).ok_or(PlotError::BadSize { width, height })?;
    pixels.fill(Color::WHITE);
    let scale = Transform::from_scale(width as f32 / tree.size().width(), height as f32 / tree.size().height());
    resvg::render(tree, scale.post_translate(0.0, -(rows.start as f32)), &mut pixels.as_mut());
    // On a white ground every pixel is opaque, so alpha says nothing.
    for (to, from) in band.chunks_exact_mut(BYTES_PER_PIXEL).zip(pixels.data().chunks_exact(4)) {
        to.copy_from_slice(&from[..BYTES_PER_PIXEL]);
    }
    Ok(())
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    // A third larger than the best compression, and ten times as fast.
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn drawing(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_asked_size_and_bands_meet() {
        // A diagonal across several bands: every row has its dark pixels.
        let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" width="300" height="600"><path d="M0 0L300 600" stroke="black" stroke-width="20"/></svg>"#;
        let png = to_png(svg, 150, 700).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (150, 700));
        let is_dark = |row: &[u8]| row.chunks(3).any(|pixel| pixel[0] < 100);
        assert!(pixels.chunks(150 * 3).all(is_dark));
        assert_eq!(&pixels[pixels.len() - 150 * 3..][..3], [255, 255, 255]);
    }

    #[test]
    fn a_picture_without_size_is_refused() {
        assert!(matches!(to_png("<svg/>", 0, 10), Err(PlotError::BadSize { .. })));
        assert!(matches!(to_png("<svg/>", 100_000, 100_000), Err(PlotError::BadSize { .. })));
    }
}
