//! `sweeplake compare`: what changed between sweeps, and whether it may.

mod ci;
mod format;
mod judging;
mod text;

pub use judging::Judging;
pub use text::text;

use crate::cli::advice::of_store;
use crate::cli::color::{Ink, ink};
use crate::cli::lake::{Opening, tell};
use crate::cli::picture::{check_ending, write_usual};
use crate::cli::say::say;
use crate::cli::table::{Output, OutputFormat};
use crate::cli::trend::Trend;
use crate::cli::{Ended, Failure, block_on, query_failure};
use crate::compare::{CompareError, CompareRequest, Comparison, DEFAULT_METRICS, Judge, Likeness, Reading, Sources};
use crate::query::{Answer, Format, Lake, kind_of_sweep};
use crate::record::Row;
use crate::report::comparison::{Extent, frontiers, render_comparison, rows, shortened, to_json};
use crate::store::{
    Manifest, SweepKind, SweepState, before, is_remote, lake_of, resolve, resolve_all, write_atomically,
    write_bytes_atomically,
};
use chrono::Local;
use format::CompareFormat;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// The base sweep, then the candidates (with --base or --base-last, all are candidates), or a single sweep made by `ab`. Each is a
    /// path, a name in the lake, a tag, latest, latest~1, latest-any, @2026-11-01, yesterday, last-week or last-month.
    #[arg(required_unless_present = "trend", num_args = 1.., value_name = "SWEEP")]
    sweeps: Vec<String>,
    /// Base sweep, or a pattern such as 'nightly*'. May be repeated. A change must exceed the variation between the base
    /// sweeps.
    #[arg(long, value_name = "SWEEP|PATTERN", conflicts_with = "base_last")]
    base: Vec<String>,
    /// Compare each sweep with the last N completed sweeps before it in the lake.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    base_last: Option<u32>,
    /// The lake in which names, tags and `latest` are looked up.
    #[arg(long, default_value = "results", value_name = "DIR")]
    lake: PathBuf,
    /// The lake whose identical sweeps show how much such sweeps vary; default: the folders that contain base and candidate.
    #[arg(long, value_name = "DIR")]
    history: Option<PathBuf>,
    /// How much identical sweeps vary (standard deviation of a sweep's level), if you know it, such as 2%.
    #[arg(long, value_name = "SHARE", value_parser = judging::percent)]
    assume_sweep_sd: Option<f64>,
    #[command(flatten)]
    judging: Judging,
    /// Instead of comparing, track a metric of each combination across all sweeps of a lake, with its change points.
    #[arg(long, value_name = "LAKE", requires = "metric", conflicts_with_all = ["sweeps", "fail_on", "html", "match_on", "base", "base_last"])]
    trend: Option<PathBuf>,
    /// The metric to track with --trend.
    #[arg(long, value_name = "METRIC", requires = "trend")]
    metric: Option<String>,
    /// Match on these variables instead of on all parameters.
    #[arg(long, value_delimiter = ',', value_name = "VAR,…")]
    match_on: Vec<String>,
    /// Keep only matching runs, as in `plot`.
    #[arg(long, value_name = "CONDITIONS", default_value = "")]
    filter_by: String,
    /// Compare even if the load, model or number of GPUs differs.
    #[arg(long)]
    force: bool,
    /// Show all combinations, not only those that changed most.
    #[arg(long)]
    all: bool,
    /// Output format; default: inferred from the name of FILE, else text.
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<CompareFormat>,
    /// Write to a file.
    #[arg(long, short, value_name = "FILE", value_parser = crate::cli::lake::local_path)]
    output: Option<PathBuf>,
    /// Also write an HTML page with charts.
    #[arg(long, value_name = "FILE", value_parser = crate::cli::lake::local_path)]
    html: Option<PathBuf>,
    /// Also draw both Pareto frontiers (or the trend) to this file (.png, .svg or .pdf).
    #[arg(long, value_name = "FILE", value_parser = crate::cli::lake::local_path)]
    fig: Option<PathBuf>,
    #[command(flatten)]
    opening: Opening,
}

pub fn exec(arguments: Arguments) -> Ended {
    arguments.fig.as_deref().map_or(Ok(()), check_ending)?;
    if let (Some(lake), Some(metric)) = (&arguments.trend, &arguments.metric) {
        return follow(lake, metric, &arguments);
    }
    let compared = compared(&arguments)?;
    write(&compared, &arguments)?;
    write_pages(&compared.comparisons, &arguments)?;
    arguments.judging.close(&compared)
}

