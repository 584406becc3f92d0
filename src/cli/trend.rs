//! `sweeplake compare --trend`: a metric of each combination over all sweeps of a lake.

use super::picture::write_usual;
use super::{Failure, block_on, query_failure};
use crate::cli::say::say;
use crate::compare::{Followable, Followed, Judge, Trends};
use crate::query::{Answer, Lake};
use crate::record::{Cell, Row};
use crate::report::{Colors, trend_chart};
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

impl Trend {
    /// The table of all combinations, those that changed first.
    pub fn follow(&self, lake: &Lake) -> Result<Answer, Failure> {
        let trends = block_on(Trends::of(lake, &self.metric, &self.filter_by, &self.judge))?.map_err(query_failure)?;
        if trends.sweeps.len() < 2 {
            return Err(Failure::input(format!("--trend: {} contains fewer than two sweeps", self.lake.display())));
        }
        if let Some(path) = &self.fig {
            self.draw(&trends, path)?;
        }
        let rows: Vec<Row> = trends.followed.iter().map(|one| row_of(one, &trends.sweeps)).collect();
        Ok(Answer::of_rows(&rows))
    }

    fn draw(&self, trends: &Trends, path: &Path) -> Result<(), Failure> {
        write_usual(path, &trend_chart(trends, &self.metric, &mut Colors::default()))?;
        say!("{}", path.display());
        Ok(())
    }
}

fn row_of(one: &Followed, sweeps: &[Followable]) -> Row {
    let ends = one.ends();
    let changes = one
        .changes
        .iter()
        .map(|point| format!("{} at {}: {:+.1} %", point.shape.as_str(), sweeps[point.at].name, point.change * 100.0));
    vec![
        ("combination".into(), one.label.as_str().into()),
        ("sweeps".into(), (one.runs.iter().filter(|runs| !runs.is_empty()).count() as i64).into()),
        ("first".into(), ends.map(|(first, _)| first).into()),
        ("last".into(), ends.map(|(_, last)| last).into()),
        ("change".into(), ends.map(|(first, last)| last / first - 1.0).into()),
        ("change_points".into(), Cell::Text(changes.collect::<Vec<_>>().join(", "))),
    ]
}
