//! What happened during a run: queue, cache, tokens, power and requests over the same time.

use super::axis::{Axis, Scale};
use super::chart::{
    Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, Series, Shape, Shows, Spread, Style,
};
use super::theme::{self, Color, Dash, Marker};
use crate::record::steady_window;

/// A value that was sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    pub source: String,
    pub device: Option<String>,
    pub metric: String,
    /// Seconds since the benchmark was started.
    pub at_s: f64,
    pub value: f64,
}

/// A request, in seconds since the first one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sent {
    pub start_s: f64,
    pub first_s: Option<f64>,
    pub end_s: f64,
    pub has_failed: bool,
}

/// A run to be looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    pub title: String,
    pub samples: Vec<Sampled>,
    pub requests: Vec<Sent>,
    /// From the start of the benchmark to its end.
    pub wall_time_s: Option<f64>,
    /// From its first request to the end of its last.
    pub duration_s: Option<f64>,
}

/// More requests than these are points by their latency, not bars.
const MOST_BARS: usize = 150;
const FAILED: Color = (200, 30, 30);

/// A line of a panel: its name, and its points.
type Line = (String, Vec<(f64, f64)>);

impl Timeline {
    /// Nothing where nothing was sampled and no request is stored.
    pub fn figure(&self) -> Option<Figure> {
        let mut rows: Vec<(Panel, Vec<LegendEntry>)> = Vec::new();
        for (label, lines) in self.lines() {
            rows.extend(lines_panel(label, &lines, rows.len()));
        }
        rows.extend(self.requests_panel());
        if rows.is_empty() {
            return None;
        }
        let steady = self.steady();
        let ends = rows.iter().flat_map(|(panel, _)| places_of(panel)).chain(self.wall_time_s).chain([0.0]);
        let ends: Vec<f64> = ends.collect();
        let last = ends.iter().copied().fold(0.0, f64::max);
        let x = Axis::around("Time since the benchmark was started (s)", Scale::Linear, ends.iter().copied());
        let x = x.limited(0.0, last.max(1e-3));
        let legend = rows.iter_mut().map(|(_, entries)| std::mem::take(entries)).filter(|entries| entries.len() > 1);
        let legend = legend.map(|entries| LegendBlock { heading: String::new(), entries }).collect();
        let panels = rows.into_iter().map(|(mut panel, _)| {
            if let Some((from, until)) = steady {
                let shades = [(0.0, from), (until, last)].map(|(from, until)| Shape::Shade { from, until });
                panel.shapes.splice(0..0, shades);
            }
            vec![panel]
        });
        let panels: Vec<Vec<Panel>> = panels.collect();
        Some(Figure {
            title: self.title.clone(),
            caption: self.caption(steady.is_some()),
            x,
            y: Axis::around("", Scale::Linear, std::iter::once(0.0)),
            row_titles: vec![String::new(); panels.len()],
            col_titles: vec![String::new()],
            panels,
            legend,
        })
    }

    fn caption(&self, has_steady: bool) -> Vec<String> {
        let mut caption = Vec::new();
        if has_steady {
            caption.push("Gray: ramp-up and drain, in which fewer requests are in flight than usual.".into());
        }
        if !self.requests.is_empty() && self.offset().is_some() && !self.samples.is_empty() {
            caption.push(
                "Requests are placed by the end of the last: when the server's tokens stopped, or the benchmark ended. That may be a sample late."
                    .into(),
            );
        }
        caption
    }

    /// When the first request was sent, as well as it can be told.
    fn offset(&self) -> Option<f64> {
        let last = self.requests.iter().map(|request| request.end_s).reduce(f64::max);
        let ended = self.tokens_stopped().into_iter().chain(self.wall_time_s).reduce(f64::min)?;
        Some((ended - self.duration_s.or(last)?).max(0.0))
    }

    /// The first sample after the last in which there were new tokens.
    fn tokens_stopped(&self) -> Option<f64> {
        let tokens = self.total("generation_tokens");
        tokens.windows(2).rev().find(|pair| pair[1].1 > pair[0].1).map(|pair| pair[1].0)
    }

    fn steady(&self) -> Option<(f64, f64)> {
        let offset = self.offset().unwrap_or(0.0);
        let spans: Vec<(f64, f64)> = self.requests.iter().map(|request| (request.start_s, request.end_s)).collect();
        steady_window(&spans).map(|(from, until)| (from + offset, until + offset))
    }

