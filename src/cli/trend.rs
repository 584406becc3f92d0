//! `sweeplake compare --trend`: a metric of each combination over all sweeps of a lake.

use super::plot::Picture;
use super::{Failure, block_on, query_failure};
use crate::compare::{ChangePoint, Judge, change_points};
use crate::metric::label;
use crate::plan::params_text;
use crate::plot::{Estimate, SeriesOverSweeps, trend_figure};
use crate::query::{Answer, Filter, Lake, quoted};
use crate::record::{Cell, Row};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What to follow.
pub struct Trend {
    pub lake: PathBuf,
    pub metric: String,
    pub filter_by: String,
    pub judge: Judge,
    /// Where to draw it.
    pub fig: Option<PathBuf>,
}

/// The runs of a combination, by the index of their sweep.
struct Followed {
    label: String,
    runs: Vec<Vec<f64>>,
}

impl Trend {
    /// The table of all combinations, those that changed first.
    pub fn follow(&self) -> Result<Answer, Failure> {
        let lake = Lake::open(std::slice::from_ref(&self.lake)).map_err(query_failure)?;
        let (sweeps, followed) = block_on(self.read(&lake))??;
        if sweeps.len() < 2 {
            return Err(Failure::input(format!("--trend: {} holds fewer than two sweeps", self.lake.display())));
        }
        let mut found: Vec<(&Followed, Vec<ChangePoint>)> =
            followed.iter().map(|one| (one, change_points(&one.runs, &self.judge))).collect();
        let size = |points: &[ChangePoint]| points.iter().map(|point| point.change.abs()).fold(0.0, f64::max);
        found.sort_by(|left, right| size(&right.1).total_cmp(&size(&left.1)));
        if let Some(path) = &self.fig {
            self.draw(&sweeps, &found, path)?;
        }
        let rows: Vec<Row> = found.iter().map(|(one, points)| row_of(one, points, &sweeps)).collect();
        Ok(Answer::of_rows(&rows))
    }

    /// The names of the sweeps in the order of time, and the combinations that more than one of them has.
    async fn read(&self, lake: &Lake) -> Result<(Vec<String>, Vec<Followed>), Failure> {
        let columns = lake.columns("runs").await.map_err(query_failure)?;
        let filter = Filter::parse(&self.filter_by, &columns).map_err(query_failure)?;
        let metric = quoted(columns.find(&self.metric).map_err(query_failure)?.0);
        let sql = format!(
            "SELECT sweep, combination, coalesce(serve_name, serve_params), coalesce(bench_name, bench_params), {metric} \
             FROM runs WHERE status = 'completed' AND {metric} IS NOT NULL AND {} ORDER BY started_at, run_number",
            filter.to_sql()
        );
        let answer = lake.sql(&sql).await.map_err(query_failure)?;
        let mut sweeps: Vec<String> = Vec::new();
        let mut combinations: BTreeMap<String, Followed> = BTreeMap::new();
        for row in answer.rows() {
            let name = row[0].to_text();
            let sweep = sweeps.iter().position(|known| *known == name).unwrap_or_else(|| {
                sweeps.push(name);
                sweeps.len() - 1
            });
            let halves = [2, 3].map(|index| params_text(&row[index].to_text()));
            let label = halves.into_iter().filter(|half| !half.is_empty()).collect::<Vec<_>>().join(" · ");
            let followed = combinations.entry(row[1].to_text()).or_insert_with(|| Followed { label, runs: Vec::new() });
            if followed.runs.len() <= sweep {
                followed.runs.resize(sweep + 1, Vec::new());
            }
            followed.runs[sweep].extend(row[4].as_f64());
        }
        let is_followed = |one: &Followed| one.runs.iter().filter(|runs| !runs.is_empty()).count() > 1;
        Ok((sweeps, combinations.into_values().filter(is_followed).collect()))
    }

    fn draw(&self, sweeps: &[String], found: &[(&Followed, Vec<ChangePoint>)], path: &Path) -> Result<(), Failure> {
        let series = found.iter().map(|(one, points)| SeriesOverSweeps {
            name: one.label.clone(),
            means: one.runs.iter().map(|runs| Estimate::of(runs)).collect(),
            changes: points.iter().map(|point| point.at).collect(),
        });
        let figure = trend_figure(&series.collect::<Vec<_>>(), &label(&self.metric), sweeps);
        Picture::default().write(path, &figure)?;
        eprintln!("{}", path.display());
        Ok(())
    }
}

fn row_of(one: &Followed, points: &[ChangePoint], sweeps: &[String]) -> Row {
    let mut measured = one.runs.iter().filter(|runs| !runs.is_empty()).map(|runs| crate::stats::mean(runs));
    let first = measured.next();
    let last = measured.next_back();
    let changes = points.iter().map(|point| format!("{}: {:+.1} %", sweeps[point.at], point.change * 100.0));
    vec![
        ("combination".into(), one.label.as_str().into()),
        ("sweeps".into(), (one.runs.iter().filter(|runs| !runs.is_empty()).count() as i64).into()),
        ("first".into(), first.into()),
        ("last".into(), last.into()),
        ("change".into(), first.zip(last).map(|(first, last)| last / first - 1.0).into()),
        ("change_points".into(), Cell::Text(changes.collect::<Vec<_>>().join(", "))),
    ]
}
