//! What flags of sweeps hold, read.

use super::servers::ServerCommands;
use crate::cli::Failure;
use crate::params::Address;
use crate::sweep::Limit;
use url::Url;

/// The address of a server that somebody else runs. What it is asked goes over plain HTTP.
pub fn base_url(text: &str, commands: &ServerCommands) -> Result<Address, Failure> {
    let bad = |reason: &str| Failure::input(format!("--base-url: {text:?}: {reason}"));
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    let host = url.host_str().ok_or_else(|| bad("has no host"))?.trim_matches(['[', ']']).to_owned();
    match url.scheme() {
        "http" => {}
        "https" if commands.ready.is_some() && commands.after_bench.is_some() => {}
        "https" => return Err(bad("https requires --ready-cmd and --after-bench-cmd")),
        _ => return Err(bad("expected http://HOST:PORT")),
    }
    let port = url.port_or_known_default().unwrap_or(Address::DEFAULT_PORT);
    Ok(Address { host, port })
}

/// `ci(METRIC)<5%`.
pub fn repeat_until(text: &str) -> Result<(String, f64), String> {
    let bad = || "expected 'ci(METRIC)<PERCENT', such as 'ci(p99_e2el_ms)<5%'".to_owned();
    let (metric, share) = text.trim().strip_prefix("ci(").and_then(|rest| rest.split_once(')')).ok_or_else(bad)?;
    let share = share.trim().trim_start_matches("<=").trim_start_matches('<').trim();
    let width = share.strip_suffix('%').and_then(|percent| percent.trim().parse::<f64>().ok()).ok_or_else(bad)?;
    let is_fine = !metric.trim().is_empty() && (0.01..=100.0).contains(&width);
    if is_fine { Ok((metric.trim().to_owned(), width / 100.0)) } else { Err(bad()) }
}

/// `6h`, `1h 30m`, `60 runs`.
pub fn limit(text: &str) -> Result<Limit, String> {
    let runs = ["runs", "run"].iter().find_map(|unit| text.trim().strip_suffix(unit));
    if let Some(count) = runs {
        return at_least_one(count.trim()).map(Limit::Runs);
    }
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; expected 6h, 90m, 1h 30m or '60 runs'"))?;
    if duration.is_zero() { Err("expected a duration above 0".into()) } else { Ok(Limit::Time(duration)) }
}

/// A number of things.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number above 0".into()),
        Ok(count) => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_typed_is_read_or_refused_with_an_example() {
        assert_eq!(repeat_until("ci(p99_e2el_ms)<5%"), Ok(("p99_e2el_ms".into(), 0.05)));
        assert_eq!(repeat_until(" ci( x ) <= 0.5 % "), Ok(("x".into(), 0.005)));
        for bad in ["ci(x)<5", "x<5%", "ci()<5%", "ci(x)>5%", "ci(x)<0%", "ci(x)<nan%"] {
            assert!(repeat_until(bad).unwrap_err().contains("ci(p99_e2el_ms)<5%"), "{bad}");
        }
        assert_eq!(limit("1h 30m"), Ok(Limit::Time(Duration::from_secs(5400))));
        assert_eq!((limit("60 runs"), limit("1run")), (Ok(Limit::Runs(60)), Ok(Limit::Runs(1))));
        assert!(limit("6").unwrap_err().contains("6h") && limit("0s").is_err() && limit("0 runs").is_err());
        let none = ServerCommands { after_bench: None, ready: None, evaluation: None };
        let address = |text: &str| base_url(text, &none).map_err(|error| format!("{error:?}"));
        assert_eq!(address("http://gpu-7:8001/v1").unwrap(), Address { host: "gpu-7".into(), port: 8001 });
        assert_eq!(address("http://[::1]").unwrap(), Address { host: "::1".into(), port: 80 });
        assert!(address("https://x").unwrap_err().contains("--ready-cmd"));
        assert!(address("gpu-7:8001").is_err() && address("ftp://x").is_err());
    }
}
