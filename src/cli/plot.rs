//! `sweeplake plot`: performance curves.

use super::lake::Opening;
use super::picture::{Picture, check_ending, plot_failure};
use super::{Ended, Failure, block_on};
use crate::cli::say::{out, say};
use crate::plot::{ChartKind, CurveRequest, Figure, KindRequest, Rows, Scale, TimelineRequest};
use crate::store::figure_name;
use clap::ValueEnum;
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
    /// Draw one curve for each combination: color by the first variable, dash by the second, marker by the third. Default: the server
    /// settings that vary, if there are no other groups.
    #[arg(long, value_name = "VAR,…", default_value = "", value_delimiter = ',')]
    curve_by: Vec<String>,
    /// Variable of the x axis: a metric, a parameter, or an expression such as 'output_throughput / gpu_count AS per_gpu'. Default:
    /// total_token_throughput; for other kinds of charts the label of the combination.
    #[arg(long, value_name = "VAR")]
    var_x: Option<String>,
    /// Variable of the y axis, likewise. Default: median_ttft_ms; for other kinds output_throughput, or e2el_ms over requests.
    #[arg(long, value_name = "VAR")]
    var_y: Option<String>,
    /// Kind of chart: curves of means, or the values themselves.
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    kind: KindName,
    /// Rows to draw: runs, or single requests (not for curves).
    #[arg(long, value_enum, default_value_t, value_name = "TABLE")]
    over: Over,
    /// Draw the rows of a query: its first column is x, its second y, and the others tell curves apart, unless --var-x, --var-y and --curve-by
    /// name them.
    #[arg(long, value_name = "SQL", conflicts_with_all = ["over", "filter_by", "fig_by", "row_by", "col_by", "bin_by"])]
    from: Option<String>,
    /// Draw what happened during each run over time: queue, KV cache, tokens, power, clocks, requests.
    #[arg(long, conflicts_with_all = ["kind", "over", "from", "var_x", "var_y", "fig_by", "row_by", "col_by", "curve_by", "bin_by", "scale_x", "scale_y", "ylim"])]
    timeline: bool,
    /// With --timeline: only this run, by its run_id or the beginning of it. May be repeated.
    #[arg(long, value_name = "ID", requires = "timeline")]
    run: Vec<String>,
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
    /// Write the figure to this file (.png, .svg or .pdf); with --fig-by it is a prefix.
    #[arg(long, short, value_name = "FILE", value_parser = super::lake::local_path, conflicts_with_all = ["fig_dir", "fig_name"])]
    output: Option<PathBuf>,
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum KindName {
    /// Means of runs, joined in the order of x or of the load.
    #[default]
    Curves,
    /// Quartiles, whiskers, and what lies beyond.
    Box,
    /// Densities.
    Violin,
    /// Shares of values at or below each.
    Ecdf,
    /// Means by x and curve as colors.
    Heat,
    /// Every value as a point.
    Scatter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Over {
    /// Runs.
    #[default]
    Runs,
    /// Requests of the runs.
    Requests,
}

pub fn exec(arguments: Arguments) -> Ended {
    arguments.output.as_deref().map_or(Ok(()), check_ending)?;
    arguments.picture.check_scales(arguments.scale_x, arguments.scale_y)?;
    let figures = figures_of(&arguments)?;
    if arguments.dry_run {
        figures.iter().for_each(|figure| print(&figure.path, &figure.group, &figure.figure));
        return Ok(());
    }
    let ended: Vec<Result<bool, Failure>> = figures
        .par_iter()
        .map(|figure| {
            let is_there = figure.path.exists();
            arguments.picture.write(&figure.path, &figure.figure).map(|()| is_there)
        })
        .collect();
    for (figure, ended) in figures.iter().zip(&ended) {
        let path = figure.path.display();
        match ended {
            Ok(is_replaced) => {
                out!("{path}");
                if *is_replaced {
                    say!("note: {path}: replaced an earlier figure; -o or --fig-name gives it another name");
                }
                if figure.left_out > 0 {
                    say!("warning: {path}: {} run(s) cannot be placed on the axes", figure.left_out);
                }
            }
            Err(Failure::Input(reason) | Failure::Work(reason)) => say!("error: {path}: {reason}"),
            Err(Failure::Interrupted) => {}
        }
    }
    match ended.iter().filter(|ended| ended.is_err()).count() {
        0 => Ok(()),
        failed => Err(Failure::work(format!("{failed} of {} figure(s) could not be drawn", figures.len()))),
    }
}

/// A figure, and where it goes.
struct Named {
    path: PathBuf,
    group: Vec<(String, String)>,
    figure: Figure,
    left_out: usize,
}

/// More timelines than these are not looked at.
const MOST_TIMELINES: usize = 24;

/// A figure for each run.
fn timelines_of(arguments: &Arguments) -> Result<Vec<Named>, Failure> {
    let request = TimelineRequest {
        runs: arguments.run.clone(),
        sweep: None,
        filter_by: arguments.filter_by.clone(),
        most: MOST_TIMELINES,
    };
    let drawn =
        arguments.opening.with(&arguments.sweeps, |lake| block_on(request.draw(lake))?.map_err(plot_failure))?;
    let is_one = drawn.len() == 1;
    let is_one_sweep = drawn.windows(2).all(|pair| pair[0].sweep == pair[1].sweep);
    let named = drawn.into_iter().map(|mut drawn| {
        arguments.picture.dress().put_on(&mut drawn.figure);
        let of_sweep = (!is_one_sweep).then(|| ("sweep".to_owned(), drawn.sweep));
        let own = [("label".to_owned(), drawn.label), ("run".to_owned(), drawn.run_number.to_string())];
        let group: Vec<(String, String)> = of_sweep.into_iter().chain(own).collect();
        // A file that is named for one figure has that name.
        let in_name: &[(String, String)] = if is_one && arguments.output.is_some() { &[] } else { &group };
        let path = path_of(arguments, "TIMELINE", in_name);
        Named { path, group, figure: drawn.figure, left_out: 0 }
    });
    Ok(named.collect())
}

fn figures_of(arguments: &Arguments) -> Result<Vec<Named>, Failure> {
    if arguments.timeline {
        return timelines_of(arguments);
    }
    if arguments.kind == KindName::Curves && arguments.from.is_none() {
        if arguments.over == Over::Requests {
            return Err(Failure::input(
                "--over requests: curves are drawn over runs; choose another --kind, such as ecdf",
            ));
        }
        let request = request_of(arguments)?;
        let curves =
            arguments.opening.with(&arguments.sweeps, |lake| block_on(request.draw(lake))?.map_err(plot_failure))?;
        let named = curves.figures.into_iter().map(|drawn| Named {
            path: path_of(arguments, &arguments.fig_name, &drawn.group),
            group: drawn.group,
            figure: drawn.figure,
            left_out: drawn.left_out,
        });
        return Ok(named.collect());
    }
    let request = kind_request_of(arguments)?;
    let figure =
        arguments.opening.with(&arguments.sweeps, |lake| block_on(request.draw(lake))?.map_err(plot_failure))?;
    Ok(vec![Named { path: path_of(arguments, &arguments.fig_name, &[]), group: Vec::new(), figure, left_out: 0 }])
}

/// `prefix` begins the name where no file is named.
fn path_of(arguments: &Arguments, prefix: &str, group: &[(String, String)]) -> PathBuf {
    if let Some(output) = &arguments.output {
        let stem = output.file_stem().unwrap_or_default().to_string_lossy();
        let named = figure_name(&stem, group);
        let ending = output.extension().map_or_else(|| "png".into(), |ending| ending.to_string_lossy());
        return output.with_file_name(named).with_extension(ending.as_ref());
    }
    let folder = arguments.sweeps[0].join(arguments.fig_dir.clone().unwrap_or_default());
    folder.join(figure_name(prefix, group))
}

fn kind_request_of(arguments: &Arguments) -> Result<KindRequest, Failure> {
    let panels = [("--fig-by", &arguments.fig_by), ("--row-by", &arguments.row_by), ("--col-by", &arguments.col_by)];
    if let Some((flag, _)) = panels.into_iter().find(|(_, vars)| names(vars).next().is_some()) {
        return Err(Failure::input(format!("{flag}: only for curves; use --curve-by or --filter-by here")));
    }
    Ok(KindRequest {
        kind: match arguments.kind {
            KindName::Curves => ChartKind::Line,
            KindName::Box => ChartKind::Box,
            KindName::Violin => ChartKind::Violin,
            KindName::Ecdf => ChartKind::Ecdf,
            KindName::Heat => ChartKind::Heat,
            KindName::Scatter => ChartKind::Scatter,
        },
        rows: match (&arguments.from, arguments.over) {
            (Some(sql), _) => Rows::Query(sql.clone()),
            (None, Over::Requests) => Rows::Requests,
            (None, Over::Runs) => Rows::Runs,
        },
        var_x: arguments.var_x.clone(),
        var_y: arguments.var_y.clone(),
        group_by: names(&arguments.curve_by).collect(),
        filter_by: arguments.filter_by.clone(),
        scale_x: arguments.scale_x,
        scale_y: arguments.scale_y,
        dress: arguments.picture.dress(),
    })
}

fn print(path: &Path, group: &[(String, String)], figure: &Figure) {
    let group = group.iter().map(|(var, value)| format!("{var}={value}")).collect::<Vec<_>>().join(", ");
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
        var_x: arguments.var_x.clone().unwrap_or_else(|| "total_token_throughput".to_owned()),
        var_y: arguments.var_y.clone().unwrap_or_else(|| "median_ttft_ms".to_owned()),
        fig_by: names(&arguments.fig_by).collect(),
        row_by: names(&arguments.row_by).collect(),
        col_by: names(&arguments.col_by).collect(),
        curve_by: names(&arguments.curve_by).collect(),
        filter_by: arguments.filter_by.clone(),
        bin_by,
        scale_x: arguments.scale_x,
        scale_y: arguments.scale_y,
        has_error_bars: !arguments.no_error_bars,
        dress: arguments.picture.dress(),
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
