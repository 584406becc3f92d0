//! What to run, as it is typed: files, grids, conditions, samples.

use super::checks::refuse_hardly_any_files;
use super::values;
use crate::cli::advice::{of_query, of_space};
use crate::cli::say::say;
use crate::cli::{Failure, block_on};
use crate::params::{Command, ParamSet, read_params_file};
use crate::query::{Lake, QueryError};
use crate::redact::{MARK, Redactor};
use crate::space::{
    Axis, Condition, Derived, Flags, Link, Method, Points, Rules, Sample, Side, SpaceError, Wanted, expand, lay_out,
    sets_of_rows,
};
use crate::store::{Asked, Manifest, SweepFolder};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A larger space is a slip of the finger, unless it is said.
const MOST_COMBINATIONS: usize = 10_000;

#[derive(clap::Args, Clone)]
pub struct SpaceFlags {
    /// File with sets of server parameters: JSON, JSON Lines, CSV, TOML or YAML. Or a query whose rows are the sets: 'SELECT …' or a
    /// file ending in .sql, asked of the lake.
    #[arg(long, value_name = "FILE|SQL")]
    pub serve_params: Option<String>,
    /// File or query with sets of benchmark parameters. With both, every pair is run.
    #[arg(long, value_name = "FILE|SQL")]
    pub bench_params: Option<String>,
    /// Values of a server parameter: max_num_seqs=64,128, or a range such as 1024..8192*2 (times 2), 2..10+2 (plus 2), 1..100#5 (five
    /// values). Several parameters that go together: a,b=1:2,3:4. Repeated flags multiply.
    #[arg(long, value_name = "NAME=VALUES", value_parser = Axis::parse)]
    pub serve_grid: Vec<Axis>,
    /// Values of a benchmark parameter, in the same form.
    #[arg(long, value_name = "NAME=VALUES", value_parser = Axis::parse)]
    pub bench_grid: Vec<Axis>,
    /// Run only combinations for which this is true: SQL over the parameters and flags of both sides, such as
    /// 'max_num_batched_tokens >= 16 * max_num_seqs'. A name that both sides have is written serve.NAME or bench.NAME.
    #[arg(long = "where", value_name = "CONDITION")]
    pub conditions: Vec<String>,
    /// A server parameter that follows from others: 'max_num_batched_tokens = 16 * max_num_seqs'. NULL leaves the flag out.
    #[arg(long, value_name = "NAME=SQL")]
    pub serve_set: Vec<String>,
    /// A benchmark parameter that follows from others: 'num_prompts = greatest(10 * max_concurrency, 100)'.
    #[arg(long, value_name = "NAME=SQL")]
    pub bench_set: Vec<String>,
    /// Run only pairs in which these parameters are equal: max_num_seqs=max_concurrency,…
    #[arg(long, value_name = "VAR=VAR,…", default_value = "")]
    pub link_vars: String,
    /// Run only this many combinations, drawn from all.
    #[arg(long, value_name = "N", value_parser = values::at_least_one)]
    pub sample: Option<usize>,
    /// How they are drawn: lhs (Latin hypercube), sobol and halton cover the space evenly.
    #[arg(long, value_name = "METHOD", value_enum, default_value = "lhs", requires = "sample")]
    pub sample_method: MethodName,
    /// Seed of the sample; the same seed draws the same combinations.
    #[arg(long, visible_alias = "seed", value_name = "SEED", default_value_t = 0, requires = "sample")]
    pub sample_seed: u64,
    /// Refuse to run more combinations than this.
    #[arg(long, value_name = "N", default_value_t = MOST_COMBINATIONS, value_parser = values::at_least_one)]
    pub max_combinations: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MethodName {
    Random,
    Lhs,
    Sobol,
    Halton,
}

impl MethodName {
    fn method(self) -> Method {
        match self {
            Self::Random => Method::Random,
            Self::Lhs => Method::Lhs,
            Self::Sobol => Method::Sobol,
            Self::Halton => Method::Halton,
        }
    }
}

/// What is to be run, and what is kept of how it was said.
pub struct Space {
    pub points: Points,
    /// The sets of files and queries.
    pub serve_sets: Vec<ParamSet>,
    pub bench_sets: Vec<ParamSet>,
    pub asked: Vec<Asked>,
    pub warnings: Vec<String>,
}

impl Space {
    /// All loads.
    pub fn benches(&self) -> impl Iterator<Item = &ParamSet> + Clone {
        self.points.servers.iter().flat_map(|(_, benches)| benches)
    }