/// What a report says of several sweeps: the later ones against the first, as `compare` does it without flags.
pub fn of_sweeps(sweeps: &[PathBuf]) -> Result<Vec<Comparison>, Failure> {
    let Some((base, candidates)) = sweeps.split_first() else { return Ok(Vec::new()) };
    let opening = Opening::default();
    let metrics = DEFAULT_METRICS.map(str::to_owned).to_vec();
    let request = CompareRequest { reading: Reading { metrics, ..Reading::default() }, ..CompareRequest::default() };
    if candidates.is_empty() {
        let lake = opening.open(std::slice::from_ref(base), None)?;
        return if is_ab(&lake)? { Ok(vec![of_pairs(&lake, &request)?]) } else { Ok(Vec::new()) };
    }
    let base = opened(&opening, std::slice::from_ref(base))?;
    let pairs = candidates.iter().map(|candidate| {
        let candidate = opened(&opening, std::slice::from_ref(candidate))?;
        let history = history_lake(None, &base, &candidate, &opening)?;
        compare(Sources { base: &base, candidate: &candidate, history: history.as_ref() }, &request)
    });
    pairs.collect()
}

impl Arguments {
    fn request(&self) -> CompareRequest {
        let asked = self.judging.request();
        CompareRequest {
            reading: Reading {
                match_on: self.match_on.clone(),
                filter_by: self.filter_by.clone(),
                ..asked.reading.clone()
            },
            judge: Judge { assumed_sweep_sd: self.assume_sweep_sd, ..asked.judge },
            likeness: if self.force { Likeness::Any } else { Likeness::Required },
            ..asked
        }
    }

    /// The one sweep that is named, if base and candidate were measured in it in turn.
    fn pairs(&self) -> Result<Option<Lake>, Failure> {
        let ([only], [], None) = (self.sweeps.as_slice(), self.base.as_slice(), self.base_last) else {
            return Ok(None);
        };
        let path = resolve(only, &self.lake).map_err(|error| Failure::Input(of_store(&error)))?;
        let lake = opened(&self.opening, &[path])?;
        Ok(is_ab(&lake)?.then_some(lake))
    }

    /// The folders of the base, and of each candidate.
    fn sides(&self) -> Result<Vec<(Vec<PathBuf>, PathBuf)>, Failure> {
        let one = |reference: &String| resolve(reference, &self.lake).map_err(|error| Failure::Input(of_store(&error)));
        let sweeps: Vec<PathBuf> = self.sweeps.iter().map(one).collect::<Result<_, _>>()?;
        if let Some(count) = self.base_last {
            let pair = |candidate: PathBuf| {
                let base = before(&candidate, &self.lake).map_err(Failure::input)?;
                let base = last_alike(base, &candidate, count as usize)?;
                match base.is_empty() {
                    true => Err(Failure::input(format!(
                        "--base-last: {} contains no completed sweep with the same load before {}",
                        self.lake.display(),
                        candidate.display()
                    ))),
                    false => Ok((base, candidate)),
                }
            };
            return sweeps.into_iter().map(pair).collect();
        }
        if self.base.is_empty() {
            let Some((base, candidates)) = sweeps.split_first().filter(|(_, candidates)| !candidates.is_empty()) else {
                return Err(Failure::input(
                    "compare needs two sweeps, or one sweep with --base 'PATTERN' or --base-last N",
                ));
            };
            return Ok(candidates.iter().map(|candidate| (vec![base.clone()], candidate.clone())).collect());
        }
        let all = self
            .base
            .iter()
            .map(|reference| resolve_all(reference, &self.lake).map_err(|error| Failure::Input(of_store(&error))));
        let all: Vec<PathBuf> = all.collect::<Result<Vec<_>, _>>()?.concat();
        let pair = |candidate: PathBuf| {
            let base: Vec<PathBuf> = all.iter().filter(|base| **base != candidate).cloned().collect();
            match base.is_empty() {
                true => Err(Failure::input("--base: matches no sweep other than the candidate")),
                false => Ok((base, candidate)),
            }
        };
        sweeps.into_iter().map(pair).collect()
    }
}

/// What was compared, and what could not be because nothing of it ended well.
#[derive(Default)]
pub struct Compared {
    pub comparisons: Vec<Comparison>,
    pub dead: Vec<Dead>,
}

impl From<Comparison> for Compared {
    fn from(comparison: Comparison) -> Self {
        Self { comparisons: vec![comparison], dead: Vec::new() }
    }
}

/// A candidate of which every run failed.
pub struct Dead {
    pub name: String,
    pub reason: String,
}

