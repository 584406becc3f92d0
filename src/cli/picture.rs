//! The flags of a picture: how large it is, what it says, and in which formats it is written.

use super::advice::of_plot;
use super::{Failure, positive_number, query_failure};
use crate::plot::{Dress, Figure, LegendPlace, Palette, PlotError, Scale, Size, to_pdf, to_png, to_svg};
use crate::store::write_bytes_atomically;
use clap::ValueEnum;
use std::path::Path;

#[derive(clap::Args)]
pub struct Picture {
    /// Height of a panel; default: 6.4, or that of --style.
    #[arg(long, value_name = "INCHES", value_parser = positive_number)]
    fig_height: Option<f64>,
    /// Resolution of the PNG; default: 300, or that of --style.
    #[arg(long, value_name = "DPI", value_parser = positive_number)]
    fig_dpi: Option<f64>,
    /// Width of the whole picture.
    #[arg(long, value_name = "INCHES", value_parser = positive_number)]
    width: Option<f64>,
    /// Height of the whole picture.
    #[arg(long, value_name = "INCHES", value_parser = positive_number, conflicts_with = "fig_height")]
    height: Option<f64>,
    /// Size of the axes' numbers; all other texts follow it.
    #[arg(long, value_name = "POINTS", value_parser = positive_number)]
    font_size: Option<f64>,
    /// Sizes for a paper's column, a slide, or a screen.
    #[arg(long, value_enum, value_name = "STYLE")]
    style: Option<Style>,
    /// Title of the picture.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// A line below the title.
    #[arg(long, value_name = "TEXT")]
    subtitle: Option<String>,
    /// What a variable is called on axes and in the legend: max_num_seqs='Batch limit'. May be repeated.
    #[arg(long, value_name = "VAR=TEXT", value_parser = pair)]
    label: Vec<(String, String)>,
    /// The unit of a variable, in parentheses behind its name. May be repeated.
    #[arg(long, value_name = "VAR=UNIT", value_parser = pair)]
    unit: Vec<(String, String)>,
    /// Where the legend stands.
    #[arg(long, value_enum, default_value_t, value_name = "PLACE")]
    legend: Place,
    /// Colors of curves and frontiers.
    #[arg(long, value_enum, default_value_t, value_name = "PALETTE")]
    palette: PaletteName,
    /// Ends of the x axis.
    #[arg(long, value_name = "FROM,TO", value_parser = range, allow_hyphen_values = true)]
    xlim: Option<(f64, f64)>,
    /// Ends of the y axis.
    #[arg(long, value_name = "FROM,TO", value_parser = range, allow_hyphen_values = true)]
    ylim: Option<(f64, f64)>,
    /// Also write SVG.
    #[arg(long)]
    svg: bool,
    /// Also write PDF, with the font embedded.
    #[arg(long)]
    pdf: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Style {
    /// 3.4 inches wide, 600 dpi.
    Paper,
    /// 13.3 by 7.5 inches, large texts.
    Slide,
    /// 100 dpi.
    Screen,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Place {
    /// To the right, or below where its texts are long.
    #[default]
    Auto,
    /// To the right.
    Right,
    /// Below.
    Bottom,
    /// No legend.
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum PaletteName {
    /// Okabe and Ito's, which color-blind readers can tell apart.
    #[default]
    OkabeIto,
    /// From dark blue to yellow.
    Viridis,
    /// Tableau 10.
    Tableau,
    /// Shades of gray.
    Gray,
}

/// Inches: the height of a row, and the width, of a figure of rows over one axis.
const STACKED: (f64, f64) = (1.6, 10.0);

impl Picture {
    pub fn dress(&self) -> Dress {
        Dress {
            title: self.title.clone(),
            subtitle: self.subtitle.clone(),
            labels: self.label.iter().cloned().collect(),
            units: self.unit.iter().cloned().collect(),
            x_range: self.xlim,
            y_range: self.ylim,
            palette: match self.palette {
                PaletteName::OkabeIto => Palette::OkabeIto,
                PaletteName::Viridis => Palette::Viridis,
                PaletteName::Tableau => Palette::Tableau,
                PaletteName::Gray => Palette::Gray,
            },
        }
    }

    /// A logarithm has no place for 0 and below.
    pub fn check_scales(&self, x: Scale, y: Scale) -> Result<(), Failure> {
        let asked = [("--xlim", self.xlim, x), ("--ylim", self.ylim, y)];
        match asked.into_iter().find(|(_, range, scale)| range.is_some_and(|(from, _)| !scale.takes(from))) {
            Some((flag, ..)) => Err(Failure::input(format!(
                "{flag}: must begin where the axis has a place for it: above 0 on a log scale"
            ))),
            None => Ok(()),
        }
    }

    fn size(&self, figure: &Figure) -> Size {
        let (width, height, dpi, magnified) = match self.style {
            None => (None, None, 300.0, 1.0),
            Some(Style::Paper) => (Some(3.4), Some(2.4), 600.0, 0.95),
            Some(Style::Slide) => (Some(13.3), Some(7.5), 150.0, 1.2),
            Some(Style::Screen) => (None, None, 100.0, 1.0),
        };
        // Rows over one axis are low and wide.
        let (usual_panel, usual_width) = if figure.is_stacked() { (STACKED.0, Some(STACKED.1)) } else { (6.4, None) };
        let panel = self.fig_height.unwrap_or(usual_panel);
        let of_style = |size: Option<f64>| size.filter(|_| self.fig_height.is_none());
        let size = Size {
            width_in: self.width.or(of_style(width)).or(usual_width),
            height_in: self.height.or(of_style(height)),
            legend: match self.legend {
                Place::Auto => LegendPlace::Auto,
                Place::Right => LegendPlace::Right,
                Place::Bottom => LegendPlace::Bottom,
                Place::None => LegendPlace::None,
            },
            ..Size::of_panel(panel, self.fig_dpi.unwrap_or(dpi), magnified)
        };
        self.font_size.map_or(size, |points| size.with_tick_points(points))
    }

    /// Writes a figure: as what the name's ending says, and in the other formats that are asked for.
    pub fn write(&self, path: &Path, figure: &Figure) -> Result<(), Failure> {
        let more = [("svg", self.svg), ("pdf", self.pdf)].into_iter().filter(|(_, is_wanted)| *is_wanted);
        write(path, figure, self.size(figure), &more.map(|(ending, _)| ending).collect::<Vec<_>>())
    }
}

/// Refuses a file whose ending says no format that is written.
pub fn check_ending(path: &Path) -> Result<(), Failure> {
    match ending_of(path).as_str() {
        "png" | "svg" | "pdf" => Ok(()),
        other => Err(Failure::input(format!("{}: unknown format .{other}; use .png, .svg or .pdf", path.display()))),
    }
}

fn ending_of(path: &Path) -> String {
    path.extension().map_or_else(|| "png".to_owned(), |ending| ending.to_string_lossy().to_ascii_lowercase())
}

/// Writes a figure that nobody chose the look of.
pub fn write_usual(path: &Path, figure: &Figure) -> Result<(), Failure> {
    write(path, figure, Size::of_panel(4.8, 150.0, 1.0), &[])
}

fn write(path: &Path, figure: &Figure, size: Size, more: &[&str]) -> Result<(), Failure> {
    let svg = to_svg(figure, size).map_err(plot_failure)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Failure::work)?;
    }
    let ending = ending_of(path);
    let others = more.iter().copied().filter(|more| *more != ending);
    let files = std::iter::once((path.to_owned(), ending.as_str()));
    for (path, ending) in files.chain(others.map(|ending| (path.with_extension(ending), ending))) {
        let bytes = match ending {
            "svg" => svg.clone().into_bytes(),
            "pdf" => to_pdf(&svg).map_err(plot_failure)?,
            _ => {
                let (width, height) = size.pixels(figure);
                to_png(&svg, width, height).map_err(plot_failure)?
            }
        };
        write_bytes_atomically(&path, &bytes).map_err(Failure::work)?;
    }
    Ok(())
}

/// An error of a request is an input; one of the drawing is work that failed.
pub fn plot_failure(error: PlotError) -> Failure {
    match error {
        PlotError::Query(error) if !error.is_input() => query_failure(error),
        PlotError::Drawing(_) => Failure::work(error),
        error => Failure::Input(of_plot(&error)),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((var, text)) if !var.trim().is_empty() => Ok((var.trim().to_owned(), text.to_owned())),
        _ => Err("expected VARIABLE=TEXT".into()),
    }
}

fn range(text: &str) -> Result<(f64, f64), String> {
    let numbers =
        text.split_once(',').and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)));
    match numbers {
        Some((from, to)) if f64::is_finite(from) && f64::is_finite(to) && from < to => Ok((from, to)),
        _ => Err("expected two numbers, the lower one first, such as 0,500".into()),
    }
}
