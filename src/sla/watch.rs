//! Whether a run that is under way can still meet an SLA.
//!
//! A percentile is given up once three times as many requests as may be are beyond the limit, those of the ramp-up aside: whatever the rest
//! does, it is missed clearly. Runs near the limit go on to their end, so that what is known of them is whole.

use super::criteria::{Constraint, Operator, Sla};
use super::request::Request;
use crate::metric::percentile_of;

/// What is watched for.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    pub slas: Vec<Sla>,
    /// Requests of the whole run.
    pub num_prompts: usize,
    /// The first so many do not count: they come while the server fills.
    pub ramp_up: usize,
}

/// A percentile is given up at so many times the requests that may be beyond its limit.
const CLEAR: f64 = 3.0;
const FEWEST: f64 = 5.0;
/// A mean is given up once the requests so far took so many times what all may take together.
const CLEAR_MEAN: f64 = 2.0;

impl Watch {
    /// Why none of the SLAs can be met any more. `seen`: by their arrival; of requests that are under way the times are those so far.
    pub fn missed(&self, seen: &[Request]) -> Option<String> {
        let seen = seen.get(self.ramp_up..).unwrap_or_default();
        let misses: Option<Vec<String>> = self
            .slas
            .iter()
            .map(|sla| {
                sla.constraints.iter().find(|constraint| self.is_missed(constraint, seen)).map(ToString::to_string)
            })
            .collect();
        misses
            .filter(|misses| !misses.is_empty())
            .map(|misses| format!("SLA can no longer be met: {}", misses.join("; ")))
    }

    fn is_missed(&self, constraint: &Constraint, seen: &[Request]) -> bool {
        let is_bound = matches!(constraint.operator, Operator::AtMost | Operator::Below);
        let Some((statistic, family)) = constraint.metric.strip_suffix("_ms").and_then(|key| key.split_once('_'))
        else {
            return false;
        };
        let value: fn(&Request) -> Option<f64> = match family {
            "ttft" => |request| request.ttft.or(request.e2el),
            "e2el" => |request| request.e2el,
            _ => return false,
        };
        let (values, limit, all) = (seen.iter().filter_map(value), constraint.target / 1000.0, self.num_prompts as f64);
        let percent = match statistic {
            "mean" => return is_bound && values.sum::<f64>() > CLEAR_MEAN * limit * all,
            "median" => Some(50.0),
            _ => percentile_of(&constraint.metric).and_then(|percent| percent.parse::<f64>().ok()),
        };
        let Some(percent) = percent.filter(|_| is_bound) else { return false };
        let may_be = 1.0 - percent / 100.0;
        let given_up = (CLEAR * may_be).min((1.0 + may_be) / 2.0) * all;
        values.filter(|value| *value > limit).count() as f64 > given_up.max(FEWEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ttft: Option<f64>, e2el: f64) -> Request {
        Request { arrival: 0.0, ttft, e2el: Some(e2el), tpot: None, itls: Vec::new(), output_len: Some(1.0) }
    }

    fn missed(slas: &[&str], seen: &[Request]) -> Option<String> {
        let slas = slas.iter().map(|text| Sla::parse(text).unwrap()).collect();
        Watch { slas, num_prompts: 400, ramp_up: 2 }
            .missed(&[&[request(Some(9.0), 9.0), request(Some(9.0), 9.0)][..], seen].concat())
    }

    #[test]
    fn a_run_is_given_up_only_when_no_rest_of_it_can_mend_it() {
        let slow = vec![request(Some(0.1), 0.6); 13];
        assert_eq!(missed(&["p99_e2el_ms<=500"], &slow[..12]), None);
        assert_eq!(missed(&["p99_e2el_ms<=500"], &slow).unwrap(), "SLA can no longer be met: p99_e2el_ms<=500");
        // Each of them must be missed, by any of its constraints.
        assert_eq!(missed(&["p99_e2el_ms<=500", "p99_e2el_ms<=700"], &slow), None);
        assert!(missed(&["p99_e2el_ms<=500", "output_throughput>=10, p99_ttft_ms<=99"], &slow).is_some());
        // Who waits for the first token waits at least as long as until now.
        assert!(missed(&["p99_ttft_ms<=500"], &vec![request(None, 0.6); 13]).is_some());
        // Three quarters beyond the limit make a median; a mean is missed when the rest may take no time.
        assert_eq!(missed(&["median_e2el_ms<=500"], &vec![request(None, 0.6); 300]), None);
        assert!(missed(&["median_e2el_ms<=500"], &vec![request(None, 0.6); 301]).is_some());
        assert_eq!(missed(&["mean_e2el_ms<=500"], &vec![request(None, 10.0); 40]), None);
        assert!(missed(&["mean_e2el_ms<=500"], &vec![request(None, 10.0); 41]).is_some());
        assert_eq!(missed(&["output_throughput>=10"], &slow), None);
        assert_eq!(missed(&[], &slow), None);
    }
}
