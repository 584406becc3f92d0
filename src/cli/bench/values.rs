//! What flags of `bench` take.

use crate::load::Edge;
use serde_json::{Map, Value};
use std::time::Duration;

pub fn positive_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate == f64::INFINITY || crate::cli::SENSIBLE.contains(&rate) => Ok(rate),
        Ok(rate) if rate > 0.0 => Err(crate::cli::out_of_range()),
        _ => Err("expected a number of requests per second greater than 0, or inf".into()),
    }
}

pub fn metric_name(text: &str) -> Result<String, String> {
    match text {
        "ttft" | "tpot" | "itl" | "e2el" => Ok(text.to_owned()),
        _ => Err("expected ttft, tpot, itl or e2el".into()),
    }
}

pub fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("expected a percentile between 0 and 100".into()),
    }
}

/// Seconds, or a share of the run: `30`, `10%`.
pub fn edge(text: &str) -> Result<Edge, String> {
    let share = text.trim().strip_suffix('%').map(|percent| percent.trim().parse::<f64>());
    match share.unwrap_or_else(|| text.trim().parse()) {
        Ok(percent) if text.contains('%') && (0.0..100.0).contains(&percent) => Ok(Edge::Share(percent / 100.0)),
        Ok(seconds) if !text.contains('%') && (0.0..=*crate::cli::SENSIBLE.end()).contains(&seconds) => {
            Ok(Edge::Time(Duration::from_secs_f64(seconds)))
        }
        _ => Err("expected seconds, or a share of the run such as 10%".into()),
    }
}

pub fn goodput(text: &str) -> Result<(String, f64), String> {
    let (metric, limit) = text.split_once(':').ok_or("expected METRIC:MILLISECONDS")?;
    match (metric, limit.parse::<f64>()) {
        ("ttft" | "tpot" | "e2el", Ok(limit)) if limit >= 0.0 => Ok((metric.to_owned(), limit)),
        _ => Err("expected ttft, tpot or e2el, a colon, and milliseconds".into()),
    }
}

pub fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub fn json_object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("expected a JSON object".into()),
        Err(error) => Err(format!("not valid JSON: {error}")),
    }
}

/// One number, or one for inputs and one for outputs: `0.2`, or `{"input": 0.2, "output": 0.5}` as vLLM takes it.
pub fn ratios(text: &str) -> Result<(f64, f64), String> {
    if let Ok(ratio) = text.parse() {
        return Ok((ratio, ratio));
    }
    let both =
        json_object(text).ok().and_then(|both| Some((both.get("input")?.as_f64()?, both.get("output")?.as_f64()?)));
    both.ok_or_else(|| "expected a number, or {\"input\": NUMBER, \"output\": NUMBER}".into())
}
