//! SVG to PDF: vectors, with the font embedded.

use super::PlotError;
use super::draw::UNITS_PER_INCH;
use super::theme::FONT;
use std::sync::Arc;
use svg2pdf::usvg::{Options, Tree, fontdb};
use svg2pdf::{ConversionOptions, PageOptions};

pub fn to_pdf(svg: &str) -> Result<Vec<u8>, PlotError> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(notosans::REGULAR_TTF.to_vec());
    fonts.load_font_data(notosans::BOLD_TTF.to_vec());
    fonts.set_sans_serif_family(FONT);
    let options = Options { fontdb: Arc::new(fonts), font_family: FONT.into(), ..Options::default() };
    let drawing = |error: &dyn std::fmt::Display| PlotError::Drawing(error.to_string());
    let tree = Tree::from_str(svg, &options).map_err(|error| drawing(&error))?;
    svg2pdf::to_pdf(&tree, ConversionOptions::default(), PageOptions { dpi: UNITS_PER_INCH as f32 })
        .map_err(|error| drawing(&error))
}
