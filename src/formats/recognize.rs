//! Which tool wrote a document: every format is asked for its signs, and the one that fits best is it.

use super::Format;
use super::sign::Sign;
use super::{
    aiperf, evalscope, genai_bench, genai_perf, guidellm, inference_perf, inferencex, llama_bench, llm_d,
    llm_optimizer, mlperf, sglang, trtllm, vllm, vllm_offline,
};
use serde_json::{Map, Value};

/// How well a format fits a document.
#[derive(Clone, Debug)]
pub struct Fit {
    pub format: &'static Format,
    pub held: Vec<Sign>,
    pub missing: Vec<Sign>,
}

/// All formats that are read.
pub const FORMATS: [&Format; 20] = [
    &vllm::FORMAT,
    &vllm::STARTUP,
    &sglang::FORMAT,
    &guidellm::FORMAT,
    &guidellm::FORMAT_0_3,
    &aiperf::FORMAT,
    &aiperf::FORMAT_0_1,
    &genai_perf::FORMAT,
    &genai_perf::FLAT,
    &inferencex::FORMAT,
    &inference_perf::FORMAT,
    &llm_d::FORMAT,
    &genai_bench::FORMAT,
    &evalscope::FORMAT,
    &llm_optimizer::FORMAT,
    &trtllm::FORMAT,
    &llama_bench::FORMAT,
    &mlperf::FORMAT,
    &vllm_offline::THROUGHPUT,
    &vllm_offline::LATENCY,
];

impl Fit {
    fn of(format: &'static Format, document: &Map<String, Value>) -> Self {
        let (held, missing): (Vec<Sign>, Vec<Sign>) =
            format.needs.iter().chain(format.tells).partition(|sign| sign.holds(document));
        Self { format, held, missing }
    }

    /// Whether the document has all that a document of the format must have.
    pub fn is_whole(&self) -> bool {
        self.lacking().next().is_none()
    }

    fn share(&self) -> f64 {
        self.held.len() as f64 / (self.held.len() + self.missing.len()) as f64
    }

    /// What the document must have for this format, and lacks.
    pub fn lacking(&self) -> impl Iterator<Item = &Sign> {
        self.format.needs.iter().filter(|sign| self.missing.contains(sign))
    }
}

/// All formats, those that fit best first: whole ones before others, then by the share of their signs that the document has, then by
/// their number.
pub fn fits(document: &Map<String, Value>) -> Vec<Fit> {
    let mut fits: Vec<Fit> = FORMATS.into_iter().map(|format| Fit::of(format, document)).collect();
    fits.sort_by(|left, right| {
        let by_whole = right.is_whole().cmp(&left.is_whole());
        by_whole.then(right.share().total_cmp(&left.share())).then(right.held.len().cmp(&left.held.len()))
    });
    fits
}

/// The format of a document; nothing where none fits.
pub fn recognize(document: &Map<String, Value>) -> Option<Fit> {
    fits(document).into_iter().next().filter(Fit::is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(document: &Value) -> Vec<&'static str> {
        let whole = fits(document.as_object().unwrap()).into_iter().filter(Fit::is_whole);
        whole.map(|fit| fit.format.name).collect()
    }

    #[test]
    fn objects_under_vllms_names_are_not_vllms() {
        let old = json!({
            "request_throughput": {"unit": "requests/sec", "avg": 390.2}, "benchmark_duration": {"unit": "sec", "avg": 1.0},
            "input_config": {"endpoint": {"model_names": ["m"]}, "loadgen": {"concurrency": 4}}, "error_summary": [],
        });
        assert_eq!(names(&old), ["AIPerf"]);
        let flat = json!({
            "request_throughput": {"unit": "requests/sec", "avg": 3.2},
            "input_config": {"subcommand": "profile", "service_kind": "openai", "model": ["m"], "concurrency": 1},
        });
        assert_eq!(names(&flat), ["GenAI-Perf up to 0.0.12"]);
    }

    #[test]
    fn what_fits_nothing_is_nothing() {
        for other in [json!({}), json!({"duration": 3, "completed": 4}), json!({"request_throughput": 3.0})] {
            assert!(recognize(other.as_object().unwrap()).is_none(), "{other}");
        }
    }

    #[test]
    fn the_document_that_has_more_is_told_from_the_one_that_has_less() {
        let sglang = json!({
            "backend": "sglang", "dataset_name": "random", "random_range_ratio": 0.0, "duration": 1.0, "completed": 3,
            "total_output_tokens": 5, "mean_e2e_latency_ms": 3.0, "mean_ttft_ms": 1.0, "request_throughput": 3.0,
        });
        assert_eq!(names(&sglang)[0], "SGLang bench_serving");
    }
}
