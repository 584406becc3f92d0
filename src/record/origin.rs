//! Where a run that somebody else measured comes from, and what its file tells of its parameters and its time.

use crate::id::is_same_key;
use crate::params::{BENCHMARK_NAME, ParamSet};
use chrono::{DateTime, Local, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

/// The tool and the file that a run was imported from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub tool: String,
    pub version: Option<String>,
    pub file: String,
    /// What the tool means by a metric that is stored under vLLM's name.
    pub definitions: Vec<(String, String)>,
    /// What has no name of vLLM's.
    pub extra: Vec<(String, String)>,
}

/// Settings of the load that a result repeats: parameters wherever they come from.
const LOAD_KEYS: [&str; 6] = ["num_prompts", "max_concurrency", "request_rate", "burstiness", "backend", "label"];

/// The `date` of a result: local time without a zone.
pub fn local_date(text: &str) -> Option<DateTime<Utc>> {
    local(NaiveDateTime::parse_from_str(text, "%Y%m%d-%H%M%S").ok()?)
}

/// A time as ISO 8601 writes it, local where it names no zone.
pub fn local_time(text: &str) -> Option<DateTime<Utc>> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Some(time.with_timezone(&Utc)),
        Err(_) => local(NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?),
    }
}

/// A time without a zone, in the zone that makes it the nearest to an instant: zones differ from UTC by whole quarters of an hour.
pub fn time_in_zone_of(text: &str, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") else { return local_time(text) };
    let quarters = ((time.and_utc() - instant).as_seconds_f64() / QUARTER_S as f64).round() as i64;
    Some(time.and_utc() - TimeDelta::seconds(quarters * QUARTER_S))
}

const QUARTER_S: i64 = 15 * 60;

fn local(time: NaiveDateTime) -> Option<DateTime<Utc>> {
    time.and_local_timezone(Local).earliest().map(|time| time.with_timezone(&Utc))
}

/// The parameters of a record: vLLM puts them behind `run_number`, and those of the load where they were.
pub fn params_of(result: &Map<String, Value>) -> ParamSet {
    let behind = result.iter().skip_while(|(key, _)| *key != "run_number").skip(1);
    let load = result.iter().filter(|(key, _)| LOAD_KEYS.iter().any(|load| is_same_key(load, key)));
    let load = load.filter(|(_, value)| !value.is_null());
    let mut params: Map<String, Value> = load.map(|(key, value)| (key.clone(), value.clone())).collect();
    params.extend(behind.map(|(key, value)| (key.clone(), value.clone())));
    let name = match params.shift_remove(BENCHMARK_NAME) {
        Some(Value::String(name)) => Some(name),
        _ => None,
    };
    ParamSet { name, params }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_tells_the_zone_of_a_time() {
        let instant = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc);
        let cases = [
            // Tokyo, New York, Kathmandu, UTC; the first request starts some seconds after its run.
            ("2026-11-26T12:36:23.566388", "2026-11-26T03:36:23.572691Z", "2026-11-26T03:36:23.566388Z"),
            ("2026-11-25T17:11:00", "2026-11-25T22:11:09Z", "2026-11-25T22:11:00Z"),
            ("2026-11-26T05:45:00.5", "2026-11-26T00:00:20Z", "2026-11-26T00:00:00.5Z"),
            ("2026-11-26T05:45:00", "2026-11-26T05:45:30Z", "2026-11-26T05:45:00Z"),
        ];
        for (text, first_request, expected) in cases {
            assert_eq!(time_in_zone_of(text, instant(first_request)), Some(instant(expected)), "{text}");
        }
        let told = "2026-11-26T05:45:00+05:45";
        assert_eq!(time_in_zone_of(told, instant("2026-11-26T09:00:00Z")), Some(instant("2026-11-26T00:00:00Z")));
    }
}
