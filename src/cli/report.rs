//! `sweeplake report`: one HTML file about one or more sweeps.

use super::lake::Opening;
use super::{Ended, Failure, block_on, compare, picture, query_failure};
use crate::cli::say::{out, say};
use crate::compare::Comparison;
use crate::files::is_same_place;
use crate::query::Lake;
use crate::report::{ReportError, Theme, Told, render, render_index};
use crate::store::{REPORT, write_bytes_atomically};
use chrono::Local;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// Sweeps (or lakes).
    #[arg(required_unless_present = "lake", value_name = "SWEEP")]
    sweeps: Vec<PathBuf>,
    /// Write an index of a lake instead: its sweeps, their trends, and links to their reports.
    #[arg(long, value_name = "LAKE", conflicts_with_all = ["sweeps", "notes"])]
    lake: Option<PathBuf>,
    /// Output file; default: report.html in the sweep's folder (of several sweeps report-A-vs-B.html in the first one's), or index.html in
    /// the lake.
    #[arg(long, short, value_name = "FILE", value_parser = super::lake::local_path)]
    output: Option<PathBuf>,
    /// The page's title.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Markdown file with notes to show at the top.
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
    /// Color theme; default: follow the reader's system.
    #[arg(long, value_name = "THEME", value_enum)]
    theme: Option<ThemeName>,
    /// Draw another curve: x and y, each a column or an expression such as 'output_throughput / gpu_count AS per_gpu'. May be repeated.
    #[arg(long, value_names = ["X", "Y"], num_args = 2, action = clap::ArgAction::Append, conflicts_with = "lake")]
    curve: Vec<String>,
    /// Open the page after writing it.
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    opening: Opening,
}

/// The page of a lake.
const INDEX: &str = "index.html";

#[derive(Clone, Copy, clap::ValueEnum)]
enum ThemeName {
    Light,
    Dark,
}

pub fn exec(arguments: Arguments) -> Ended {
    let notes = match &arguments.notes {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::input(format!("--notes: {}: {error}", path.display())))?,
        None => String::new(),
    };
    let theme = arguments.theme.map(|theme| match theme {
        ThemeName::Light => Theme::Light,
        ThemeName::Dark => Theme::Dark,
    });
    let path = match &arguments.lake {
        Some(place) => {
            let path = arguments.output.unwrap_or_else(|| place.join(INDEX));
            let title = arguments.title.unwrap_or_else(|| format!("Sweeps in {}", place.display()));
            let told = Told { title, theme, ..Told::default() };
            arguments.opening.with(std::slice::from_ref(place), |lake| write_index(lake, place, &told, &path))?;
            path
        }
        None => {
            once_each(&arguments.sweeps)?;
            let path = arguments.output.unwrap_or_else(|| arguments.sweeps[0].join(page_of(&arguments.sweeps)));
            arguments.opening.with(&arguments.sweeps, |lake| {
                let title = arguments.title.unwrap_or_else(|| title_of(lake));
                let is_each_one = lake.sweeps().len() == arguments.sweeps.len();
                let comparisons = if is_each_one { comparisons(&arguments.sweeps) } else { Vec::new() };
                write_page(
                    lake,
                    &Told {
                        title,
                        notes,
                        theme,
                        comparisons,
                        curves: arguments
                            .curve
                            .chunks_exact(2)
                            .map(|pair| [pair[0].clone(), pair[1].clone()])
                            .collect(),
                    },
                    &path,
                )
            })?;
            path
        }
    };
    out!("{}", path.display());
    if arguments.open {
        open::that(&path).map_err(|error| Failure::work(format!("--open: {}: {error}", path.display())))?;
    }
    Ok(())
}

/// A sweep has no comparison with itself.
fn once_each(sweeps: &[PathBuf]) -> Result<(), Failure> {
    let again =
        (1..sweeps.len()).find(|index| sweeps[..*index].iter().any(|other| is_same_place(other, &sweeps[*index])));
    again.map_or(Ok(()), |index| Err(Failure::input(format!("{}: given twice", sweeps[index].display()))))
}

/// The file of a report: that of several sweeps leaves the one of the first alone.
fn page_of(sweeps: &[PathBuf]) -> String {
    let names: Vec<String> = sweeps
        .iter()
        .map(|sweep| sweep.file_name().unwrap_or(sweep.as_os_str()).to_string_lossy().into_owned())
        .collect();
    match names.len() {
        1 => REPORT.to_owned(),
        2 | 3 => format!("report-{}.html", names.join("-vs-")),
        count => format!("report-of-{count}-sweeps.html"),
    }
}

/// Writes the report of sweeps to a file.
pub fn write(sweeps: &[PathBuf], path: &Path) -> Result<(), Failure> {
    let lake = Lake::open(sweeps).map_err(query_failure)?;
    write_page(&lake, &Told { title: title_of(&lake), ..Told::default() }, path)
}

/// The sweeps against the first of them; of one alone its pairs, if base and candidate were measured in it in turn. Those that can't be compared are still reported.
fn comparisons(sweeps: &[PathBuf]) -> Vec<Comparison> {
    match compare::of_sweeps(sweeps) {
        Ok(comparisons) => comparisons,
        Err(Failure::Input(reason) | Failure::Work(reason)) => {
            say!("warning: no comparison in the report: {reason}");
            Vec::new()
        }
        Err(Failure::Interrupted) => Vec::new(),
    }
}

fn write_index(lake: &Lake, place: &Path, told: &Told, path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let html = block_on(render_index(lake, place, folder, told, Local::now()))?.map_err(failure)?;
    write_bytes_atomically(path, html.as_bytes()).map_err(Failure::input)
}

fn title_of(lake: &Lake) -> String {
    format!("Sweep {}", lake.sweeps().iter().map(|sweep| sweep.name.as_str()).collect::<Vec<_>>().join(", "))
}

fn write_page(lake: &Lake, told: &Told, path: &Path) -> Result<(), Failure> {
    let html = block_on(render(lake, told, Local::now()))?.map_err(failure)?;
    write_bytes_atomically(path, html.as_bytes()).map_err(Failure::input)
}

pub(super) fn failure(error: ReportError) -> Failure {
    match error {
        ReportError::Query(error) => query_failure(error),
        ReportError::Plot(error) => picture::plot_failure(error),
        ReportError::Template(_) => Failure::work(error),
    }
}