fn compared(arguments: &Arguments) -> Result<Compared, Failure> {
    arguments.judging.check()?;
    let request = arguments.request();
    if let Some(lake) = arguments.pairs()? {
        return of_pairs(&lake, &request).map(Compared::from);
    }
    let mut compared = Compared::default();
    for (base, candidate) in arguments.sides()? {
        let base = opened(&arguments.opening, &base)?;
        let candidate = opened(&arguments.opening, &[candidate])?;
        let [_] = candidate.sweeps() else {
            let count = candidate.sweeps().len();
            return Err(Failure::input(format!("the candidate contains {count} sweeps; name one of them")));
        };
        let history = history_lake(arguments.history.as_deref(), &base, &candidate, &arguments.opening)?;
        let sources = Sources { base: &base, candidate: &candidate, history: history.as_ref() };
        match block_on(Comparison::of(sources, &request))? {
            Err(error @ CompareError::AllFailed { .. }) => {
                let name = candidate.sweeps().iter().map(|sweep| sweep.name.clone()).collect();
                compared.dead.push(Dead { name, reason: error.to_string() });
            }
            ended => compared.comparisons.push(ended.map_err(not_compared)?),
        }
    }
    Ok(compared)
}

/// Whether base and candidate were measured in turn in the one sweep of a lake.
fn is_ab(lake: &Lake) -> Result<bool, Failure> {
    let [sweep] = lake.sweeps() else { return Ok(false) };
    Ok(sweep.manifest().map_err(Failure::input)?.is_some_and(|manifest| manifest.kind == SweepKind::Ab))
}

/// What the pairs of a sweep of `ab` say.
pub fn of_pairs(lake: &Lake, request: &CompareRequest) -> Result<Comparison, Failure> {
    block_on(Comparison::of_pairs(lake, request))?.map_err(Failure::input)
}

/// The last of earlier sweeps that measured the same thing as a candidate.
fn last_alike(earlier: Vec<PathBuf>, candidate: &Path, count: usize) -> Result<Vec<PathBuf>, Failure> {
    let load = |folder: &Path| -> Result<(SweepKind, crate::query::SweepKind), Failure> {
        let manifest = Manifest::read(folder).map_err(Failure::input)?;
        let fact = |name: &str| match name {
            "bench_cmd" => Some(manifest.bench_cmd.clone()),
            _ => None,
        };
        Ok((manifest.kind, kind_of_sweep(fact)))
    };
    let own = load(candidate)?;
    let mut alike: Vec<PathBuf> =
        earlier.into_iter().filter(|folder| load(folder).is_ok_and(|other| other == own)).collect();
    alike.drain(..alike.len().saturating_sub(count));
    Ok(alike)
}

/// Opens the sweeps of a side, which must have ended.
fn opened(opening: &Opening, sweeps: &[PathBuf]) -> Result<Lake, Failure> {
    let lake = opening.open(sweeps, None)?;
    tell(&lake);
    if lake.sweeps().len() > sweeps.len() {
        let count = lake.sweeps().len();
        return Err(Failure::input(format!("{}: contains {count} sweeps; name one of them", sweeps[0].display())));
    }
    for sweep in lake.sweeps() {
        if sweep.state().map_err(Failure::input)? == SweepState::Running {
            return Err(Failure::input(format!("{}: still running; compare it after it ends", sweep.name)));
        }
    }
    Ok(lake)
}

/// The lake that tells how much equal sweeps differ: the one that is given, else those of base and candidate.
fn history_lake(
    given: Option<&Path>,
    base: &Lake,
    candidate: &Lake,
    opening: &Opening,
) -> Result<Option<Lake>, Failure> {
    if let Some(lake) = given {
        return opening.open(&[lake.to_owned()], None).map(Some);
    }
    let folders = [base, candidate].map(|side| side.sweeps().first().map(|sweep| sweep.folder.clone()));
    let local = folders.into_iter().flatten().filter(|folder| !is_remote(folder));
    let mut lakes: Vec<PathBuf> = local.filter_map(|folder| lake_of(&folder).ok()).collect();
    lakes.dedup();
    // The folder around a sweep need not be a lake.
    Ok(if lakes.is_empty() { None } else { opening.open(&lakes, None).ok() })
}

fn compare(sources: Sources<'_>, request: &CompareRequest) -> Result<Comparison, Failure> {
    block_on(Comparison::of(sources, request))?.map_err(not_compared)
}