    /// All sets that reach a command.
    pub fn sets(&self) -> Vec<ParamSet> {
        let mut seen = BTreeSet::new();
        let all = self.points.servers.iter().map(|(serve, _)| serve).chain(self.benches());
        all.filter(|set| seen.insert(Value::Object(set.to_record()).to_string())).cloned().collect()
    }
}

impl SpaceFlags {
    /// Reads files, asks queries and lays the space out. `folder` is the sweep that is resumed: what was asked for it is not asked again.
    pub fn space(&self, lake: &Path, folder: Option<&Path>, commands: [&Command; 2]) -> Result<Space, Failure> {
        refuse_hardly_any_files()?;
        let known = folder.and_then(|folder| SweepFolder::open(folder).ok());
        let known: &[Asked] = known.as_ref().map_or(&[], |folder| folder.manifest().asked.as_slice());
        let mut asked = Vec::new();
        let mut sets = |flag: &'static str, given: &Option<String>, command: &Command| match given {
            Some(given) => {
                let source = Asking { flag, lake, known, command };
                source.sets(given, &mut asked, self.max_combinations)
            }
            None => Ok(Vec::new()),
        };
        let serve_sets = sets("--serve-params", &self.serve_params, commands[0])?;
        let bench_sets = sets("--bench-params", &self.bench_params, commands[1])?;
        let wanted = Wanted {
            serve: Side { sets: serve_sets.clone(), grids: self.serve_grid.clone() },
            bench: Side { sets: bench_sets.clone(), grids: self.bench_grid.clone() },
            rules: self.rules()?,
            sample: self.sample.map(|count| Sample {
                count,
                method: self.sample_method.method(),
                seed: self.sample_seed,
            }),
            most: self.max_combinations,
        };
        let flags = Flags::of(commands[0], commands[1]);
        let points = block_on(lay_out(&wanted, &flags))?.map_err(|error| Failure::Input(of_space(&error)))?;
        let mut space = Space { points, serve_sets, bench_sets, asked, warnings: Vec::new() };
        space.warnings = remarks(&space);
        Ok(space)
    }

    fn rules(&self) -> Result<Rules, Failure> {
        fn all<T>(flag: &str, texts: &[String], parse: fn(&str) -> Result<T, SpaceError>) -> Result<Vec<T>, Failure> {
            let wrong = |error: SpaceError| Failure::Input(format!("{flag}: {}", of_space(&error)));
            texts.iter().map(|text| parse(text).map_err(wrong)).collect()
        }
        Ok(Rules {
            serve_set: all("--serve-set", &self.serve_set, Derived::parse)?,
            bench_set: all("--bench-set", &self.bench_set, Derived::parse)?,
            links: Link::parse_list(&self.link_vars).map_err(|error| Failure::Input(of_space(&error)))?,
            conditions: all("--where", &self.conditions, Condition::parse)?,
        })
    }

    /// What was typed besides files, as words that say it again, as they may be stored.
    pub fn words(&self, redactor: &Redactor) -> Vec<String> {
        let mut words = Vec::new();
        for (flag, axes) in [("--serve-grid", &self.serve_grid), ("--bench-grid", &self.bench_grid)] {
            words.extend(axes.iter().flat_map(|axis| [flag.to_owned(), axis.redacted(redactor).typed()]));
        }
        let text = |text: &String| redactor.text(text).into_owned();
        words.extend(self.conditions.iter().flat_map(|condition| ["--where".to_owned(), text(condition)]));
        for (flag, texts) in [("--serve-set", &self.serve_set), ("--bench-set", &self.bench_set)] {
            // Of a secret not even the expression is kept.
            let kept = texts.iter().map(|set| match set.split_once('=') {
                Some((key, value)) => {
                    format!("{} = {}", key.trim(), text(&redactor.named(key.trim(), value.trim()).into_owned()))
                }
                None => text(set),
            });
            words.extend(kept.flat_map(|set| [flag.to_owned(), set]));
        }
        if let Some(count) = self.sample {
            let method = clap::ValueEnum::to_possible_value(&self.sample_method);
            words.extend(["--sample".to_owned(), count.to_string(), "--sample-method".to_owned()]);
            words.extend(method.map(|method| method.get_name().to_owned()));
            words.extend(["--sample-seed".to_owned(), self.sample_seed.to_string()]);
        }
        if self.max_combinations != MOST_COMBINATIONS {
            words.extend(["--max-combinations".to_owned(), self.max_combinations.to_string()]);
        }
        words
    }

    /// Sets with all values that were said, those of combinations that are not run, too: a secret is one all the same.
    pub fn said(&self, space: &Space) -> Vec<ParamSet> {
        let grids = self.serve_grid.iter().chain(&self.bench_grid).flat_map(Axis::sets);
        grids.chain(space.serve_sets.iter().chain(&space.bench_sets).cloned()).collect()
    }
}

/// How a query for sets is asked, or was.
struct Asking<'a> {
    flag: &'static str,
    lake: &'a Path,
    /// What was asked when the sweep began.
    known: &'a [Asked],
    command: &'a Command,
}

