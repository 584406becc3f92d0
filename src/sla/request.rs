//! One request of a run, as its sender sees it.

/// One request, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// When it came: in the open loop before any wait in the client, in the closed loop when it was sent.
    pub arrival: f64,
    /// From its arrival; nothing of a request that failed.
    pub ttft: Option<f64>,
    pub e2el: Option<f64>,
    pub tpot: Option<f64>,
    /// Gaps between its chunks.
    pub itls: Vec<f64>,
    /// Nothing where nobody counted.
    pub output_len: Option<f64>,
}
