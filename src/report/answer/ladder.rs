//! The highest measured load of each setting within usual limits on latency.

use super::{Point, Standings};
use crate::report::table::number;

/// Limits on the P99 of the time to first token and of the time per output token, ms: for dialogues that feel immediate, and those of
/// MLPerf Inference 5.0 for Llama 2 70B, interactive and server.
const LIMITS: [(f64, f64); 3] = [(200.0, 25.0), (450.0, 40.0), (2000.0, 200.0)];

pub struct Ladder {
    /// What must be kept.
    pub limits: Vec<String>,
    pub rows: Vec<Step>,
}

pub struct Step {
    pub setting: String,
    /// By limit.
    pub cells: Vec<String>,
}

impl Ladder {
    /// Nothing where latencies are not known.
    pub fn of(standings: &Standings, price: Option<f64>) -> Option<Self> {
        let points = standings.points.iter().flatten().flatten();
        points.clone().find(|point| point.p99_ttft_ms.is_some() && point.p99_tpot_ms.is_some())?;
        let cell = |setting: usize, limit: (f64, f64)| match highest(standings, setting, limit) {
            None => "none of the measured loads".to_owned(),
            Some((load, point)) => {
                let cost = point.cost_text(price).map(|cost| format!(" · {cost}")).unwrap_or_default();
                format!("{load}: {} tok/s{cost}", number(point.throughput))
            }
        };
        let rows = standings.settings.iter().enumerate().map(|(setting, name)| Step {
            setting: name.clone(),
            cells: LIMITS.map(|limit| cell(setting, limit)).to_vec(),
        });
        Some(Self { limits: LIMITS.map(limit_text).to_vec(), rows: rows.collect() })
    }
}

/// Which setting does most within MLPerf's limits for interactive use, where several do.
pub fn sentence(standings: &Standings) -> Option<String> {
    let limit = LIMITS[1];
    let within =
        (0..standings.settings.len()).filter_map(|setting| Some((setting, highest(standings, setting, limit)?)));
    let within: Vec<(usize, (&str, &Point))> = within.collect();
    if within.len() < 2 {
        return None;
    }
    let (setting, (load, point)) =
        within.into_iter().max_by(|left, right| left.1.1.throughput.total_cmp(&right.1.1.throughput))?;
    Some(format!(
        "Of the measured loads with {}, {} has the highest throughput: {} tok/s at {load}.",
        limit_text(limit),
        standings.settings[setting],
        number(point.throughput)
    ))
}

fn limit_text((ttft, tpot): (f64, f64)) -> String {
    format!("P99 TTFT ≤ {ttft} ms, P99 TPOT ≤ {tpot} ms")
}

/// The load under which a setting has the highest throughput of those that keep a limit.
fn highest(standings: &Standings, setting: usize, (ttft, tpot): (f64, f64)) -> Option<(&str, &Point)> {
    let measured = standings.loads.iter().zip(&standings.points);
    let own = measured.filter_map(|(load, of_load)| Some((load.as_str(), of_load[setting].as_ref()?)));
    let keeps = |point: &Point| {
        point.p99_ttft_ms.is_some_and(|p99| p99 <= ttft) && point.p99_tpot_ms.is_some_and(|p99| p99 <= tpot)
    };
    own.filter(|(_, point)| keeps(point)).max_by(|left, right| left.1.throughput.total_cmp(&right.1.throughput))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Candidate;

    fn point(throughput: f64, ttft: f64) -> Option<Point> {
        Some(Point {
            throughput,
            ttft_ms: None,
            e2el_ms: None,
            p99_ttft_ms: Some(ttft),
            p99_tpot_ms: Some(20.0),
            gpus: Some(2.0),
            candidate: Candidate { log: throughput.ln(), runs: 1 },
        })
    }

    #[test]
    fn the_highest_measured_load_within_each_limit_is_told_with_its_cost() {
        let standings = Standings {
            settings: vec!["a".into(), "b".into()],
            loads: vec!["c=1".into(), "c=8".into()],
            points: vec![vec![point(100.0, 50.0), point(90.0, 300.0)], vec![point(800.0, 400.0), point(900.0, 3000.0)]],
            noise: None,
            is_of_one_start: true,
        };
        let ladder = Ladder::of(&standings, Some(3.6)).unwrap();
        // 3.6 dollars × 2 GPUs / 3600 s / 100 tok/s × 10⁶ = 20.
        assert_eq!(ladder.rows[0].cells[0], "c=1: 100 tok/s · $20.00/M tok");
        assert!(ladder.rows[0].cells[1].starts_with("c=8: 800 tok/s"), "{:?}", ladder.rows[0].cells);
        assert_eq!(ladder.rows[1].cells[0], "none of the measured loads");
        assert!(ladder.rows[1].cells[2].starts_with("c=1: 90 tok/s"));
        assert!(sentence(&standings).unwrap().contains("a has the highest throughput: 800 tok/s at c=8"));
    }
}
