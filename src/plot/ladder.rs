//! The ladder of SLAs: the greatest load under each, a line for each server setting.

use super::PlotError;
use super::axis::{Axis, Scale};
use super::chart::{Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, Series, Shows, Spread, Style};
use super::sla::SlaChart;
use super::theme::{self, Dash, Marker};
use crate::metric::label;
use crate::query::Lake;
use crate::words::params_text;

/// One answer: how much load a setting bears under an SLA.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    pub sla: String,
    pub setting: String,
    pub value: f64,
    /// The 95 % interval of the boundary; without an upper end where the highest load that was searched meets the SLA.
    pub interval: Option<(f64, f64)>,
}

crate::query::typed_row! {
    struct Answered {
        sweep: String,
        variable: String,
        bench_params: Option<String>,
        serve_params: Option<String>,
        sla: String,
        value: Option<f64>,
        low: Option<f64>,
        high: Option<f64>,
    }
}

const SQL: &str = "SELECT sweep, variable, bench_params, serve_params, coalesce(sla_name, sla) AS sla, value, \
    coalesce(boundary_low, lower) AS low, coalesce(boundary_high, upper) AS high FROM sla \
    ORDER BY sweep, variable, bench_params, serve_params, sla";

/// A chart for each sweep and load that was searched under several SLAs, or with several server settings.
pub async fn ladders(lake: &Lake) -> Result<Vec<SlaChart>, PlotError> {
    let answers: Vec<Answered> = lake.sql(SQL).await?.typed("ladder of SLAs")?;
    let mut groups: Vec<((String, String, String), Vec<Rung>)> = Vec::new();
    for found in answers {
        let key = (found.sweep, found.variable, found.bench_params.unwrap_or_default());
        let setting = params_text(&found.serve_params.unwrap_or_default());
        let rung = Rung {
            sla: found.sla,
            setting: if setting.is_empty() { "unchanged".into() } else { setting },
            // Where no load meets it, none is borne.
            value: found.value.unwrap_or(0.0),
            interval: found.value.and(found.low).map(|low| (low, found.high.unwrap_or(f64::INFINITY))),
        };
        match groups.last_mut().filter(|(known, _)| *known == key) {
            Some((_, rungs)) => rungs.push(rung),
            None => groups.push((key, vec![rung])),
        }
    }
    let charts =
        groups.into_iter().filter(|(_, rungs)| rungs.len() > 1).map(|((_, variable, bench), rungs)| SlaChart {
            group: [("bench".to_owned(), params_text(&bench))]
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .collect(),
            figure: ladder_figure(&variable, &rungs),
            sql: SQL.into(),
        });
    Ok(charts.collect())
}

/// Builds the chart: SLAs from the one that allows least to the one that allows most.
pub fn ladder_figure(variable: &str, rungs: &[Rung]) -> Figure {
    let slas = in_order(rungs.iter().map(|rung| &rung.sla));
    let most = |sla: &String| rungs.iter().filter(|rung| rung.sla == *sla).map(|rung| rung.value).fold(0.0, f64::max);
    let mut slas: Vec<String> = slas;
    slas.sort_by(|left, right| most(left).total_cmp(&most(right)));
    let settings = in_order(rungs.iter().map(|rung| &rung.setting));
    let place = |sla: &str| slas.iter().position(|known| known == sla).map_or(0.0, |index| index as f64 + 1.0);
    let series: Vec<Series> = settings
        .iter()
        .enumerate()
        .map(|(index, setting)| {
            let style = Style {
                color: theme::category_color(index),
                dash: Dash::Solid,
                marker: if index % 2 == 0 { Marker::Circle } else { Marker::Square },
                opacity: 1.0,
            };
            // Settings at one place would hide each other.
            let shift = SHIFT * (index as f64 - (settings.len() as f64 - 1.0) / 2.0);
            let mut own: Vec<&Rung> = rungs.iter().filter(|rung| rung.setting == *setting).collect();
            own.sort_by(|left, right| place(&left.sla).total_cmp(&place(&right.sla)));
            let points =
                own.into_iter().map(|rung| Point { x: Estimate::exact(place(&rung.sla) + shift), y: estimate(rung) });
            Series {
                name: setting.clone(),
                style,
                join: Join::Straight,
                spread: Spread::Bars,
                points: points.collect(),
            }
        })
        .collect();
    let ends = series.iter().flat_map(|series| &series.points).flat_map(|point| [point.y.low(), point.y.high()]);
    let ys: Vec<f64> = ends.filter(|end| end.is_finite()).collect();
    let is_open = rungs.iter().any(|rung| rung.interval.is_some_and(|(_, high)| high.is_infinite()));
    let open =
        is_open.then(|| "A bar up to the edge: even the highest load that was searched meets the SLA.".to_owned());
    let entries =
        series.iter().map(|series| LegendEntry { text: series.name.clone(), style: series.style, shows: Shows::Both });
    Figure {
        title: format!("Highest {} within each SLA", label(variable).to_lowercase()),
        caption: std::iter::once(
            "Points: the highest measured load that meets the SLA; 0 if none does. Bars: range of the boundary with 95 % probability.".to_owned(),
        )
        .chain(open)
        .collect(),
        x: Axis::of_names("SLA", slas.iter().cloned()),
        y: Axis::around(label(variable), Scale::Linear, ys.iter().copied().chain([0.0])),
        row_titles: vec![String::new()],
        col_titles: vec![String::new()],
        legend: vec![LegendBlock { heading: "Server".into(), entries: entries.collect() }],
        panels: vec![vec![Panel { series, ..Panel::default() }]],
    }
}

/// How far settings stand from each other at one SLA.
const SHIFT: f64 = 0.04;

fn estimate(rung: &Rung) -> Estimate {
    // A search may place the boundary between two loads that were measured.
    let around = |(low, high): (f64, f64)| (low.min(rung.value), high.max(rung.value));
    Estimate { mean: rung.value, interval: rung.interval.filter(|_| rung.value.is_finite()).map(around), n: 1 }
}

fn in_order<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for text in texts {
        if !all.contains(text) {
            all.push(text.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_goes_from_the_tightest_to_the_loosest_sla() {
        let rung = |sla: &str, setting: &str, value: f64, bounds: Option<(f64, f64)>| Rung {
            sla: sla.into(),
            setting: setting.into(),
            value,
            interval: bounds,
        };
        let rungs = [
            rung("loose", "a", 90.0, Some((80.0, 104.0))),
            rung("tight", "a", 20.0, None),
            rung("loose", "b", 50.0, Some((50.0, f64::INFINITY))),
            rung("tight", "b", 0.0, None),
        ];
        let figure = ladder_figure("request_rate", &rungs);
        assert_eq!(figure.x.ticks.iter().map(|tick| tick.text.as_str()).collect::<Vec<_>>(), ["tight", "loose"]);
        let of = |index: usize| {
            figure.panels[0][0].series[index].points.iter().map(|point| point.y.mean).collect::<Vec<_>>()
        };
        assert_eq!((of(0), of(1)), (vec![20.0, 90.0], vec![0.0, 50.0]));
        let interval = |series: usize| figure.panels[0][0].series[series].points[1].y.interval;
        assert_eq!(interval(0), Some((80.0, 104.0)));
        assert_eq!(interval(1), Some((50.0, f64::INFINITY)), "what was not seen to fail has no upper end");
        assert!(figure.caption[1].contains("even the highest load") && !figure.y.has_infinity, "{:?}", figure.caption);
        assert_eq!(figure.y.label, "request_rate (req/s)");
    }
}