fn not_compared(error: CompareError) -> Failure {
    match error {
        CompareError::Query(error) => query_failure(error),
        CompareError::Unlike { .. } => Failure::input(format!("{error}; use --force to compare them anyway")),
        CompareError::NothingInCommon { ref only_base, ref only_candidate, .. } => Failure::input(format!(
            "{error}; use --match-on VAR,… to match on only some of the parameters.\n  only in the base: {}\n  only in the candidate: {}",
            shortened(only_base),
            shortened(only_candidate)
        )),
        CompareError::AllFailed { .. } => Failure::work(error),
        CompareError::NoSweep | CompareError::Itself { .. } => Failure::input(error),
    }
}

fn follow(lake: &Path, metric: &str, arguments: &Arguments) -> Ended {
    let trend = Trend {
        lake: lake.to_owned(),
        metric: metric.to_owned(),
        filter_by: arguments.filter_by.clone(),
        judge: arguments.request().judge,
        fig: arguments.fig.clone(),
    };
    let opened = arguments.opening.open(&[lake.to_owned()], None)?;
    tell(&opened);
    let format = match arguments.format {
        None | Some(CompareFormat::Text) => arguments.output.is_none().then_some(OutputFormat::Table),
        Some(format) => match format.of_table() {
            None => return Err(Failure::input("--trend: has no gates, so it can't be written in this format")),
            told => told,
        },
    };
    Output { format, output: arguments.output.clone() }.write(&trend.follow(&opened)?)
}

fn write_pages(comparisons: &[Comparison], arguments: &Arguments) -> Result<(), Failure> {
    if let Some(path) = arguments.html.as_ref().filter(|_| !comparisons.is_empty()) {
        let html = render_comparison("Comparison of sweeps", comparisons, Local::now()).map_err(Failure::work)?;
        write_bytes_atomically(path, html.as_bytes()).map_err(Failure::input)?;
        say!("{}", path.display());
    }
    if let Some(path) = arguments.fig.as_ref().filter(|_| !comparisons.is_empty()) {
        let figure = comparisons.last().and_then(frontiers);
        let figure =
            figure.ok_or_else(|| Failure::input("--fig: no run has both a number of users and a throughput"))?;
        write_usual(path, &figure)?;
        say!("{}", path.display());
    }
    Ok(())
}

fn write(compared: &Compared, arguments: &Arguments) -> Result<(), Failure> {
    let format = format::chosen(arguments.format, arguments.output.as_deref())?;
    let comparisons = compared.comparisons.as_slice();
    // What can't be compared is told by programs of CI, and else as the error that it is.
    if comparisons.is_empty() && !matches!(format, CompareFormat::Junit | CompareFormat::Github) {
        return Ok(());
    }
    let has_color = arguments.output.is_none() && ink() == Ink::Colored;
    let extent = if arguments.all { Extent::All } else { Extent::Telling };
    let joined = |text: &dyn Fn(&Comparison) -> String| {
        comparisons.iter().map(text).collect::<Vec<_>>().join("\n\n").into_bytes()
    };
    let table = |format: Format| {
        let rows: Vec<Row> = comparisons.iter().flat_map(rows).collect();
        let mut bytes = Vec::new();
        Answer::of_rows(&rows).write(format, &mut bytes).map_err(Failure::work).map(|()| bytes)
    };
    let mut bytes = match format {
        CompareFormat::Text => joined(&|comparison| text(comparison, extent, has_color)),
        CompareFormat::Markdown => joined(&text::markdown),
        CompareFormat::Junit => ci::junit(compared, &arguments.judging)?.into_bytes(),
        CompareFormat::Github => ci::annotations(compared, &arguments.judging).into_bytes(),
        CompareFormat::Json => {
            let all: Vec<Value> = comparisons.iter().map(to_json).collect();
            serde_json::to_vec_pretty(&all).map_err(Failure::work)?
        }
        CompareFormat::Csv => table(Format::Csv)?,
        CompareFormat::Jsonl => table(Format::JsonLines)?,
        CompareFormat::Parquet => table(Format::Parquet)?,
        CompareFormat::Arrow => table(Format::Arrow)?,
    };
    if matches!(format, CompareFormat::Text | CompareFormat::Markdown | CompareFormat::Json) {
        bytes.push(b'\n');
    }
    match &arguments.output {
        Some(path) => write_atomically(path, |file| {
            file.write_all(&bytes).map_err(|source| crate::store::StoreError::Io { path: path.clone(), source })
        })
        .map_err(Failure::input),
        None => match std::io::stdout().write_all(&bytes) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::work(error)),
            _ => Ok(()),
        },
    }
}