impl Asking<'_> {
    /// Sets of a file or a query.
    fn sets(&self, given: &str, asked: &mut Vec<Asked>, most: usize) -> Result<Vec<ParamSet>, Failure> {
        let Some(sql) = query_of(self.flag, given)? else {
            return sets_of_file(self.flag, Path::new(given), most);
        };
        let words = |sql: &str| sql.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let is_whole = |asked: &&Asked| !asked.rows.iter().flat_map(Map::values).any(is_redacted);
        let known = self.known.iter().find(|asked| words(&asked.sql) == words(&sql)).filter(is_whole);
        let rows = match known {
            Some(asked) => asked.rows.iter().map(ParamSet::of_record).collect(),
            None => self.ask(&sql)?,
        };
        asked.push(Asked { sql, rows: rows.iter().map(ParamSet::to_record).collect() });
        Ok(rows)
    }

    fn ask(&self, sql: &str) -> Result<Vec<ParamSet>, Failure> {
        let flag = self.flag;
        let wrong = |error: QueryError| Failure::Input(format!("{flag}: {}", of_query(&error)));
        let lake = Lake::open(&[PathBuf::from(self.lake)]).map_err(wrong)?;
        let answer = block_on(lake.sql(sql))?.map_err(wrong)?;
        lake.take_warnings().iter().for_each(|warning| say!("warning: {warning}"));
        sets_of_rows(&answer, self.command).map_err(|error| Failure::Input(format!("{flag}: {}", of_space(&error))))
    }
}

/// Whether a value was left out of what is kept, so that it has to be asked for again.
fn is_redacted(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with(MARK))
}

/// The query, where one is given and not a file of sets.
fn query_of(flag: &str, given: &str) -> Result<Option<String>, Failure> {
    let first = given.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if given.contains(char::is_whitespace) && ["select", "with"].contains(&first.as_str()) {
        return Ok(Some(given.to_owned()));
    }
    let path = Path::new(given);
    if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("sql")) {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path);
    text.map(Some).map_err(|error| Failure::input(format!("{flag}: {given}: can't be read: {error}")))
}

/// Sets of a file, each of its grids as the sets that it stands for.
pub fn sets_of_file(flag: &str, path: &Path, most: usize) -> Result<Vec<ParamSet>, Failure> {
    let sets = read_params_file(path).map_err(Failure::input)?;
    let expanded = block_on(expand(&sets, most))?;
    let wrong = |error: SpaceError| Failure::Input(format!("{}: {}", path.display(), of_space(&error)));
    match expanded.map_err(wrong)? {
        none if none.is_empty() => {
            Err(Failure::input(format!("{flag}: {}: its conditions leave no set", path.display())))
        }
        sets => Ok(sets),
    }
}

/// Sets of a file and grids, of one side alone; where neither is given, the command as it is.
pub fn one_side(flag: &str, path: Option<&Path>, grids: &[Axis]) -> Result<Vec<ParamSet>, Failure> {
    refuse_hardly_any_files()?;
    let sets = path.map(|path| sets_of_file(flag, path, MOST_COMBINATIONS)).transpose()?;
    let bench = Side { sets: sets.unwrap_or_default(), grids: grids.to_vec() };
    let wanted = Wanted { bench, most: MOST_COMBINATIONS, ..Wanted::default() };
    let nothing = Command::new(["none"]);
    let points = block_on(lay_out(&wanted, &Flags::of(&nothing, &nothing)))?;
    let points = points.map_err(|error| Failure::Input(of_space(&error)))?;
    Ok(points.servers.into_iter().flat_map(|(_, benches)| benches).collect())
}

/// Flags of engines that take a list of numbers.
const LISTS: [&str; 3] = ["cuda_graph_sizes", "cudagraph_capture_sizes", "compile_sizes"];

/// What was probably meant otherwise.
fn remarks(space: &Space) -> Vec<String> {
    let mut remarks = BTreeSet::new();
    for (key, value) in space.serve_sets.iter().chain(&space.bench_sets).flat_map(|set| &set.params) {
        let is_list = LISTS.contains(&crate::id::column_name(key).as_str());
        if let Value::Array(items) = value
            && items.len() > 1
            && items.iter().all(Value::is_number)
            && !is_list
        {
            remarks.insert(format!(
                "{key:?}: {value} becomes one flag with {} words; for a run of each value, write {{\"_grid\": {{{key:?}: {value}}}}}",
                items.len()
            ));
        }
    }
    if let Some(drawn) = space.points.drawn {
        let found: usize = space.benches().count();
        if found < drawn.wanted {
            remarks.insert(format!(
                "only {found} of the {} combinations to sample were found, in {} draws from {}",
                drawn.wanted, drawn.tried, space.points.size
            ));
        }
    }
    remarks.into_iter().collect()
}

/// What of a manifest says how the space was given.
pub fn told(manifest: Manifest, space: &Space, flags: &SpaceFlags, redactor: &Redactor) -> Manifest {
    let records = |sets: &[ParamSet]| match sets {
        [] => vec![ParamSet::unchanged().to_record()],
        sets => sets.iter().map(|set| set.redacted(redactor).to_record()).collect(),
    };
    Manifest {
        link_vars: flags.link_vars.clone(),
        space: flags.words(redactor),
        asked: space.asked.iter().map(|asked| asked.redacted(redactor)).collect(),
        serve_params: records(&space.serve_sets),
        bench_params: records(&space.bench_sets),
        ..manifest
    }
}
