//! `sweeplake plot`: performance curves.

use super::advice::of_plot;
use super::lake::Opening;
use super::{Ended, Failure, block_on, query_failure};
use crate::cli::say::{out, say};
use crate::plot::{CurveRequest, DrawnCurves, Figure, PlotError, Scale, Size, to_png, to_svg};
use crate::store::{figure_name, write_bytes_atomically};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// The flags of `vllm bench sweep plot`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Sweeps (or lakes); with several, each sweep gets its own curves.
    #[arg(default_value = "results", value_name = "EXPERIMENT_DIR")]
    sweeps: Vec<PathBuf>,
    /// Folder for the figures, relative to the first EXPERIMENT_DIR.
    #[arg(long, value_name = "DIR", value_parser = super::lake::local_path)]
    fig_dir: Option<PathBuf>,
    /// Draw one figure for each combination of these variables' values (comma-separated).
    #[arg(long, value_name = "VAR,…", default_value = "", value_delimiter = ',')]
    fig_by: Vec<String>,
    /// Draw one row of panels for each combination of these variables' values.
    #[arg(long, value_name = "VAR,…", default_value = "", value_delimiter = ',')]
    row_by: Vec<String>,
    /// Draw one column of panels for each combination of these variables' values.
    #[arg(long, value_name = "VAR,…", default_value = "", value_delimiter = ',')]
    col_by: Vec<String>,
    /// Draw one curve for each combination: color by the first variable, dash by the second, marker by the third.
    #[arg(long, value_name = "VAR,…", default_value = "", value_delimiter = ',')]
    curve_by: Vec<String>,
    /// Variable of the x axis: a metric or a parameter.
    #[arg(long, value_name = "VAR", default_value = "total_token_throughput")]
    var_x: String,
    /// Variable of the y axis.
    #[arg(long, value_name = "VAR", default_value = "median_ttft_ms")]
    var_y: String,
    /// Keep only matching runs: `max_concurrency<=1024,tp==2`, or a boolean SQL expression.
    #[arg(long, value_name = "CONDITIONS", default_value = "")]
    filter_by: String,
    /// Round a variable down to a multiple: `request_throughput%0.5`.
    #[arg(long, value_name = "VAR%SIZE,…", default_value = "", value_delimiter = ',')]
    bin_by: Vec<String>,
    /// Axis scale: linear, log, log2, symlog or sqrt.
    #[arg(long, value_name = "SCALE", default_value = "linear")]
    scale_x: Scale,
    /// Likewise for the y axis.
    #[arg(long, value_name = "SCALE", default_value = "linear")]
    scale_y: Scale,
    /// Prefix of the figures' file names.
    #[arg(long, value_name = "PREFIX", default_value = "FIGURE")]
    fig_name: String,
    /// Do not draw confidence intervals.
    #[arg(long)]
    no_error_bars: bool,
    #[command(flatten)]
    picture: Picture,
    /// Print what would be drawn, without drawing it.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    opening: Opening,
}

/// How large a figure is, and in which formats it is written.
#[derive(clap::Args)]
pub struct Picture {
    /// Height of a panel in inches.
    #[arg(long, value_name = "INCHES", default_value_t = 6.4, value_parser = super::positive_number)]
    fig_height: f64,
    /// Resolution of the PNG.
    #[arg(long, value_name = "DPI", default_value_t = 300.0, value_parser = super::positive_number)]
    fig_dpi: f64,
    /// Also write SVG.
    #[arg(long)]
    svg: bool,
}

impl Default for Picture {
    fn default() -> Self {
        Self { fig_height: 4.8, fig_dpi: 150.0, svg: false }
    }
}