    /// What is drawn as lines: the label of each panel, and its lines.
    fn lines(&self) -> Vec<(&'static str, Vec<Line>)> {
        let named = |name: &str, points: Vec<(f64, f64)>| (name.to_owned(), points);
        let in_flight = match self.total("requests_running") {
            points if points.is_empty() => named("in flight (client)", self.in_flight()),
            points => named("running", points),
        };
        let tokens = |metric: &str| rate(&self.total(metric));
        let devices = |metric: &str, factor: f64| {
            let mut lines: Vec<Line> = Vec::new();
            for sample in self.samples.iter().filter(|sample| sample.source == "gpu" && sample.metric == metric) {
                let name = format!("GPU {}", sample.device.as_deref().unwrap_or("?"));
                let point = (sample.at_s, sample.value * factor);
                match lines.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, points)) => points.push(point),
                    None => lines.push((name, vec![point])),
                }
            }
            lines
        };
        vec![
            ("Requests", vec![in_flight, named("waiting", self.total("requests_waiting"))]),
            ("KV cache (%)", vec![named("used", self.highest("kv_cache_usage", 100.0))]),
            ("Tokens/s", vec![named("output", tokens("generation_tokens")), named("input", tokens("prompt_tokens"))]),
            ("Power (W)", devices("power_w", 1.0)),
            ("SM clock (MHz)", devices("sm_clock_mhz", 1.0)),
        ]
    }

    /// A metric of the server, over its engines at each time.
    fn joined(&self, metric: &str, join: fn(f64, f64) -> f64) -> Vec<(f64, f64)> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for sample in self.samples.iter().filter(|sample| sample.source == "server" && sample.metric == metric) {
            match points.last_mut().filter(|(at_s, _)| *at_s == sample.at_s) {
                Some((_, value)) => *value = join(*value, sample.value),
                None => points.push((sample.at_s, sample.value)),
            }
        }
        points
    }

    fn total(&self, metric: &str) -> Vec<(f64, f64)> {
        self.joined(metric, |sum, value| sum + value)
    }

    fn highest(&self, metric: &str, factor: f64) -> Vec<(f64, f64)> {
        self.joined(metric, f64::max).into_iter().map(|(at_s, value)| (at_s, value * factor)).collect()
    }

    /// Requests in flight as the client knows them, as steps.
    fn in_flight(&self) -> Vec<(f64, f64)> {
        let offset = self.offset().unwrap_or(0.0);
        let changes = self.requests.iter().flat_map(|request| [(request.start_s, 1.0), (request.end_s, -1.0)]);
        let mut changes: Vec<(f64, f64)> = changes.collect();
        changes.sort_by(|left, right| left.0.total_cmp(&right.0));
        let mut count = 0.0;
        let steps = changes.into_iter().flat_map(|(at_s, change)| {
            let before = count;
            count += change;
            [(at_s + offset, before), (at_s + offset, count)]
        });
        steps.collect()
    }

    /// A bar for each request, lighter until its first token; of many a point by when it was sent and how long it took.
    fn requests_panel(&self) -> Option<(Panel, Vec<LegendEntry>)> {
        let offset = self.offset().unwrap_or(0.0);
        if self.requests.is_empty() {
            return None;
        }
        if self.requests.len() > MOST_BARS {
            return Some(self.latencies(offset));
        }
        let mut panel = Panel::default();
        let (waiting, answered) = (theme::category_color(4), theme::category_color(0));
        for (index, request) in self.requests.iter().enumerate() {
            let at = index as f64 + 1.0;
            let mut bar = |from: f64, until: f64, color: Color| {
                let (left, right) = (from + offset, until + offset);
                let outline = vec![(left, at - 0.4), (right, at - 0.4), (right, at + 0.4), (left, at + 0.4)];
                panel.shapes.push(Shape::Area { outline, color });
            };
            let first = request.first_s.unwrap_or(request.end_s);
            let (before, after) = if request.has_failed { (FAILED, FAILED) } else { (waiting, answered) };
            bar(request.start_s, first, before);
            bar(first, request.end_s, after);
        }
        let count = self.requests.len() as f64;
        let axis = Axis::around("Request", Scale::Linear, [0.5, count + 0.5].into_iter()).limited(0.5, count + 0.5);
        panel.y = Some(axis.of_counts());
        let mut told = vec![("until the first token", waiting), ("answer", answered)];
        if self.requests.iter().any(|request| request.has_failed) {
            told.push(("failed", FAILED));
        }
        let entries = told.into_iter().map(|(text, color)| LegendEntry {
            text: text.into(),
            style: Style { color, dash: Dash::Solid, marker: Marker::Square, opacity: 0.6 },
            shows: Shows::Marker,
        });
        Some((panel, entries.collect()))
    }

    fn latencies(&self, offset: f64) -> (Panel, Vec<LegendEntry>) {
        let points = |is_meant: &dyn Fn(&Sent) -> bool| {
            let meant = self.requests.iter().filter(|request| is_meant(request));
            let point = |request: &Sent| Point {
                x: Estimate::exact(request.start_s + offset),
                y: Estimate::exact((request.end_s - request.start_s) * 1e3),
            };
            meant.map(point).collect::<Vec<_>>()
        };
        let kinds = [
            ("E2E latency by start", theme::category_color(0), points(&|request| !request.has_failed)),
            ("failed", FAILED, points(&|request| request.has_failed)),
        ];
        let series =
            kinds.into_iter().filter(|(_, _, points)| !points.is_empty()).map(|(name, color, points)| Series {
                name: name.into(),
                style: Style { color, dash: Dash::Solid, marker: Marker::Circle, opacity: 0.35 },
                join: Join::None,
                spread: Spread::None,
                points,
            });
        let mut panel = Panel { series: series.collect(), ..Panel::default() };
        let values = panel.series.iter().flat_map(|series| &series.points).map(|point| point.y.mean);
        panel.y = Some(Axis::around("E2E (ms)", Scale::Linear, values.chain([0.0]).collect::<Vec<_>>().into_iter()));
        let entry =
            |series: &Series| LegendEntry { text: series.name.clone(), style: series.style, shows: Shows::Marker };
        let entries = panel.series.iter().map(entry).collect();
        (panel, entries)
    }
}

