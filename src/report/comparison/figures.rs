//! The charts of a comparison: a forest of changes with their intervals, and both frontiers.

use super::tables::{Placed, changes};
use super::words::{frontier as frontier_words, names, percent};
use crate::compare::{Comparison, Verdict, frontier as on_frontier};
use crate::metric::{Better, label};
use crate::plot::{
    self, Axis, Color, Configuration, Dash, Estimate, Figure, Join, LegendBlock, LegendEntry, Marker, Panel,
    ParetoSpec, Point, Scale, Series, Shows, Spread, Style, pareto_figure,
};

/// More rows could not be read.
const MOST_ROWS: usize = 24;

/// The changes with their intervals, those over all combinations first, and the band within which nothing matters.
pub fn forest(comparison: &Comparison) -> Option<Figure> {
    let overall = comparison.metrics.iter().zip(&comparison.judged).filter_map(|(metric, judged)| {
        let (low, high) = judged.overall.interval?;
        let overall = &judged.overall;
        Some(Bar { name: format!("{metric}, all"), verdict: overall.verdict, ratio: overall.ratio, low, high })
    });
    let single = changes(comparison).into_iter().filter_map(|placed| bar(&placed));
    let bars: Vec<Bar> = overall.chain(single.filter(|_| comparison.labels.len() > 1)).take(MOST_ROWS).collect();
    let all = comparison.judged.iter().map(|judged| judged.changes.len() + 1).sum::<usize>();
    if bars.is_empty() {
        return None;
    }
    let mut panel = Panel::default();
    panel.series.push(threshold_band(comparison.judge.threshold, bars.len()));
    let mut entries = Vec::new();
    for verdict in Verdict::ALL {
        let own = bars.iter().enumerate().filter(|(_, bar)| bar.verdict == verdict);
        let points: Vec<Point> = own.map(|(row, bar)| bar.point(bars.len() - row)).collect();
        if points.is_empty() {
            continue;
        }
        let style = style_of(verdict);
        entries.push(LegendEntry { text: verdict.as_str().into(), style, shows: Shows::Marker });
        panel.series.push(Series {
            name: verdict.as_str().into(),
            style,
            join: Join::None,
            spread: Spread::Bars,
            points,
        });
    }
    let ends = bars.iter().flat_map(|bar| [bar.low * 100.0, bar.high * 100.0, 0.0]).filter(|end| end.is_finite());
    let names = bars.iter().rev().map(|bar| bar.name.clone());
    let mut caption = vec![format!(
        "Bars: 95 % confidence interval. Band: changes below {}, treated as no change.",
        percent(comparison.judge.threshold)
    )];
    if all > bars.len() {
        caption.push(format!("{} other changes are not shown.", all - bars.len()));
    }
    Some(Figure {
        title: String::new(),
        caption,
        x: Axis::around("Change (%)", Scale::Linear, ends.collect::<Vec<_>>().into_iter()),
        y: Axis::of_names("", names),
        row_titles: vec![String::new()],
        col_titles: vec![String::new()],
        legend: vec![LegendBlock { heading: "Verdict".into(), entries }],
        panels: vec![vec![panel]],
    })
}

struct Bar {
    name: String,
    verdict: Verdict,
    ratio: f64,
    low: f64,
    high: f64,
}

impl Bar {
    fn point(&self, row: usize) -> Point {
        let interval = Some((self.low * 100.0, self.high * 100.0));
        Point { x: Estimate { mean: self.ratio * 100.0, interval, n: 1 }, y: Estimate::exact(row as f64) }
    }
}

fn bar(placed: &Placed<'_>) -> Option<Bar> {
    let (low, high) = placed.change.interval?;
    let name = format!("{}, {}", placed.metric, placed.label);
    Some(Bar { name, verdict: placed.change.verdict, ratio: placed.change.ratio, low, high })
}

fn threshold_band(threshold: f64, rows: usize) -> Series {
    let middle = (rows as f64 + 1.0) / 2.0;
    let edge = |x: f64| Point { x: Estimate::exact(x * 100.0), y: Estimate::around(middle, Some(middle), 1) };
    let style = Style { color: plot::DIMMED, dash: Dash::Solid, marker: Marker::None, opacity: 0.0 };
    Series {
        name: String::new(),
        style,
        join: Join::None,
        spread: Spread::Band,
        points: vec![edge(-threshold), edge(threshold)],
    }
}

fn style_of(verdict: Verdict) -> Style {
    let (color, marker): (Color, Marker) = match verdict {
        Verdict::Worse => (plot::category_color(3), Marker::TriangleDown),
        Verdict::Better => (plot::category_color(2), Marker::Triangle),
        Verdict::Changed => (plot::category_color(1), Marker::Diamond),
        Verdict::Unclear => (plot::DIMMED, Marker::Circle),
        Verdict::Same => (plot::category_color(0), Marker::Square),
    };
    Style { color, dash: Dash::Solid, marker, opacity: 1.0 }
}

/// Both frontiers in one chart, where users and GPUs are known.
pub fn frontiers(comparison: &Comparison) -> Option<Figure> {
    let fronts = comparison.frontier.as_ref()?;
    let of = |name: String, side: &[crate::compare::Configuration]| {
        let on: Vec<String> = on_frontier(side).into_iter().map(|one| one.key.clone()).collect();
        let shown = side.iter().map(|one| Configuration {
            x: Estimate::exact(one.x),
            y: Estimate::exact(one.y),
            group: name.clone(),
            is_frontier: on.contains(&one.key),
            label: String::new(),
        });
        shown.collect::<Vec<_>>()
    };
    let base = of(names(&comparison.base), &fronts.base);
    let all: Vec<Configuration> = base.into_iter().chain(of(names(&comparison.candidate), &fronts.candidate)).collect();
    let spec = ParetoSpec {
        title: String::new(),
        caption: frontier_words(comparison).into_iter().collect(),
        x_label: label("tokens_per_user"),
        y_label: label("tokens_per_gpu"),
        better_x: Better::Higher,
        label_names: Vec::new(),
        group_heading: "Sweep".into(),
    };
    Some(pareto_figure(&all, &spec))
}