pub fn exec(arguments: Arguments) -> Ended {
    let request = request_of(&arguments)?;
    let curves =
        arguments.opening.with(&arguments.sweeps, |lake| block_on(request.draw(lake))?.map_err(plot_failure))?;
    let folder = arguments.sweeps[0].join(arguments.fig_dir.clone().unwrap_or_default());
    let named: Vec<(PathBuf, &DrawnCurves)> = curves
        .figures
        .iter()
        .map(|drawn| (folder.join(figure_name(&arguments.fig_name, &drawn.group)), drawn))
        .collect();
    if arguments.dry_run {
        named.iter().for_each(|(path, drawn)| print(path, drawn));
        return Ok(());
    }
    let ended: Vec<Result<(), Failure>> =
        named.par_iter().map(|(path, drawn)| arguments.picture.write(path, &drawn.figure)).collect();
    for ((path, drawn), ended) in named.iter().zip(&ended) {
        match ended {
            Ok(()) => {
                out!("{}", path.display());
                if drawn.left_out > 0 {
                    say!("warning: {}: {} run(s) cannot be placed on the axes", path.display(), drawn.left_out);
                }
            }
            Err(Failure::Input(reason) | Failure::Work(reason)) => say!("error: {}: {reason}", path.display()),
            Err(Failure::Interrupted) => {}
        }
    }
    match ended.iter().filter(|ended| ended.is_err()).count() {
        0 => Ok(()),
        failed => Err(Failure::work(format!("{failed} of {} figure(s) could not be drawn", named.len()))),
    }
}

/// An error of a request is an input; one of the drawing is work that failed.
pub fn plot_failure(error: PlotError) -> Failure {
    match error {
        PlotError::Query(error) => query_failure(error),
        PlotError::Drawing(_) => Failure::work(error),
        error => Failure::Input(of_plot(&error)),
    }
}

impl Picture {
    /// Writes a figure in the asked size.
    pub fn write(&self, path: &Path, figure: &Figure) -> Result<(), Failure> {
        let size = Size { panel_height_in: self.fig_height, dpi: self.fig_dpi, magnified: 1.0 };
        let svg = to_svg(figure, size).map_err(plot_failure)?;
        let (width, height) = size.pixels(figure);
        let png = to_png(&svg, width, height).map_err(plot_failure)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Failure::work)?;
        }
        write_bytes_atomically(path, &png).map_err(Failure::work)?;
        if self.svg {
            write_bytes_atomically(&path.with_extension("svg"), svg.as_bytes()).map_err(Failure::work)?;
        }
        Ok(())
    }
}

fn print(path: &Path, drawn: &DrawnCurves) {
    let figure = &drawn.figure;
    let group = drawn.group.iter().map(|(var, value)| format!("{var}={value}")).collect::<Vec<_>>().join(", ");
    out!("{}", path.display());
    if !group.is_empty() {
        out!("  group: {group}");
    }
    out!("  grid: {} row(s) x {} column(s)", figure.row_titles.len(), figure.col_titles.len());
    let series = figure.panels.iter().flatten().map(|panel| panel.series.len()).sum::<usize>();
    out!("  curves: {series}, points: {}", figure.num_points());
    figure.caption.iter().for_each(|line| out!("  {line}"));
}

fn request_of(arguments: &Arguments) -> Result<CurveRequest, Failure> {
    let bin_by = names(&arguments.bin_by).map(|text| bin(&text)).collect::<Result<_, _>>().map_err(Failure::input)?;
    Ok(CurveRequest {
        var_x: arguments.var_x.clone(),
        var_y: arguments.var_y.clone(),
        fig_by: names(&arguments.fig_by).collect(),
        row_by: names(&arguments.row_by).collect(),
        col_by: names(&arguments.col_by).collect(),
        curve_by: names(&arguments.curve_by).collect(),
        filter_by: arguments.filter_by.clone(),
        bin_by,
        scale_x: arguments.scale_x,
        scale_y: arguments.scale_y,
        has_error_bars: !arguments.no_error_bars,
    })
}

/// The names of a comma-separated flag.
pub fn names(list: &[String]) -> impl Iterator<Item = String> + '_ {
    list.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn bin(text: &str) -> Result<(String, f64), String> {
    let (var, size) = text.split_once('%').unwrap_or((text, ""));
    match size.trim().parse::<f64>() {
        Ok(size) if size > 0.0 && size.is_finite() => Ok((var.trim().to_owned(), size)),
        _ => Err(format!("--bin-by: {text:?}: expected VARIABLE%SIZE with a size greater than 0")),
    }
}