/// The rate of a counter between samples; where it went back it began anew.
fn rate(values: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let pairs = values.windows(2).filter(|pair| pair[1].0 > pair[0].0 && pair[1].1 >= pair[0].1);
    pairs.map(|pair| ((pair[0].0 + pair[1].0) / 2.0, (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0))).collect()
}

fn lines_panel(label: &str, lines: &[Line], row: usize) -> Option<(Panel, Vec<LegendEntry>)> {
    let known: Vec<&Line> = lines.iter().filter(|(_, points)| !points.is_empty()).collect();
    if known.is_empty() {
        return None;
    }
    // Rows differ in color, so that the legend tells which is meant.
    let series = known.iter().enumerate().map(|(index, (name, points))| Series {
        name: format!("{label}: {name}"),
        style: Style {
            color: theme::category_color(row + index),
            dash: theme::dash(index % 4),
            marker: Marker::None,
            opacity: 1.0,
        },
        join: Join::Straight,
        spread: Spread::None,
        points: points.iter().map(|(x, y)| Point { x: Estimate::exact(*x), y: Estimate::exact(*y) }).collect(),
    });
    let series: Vec<Series> = series.collect();
    let values: Vec<f64> = known.iter().flat_map(|(_, points)| points).map(|(_, y)| *y).chain([0.0]).collect();
    let entries = known.iter().zip(&series);
    let entries =
        entries.map(|((name, _), series)| LegendEntry { text: name.clone(), style: series.style, shows: Shows::Line });
    let entries = entries.collect();
    let y = Some(Axis::around(label, Scale::Linear, values.into_iter()));
    Some((Panel { series, y, ..Panel::default() }, entries))
}

/// All x of a panel.
fn places_of(panel: &Panel) -> Vec<f64> {
    let points = panel.series.iter().flat_map(|series| &series.points).map(|point| point.x.mean);
    let areas = panel.shapes.iter().filter_map(|shape| match shape {
        Shape::Area { outline, .. } => Some(outline.iter().map(|(x, _)| *x)),
        _ => None,
    });
    points.chain(areas.flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(metric: &str, device: Option<&str>, values: &[f64]) -> Vec<Sampled> {
        let sample = |(at_s, value): (usize, &f64)| Sampled {
            source: if device.is_some() { "gpu" } else { "server" }.into(),
            device: device.map(str::to_owned),
            metric: metric.into(),
            at_s: at_s as f64,
            value: *value,
        };
        values.iter().enumerate().map(sample).collect()
    }

    fn sent(count: usize) -> Vec<Sent> {
        let one = |index: usize| Sent {
            start_s: index as f64 * 0.1,
            first_s: Some(index as f64 * 0.1 + 0.2),
            end_s: index as f64 * 0.1 + 1.0,
            has_failed: index == 1,
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn each_thing_that_is_known_has_a_row_and_an_axis_of_its_own() {
        let samples = [
            sampled("requests_running", None, &[0.0, 4.0, 4.0]),
            sampled("generation_tokens", None, &[100.0, 200.0, 150.0]),
            sampled("power_w", Some("0"), &[50.0, 300.0, 300.0]),
            sampled("power_w", Some("1"), &[40.0, 40.0, 40.0]),
        ];
        let timeline = Timeline { samples: samples.concat(), requests: sent(10), ..Timeline::default() };
        let figure = timeline.figure().unwrap();
        let labels: Vec<&str> = figure.panels.iter().map(|row| row[0].y.as_ref().unwrap().label.as_str()).collect();
        assert_eq!(labels, ["Requests", "Tokens/s", "Power (W)", "Request"]);
        // A counter that went back has no rate there.
        assert_eq!(figure.panels[1][0].series[0].points.len(), 1);
        assert_eq!(figure.panels[2][0].series.len(), 2);
        assert_eq!(Timeline::default().figure(), None);
    }

    #[test]
    fn requests_end_with_the_benchmark_and_many_of_them_are_points() {
        let timeline =
            Timeline { requests: sent(200), wall_time_s: Some(31.0), duration_s: Some(21.0), ..Timeline::default() };
        let figure = timeline.figure().unwrap();
        let requests = &figure.panels.last().unwrap()[0];
        let points: Vec<(f64, f64)> =
            requests.series[0].points.iter().map(|point| (point.x.mean, point.y.mean.round())).collect();
        assert_eq!((points.len(), points[0]), (199, (10.0, 1000.0)));
        assert_eq!(requests.series[1].name, "failed");
        let shades = requests.shapes.iter().filter(|shape| matches!(shape, Shape::Shade { .. })).count();
        assert_eq!(shades, 2);
        assert_eq!(figure.x.max, 31.0);
    }
}
