//! An axis of time: from the first instant on.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

/// Instants as times since the first of them.
pub struct Since {
    pub elapsed: Vec<String>,
    /// `min since 2026-11-27 10:00:00 UTC`.
    pub unit: String,
}

impl Since {
    /// Nothing if one of the texts is no instant.
    pub fn first_of(texts: &[String]) -> Option<Self> {
        let times = texts.iter().map(|text| instant(text)).collect::<Option<Vec<_>>>()?;
        let (first, last) = (*times.iter().min()?, *times.iter().max()?);
        let (seconds, name) = match last - first {
            span if span < TimeDelta::minutes(3) => (1.0, "s"),
            span if span < TimeDelta::hours(3) => (60.0, "min"),
            span if span < TimeDelta::days(3) => (3600.0, "h"),
            _ => (86400.0, "days"),
        };
        let elapsed = times.iter().map(|time| (*time - first).as_seconds_f64() / seconds);
        Some(Self {
            elapsed: elapsed.map(|value| value.to_string()).collect(),
            unit: format!("{name} since {}", first.format("%Y-%m-%d %H:%M:%S UTC")),
        })
    }
}

/// As Arrow spells timestamps and dates.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    let local = |naive: NaiveDateTime| naive.and_utc();
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(local))
        .or_else(|_| NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| local(day.into())))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_from_the_first_in_a_unit_of_their_span() {
        let texts = ["2026-11-27T10:30:00Z", "2026-11-27T10:00:00.000Z", "2026-11-27T11:15:00"].map(str::to_owned);
        let since = Since::first_of(&texts).unwrap();
        assert_eq!(since.elapsed, ["30", "0", "75"]);
        assert_eq!(since.unit, "min since 2026-11-27 10:00:00 UTC");
        assert!(Since::first_of(&["64".to_owned(), texts[0].clone()]).is_none());
        assert!(Since::first_of(&[]).is_none());
    }
}
