//! What a run leaves: its result as JSON, and its requests as Parquet.

use super::flags::Report;
use crate::cli::{Ended, Failure};
use crate::load::{Config, Measured, Measurement};
use crate::record::{Cell, Row};
use crate::store::{write_bytes_atomically, write_rows};
use serde_json::{Map, Value};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// Saves the result under the name that is asked for.
pub fn save(
    report: &Report,
    config: &Config,
    measured: &Measured,
    date: chrono::DateTime<chrono::Local>,
    result: Map<String, Value>,
) -> Ended {
    let name = report.result_filename.clone().unwrap_or_else(|| default_name(config, &measured.model, date));
    let path = report.result_dir.join(name);
    let told = |error: std::io::Error| Failure::work(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(told)?;
    let text = serde_json::to_string(&Value::Object(result)).map_err(Failure::work)?;
    if report.append_result {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(told)?;
        return file.write_all(format!("{text}\n").as_bytes()).map_err(told);
    }
    write_bytes_atomically(&path, text.as_bytes()).map_err(Failure::work)
}

fn default_name(config: &Config, model: &str, date: chrono::DateTime<chrono::Local>) -> String {
    let concurrency = config.load.max_concurrency.map(|most| format!("-concurrency{most}")).unwrap_or_default();
    let label = config.report.label.as_deref().unwrap_or(config.request.backend.name());
    let model = model.rsplit('/').next().unwrap_or(model);
    let rate = config.load.traffic.request_rate;
    format!("{label}-{rate}qps{concurrency}-{model}-{}.json", date.format("%Y%m%d-%H%M%S")).replace('/', "_")
}

/// Rows that are made at a time.
const AT_A_TIME: usize = 8192;

/// Saves what was measured of each request, in the columns of a lake's table `requests`.
pub fn save_requests(path: &Path, config: &Config, measured: &Measured) -> Ended {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let told = |error| Failure::work(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    let first = measured.requests.iter().map(|request| request.start).min().unwrap_or_default();
    let window = config.report.window(measured.duration);
    let parts = measured.requests.chunks(AT_A_TIME);
    let rows = parts.map(|part| part.iter().map(|request| row_of(request, first, window.as_ref())).collect());
    write_rows(path, rows).map_err(Failure::work)
}

fn row_of(request: &Measurement, first: Duration, window: Option<&Range<Duration>>) -> Row {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    // A time of a request that failed is how long that took.
    let of_answer = |time: Option<Duration>| Cell::from(time.filter(|_| request.is_ok()).map(millis));
    let count = |tokens: Option<usize>| Cell::from(tokens.map(|tokens| tokens as i64));
    let ok = if request.is_cut_off() { Cell::Null } else { Cell::Bool(request.is_ok()) };
    let mut row: Row = vec![
        ("request_index".into(), (request.index as i64).into()),
        ("start_s".into(), request.start.saturating_sub(first).as_secs_f64().into()),
        ("input_len".into(), count(request.input_tokens)),
        ("output_len".into(), count(request.output_tokens)),
        ("ttft_ms".into(), of_answer(request.ttft)),
        ("tpot_ms".into(), of_answer(request.tpot())),
        ("e2el_ms".into(), of_answer(Some(request.latency))),
        ("queue_time_ms".into(), millis(request.queue_time()).into()),
        ("itls_ms".into(), Cell::Floats(request.itl.iter().map(|gap| millis(*gap)).collect())),
        ("ok".into(), ok),
        ("error".into(), request.failure.as_ref().map(|failure| failure.text.as_str()).into()),
    ];
    if let Some(window) = window {
        row.push(("left_out".into(), Cell::Bool(request.is_ok() && !window.contains(&request.start))));
    }
    row
}
