//! SVG to PNG, with the embedded font and nothing of the system's.

use super::PlotError;
use super::theme::FONT;
use png::{BitDepth, ColorType, Compression, Encoder, Filter};
use rayon::prelude::*;
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use std::cmp::Reverse;
use std::collections::HashMap;
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

/// A chart has a few hundred colours, most of them on the edges of letters and lines: a palette makes it a quarter of the size.
fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_depth(BitDepth::Eight);
    let indexed = Palette::of(pixels).map(|palette| (palette.indices(pixels), palette.colors));
    match &indexed {
        Some((_, colors)) => {
            encoder.set_color(ColorType::Indexed);
            encoder.set_palette(colors.concat());
            encoder.set_filter(Filter::NoFilter);
            encoder.set_compression(Compression::Balanced);
        }
        None => {
            encoder.set_color(ColorType::Rgb);
            encoder.set_compression(Compression::Fast);
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(indexed.as_ref().map_or(pixels, |(indices, _)| indices))?;
    writer.finish()?;
    Ok(bytes)
}

type Rgb = [u8; BYTES_PER_PIXEL];

/// The most frequent colours of a picture, and which of them stands for each colour.
struct Palette {
    colors: Vec<Rgb>,
    index_of: HashMap<Rgb, u8>,
}

const PALETTE_SIZE: usize = 256;
/// A picture of more colours than these is no chart of lines and letters.
const MOST_COLORS: usize = 8192;

impl Palette {
    /// `None` for a picture of too many colours.
    fn of(pixels: &[u8]) -> Option<Self> {
        let mut counts: HashMap<Rgb, usize> = HashMap::new();
        for run in colors(pixels).chunk_by(PartialEq::eq) {
            *counts.entry(run[0]).or_default() += run.len();
            if counts.len() > MOST_COLORS {
                return None;
            }
        }
        let mut by_count: Vec<(Rgb, usize)> = counts.into_iter().collect();
        by_count.sort_unstable_by_key(|(color, count)| (Reverse(*count), *color));
        let all: Vec<Rgb> = by_count.into_iter().map(|(color, _)| color).collect();
        let colors = all[..all.len().min(PALETTE_SIZE)].to_vec();
        let index_of = all.iter().map(|color| (*color, nearest(&colors, *color))).collect();
        Some(Self { colors, index_of })
    }

    fn indices(&self, pixels: &[u8]) -> Vec<u8> {
        let mut indices = Vec::with_capacity(pixels.len() / BYTES_PER_PIXEL);
        for run in colors(pixels).chunk_by(PartialEq::eq) {
            indices.resize(indices.len() + run.len(), self.index_of[&run[0]]);
        }
        indices
    }
}

fn colors(pixels: &[u8]) -> &[Rgb] {
    pixels.as_chunks().0
}

fn nearest(colors: &[Rgb], color: Rgb) -> u8 {
    let distance = |other: &Rgb| -> u32 {
        other.iter().zip(color).map(|(one, other)| u32::from(one.abs_diff(other)).pow(2)).sum()
    };
    let nearest = (0..colors.len()).min_by_key(|index| distance(&colors[*index]));
    nearest.and_then(|index| u8::try_from(index).ok()).unwrap_or(0)
}

fn drawing(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pixels of a picture, as red, green and blue.
    fn decoded(png: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn a_picture_has_the_asked_size_and_bands_meet() {
        // A diagonal across several bands: every row has its dark pixels.
        let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" width="300" height="600"><path d="M0 0L300 600" stroke="black" stroke-width="20"/></svg>"#;
        let (width, height, pixels) = decoded(&to_png(svg, 150, 700).unwrap());
        assert_eq!((width, height), (150, 700));
        let is_dark = |row: &[u8]| row.chunks(3).any(|pixel| pixel[0] < 100);
        assert!(pixels.chunks(150 * 3).all(is_dark));
        assert_eq!(&pixels[pixels.len() - 150 * 3..][..3], [255, 255, 255]);
    }

    #[test]
    fn a_palette_keeps_frequent_colours_and_rare_ones_are_near() {
        // A white ground with 300 greys and reds on it; the reds are rarer.
        let mut pixels = vec![255; 3 * 10_000];
        (0..200).for_each(|grey| pixels.extend([grey; 3].repeat(5)));
        (100..200).for_each(|red| pixels.extend([red, 0, 0]));
        let (_, _, shown) = decoded(&encode(&pixels, 11_100, 1).unwrap());
        assert_eq!(shown[..3 * 11_000], pixels[..3 * 11_000]);
        let farthest = shown.iter().zip(&pixels).map(|(shown, asked)| shown.abs_diff(*asked)).max();
        assert!((1..64).contains(&farthest.unwrap()), "{farthest:?}");
    }

    #[test]
    fn a_picture_of_too_many_colours_keeps_all_of_them() {
        let pixels: Vec<u8> = (0..10_000_u32).flat_map(|index| [(index % 251) as u8, (index / 251) as u8, 7]).collect();
        assert_eq!(decoded(&encode(&pixels, 100, 100).unwrap()).2, pixels);
    }

    #[test]
    fn a_picture_without_size_is_refused() {
        assert!(matches!(to_png("<svg/>", 0, 10), Err(PlotError::BadSize { .. })));
        assert!(matches!(to_png("<svg/>", 100_000, 100_000), Err(PlotError::BadSize { .. })));
    }
}
