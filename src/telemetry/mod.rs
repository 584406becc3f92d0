//! What happens while a run is measured: what the server, its GPUs, the machine and the client report, sampled over time under one
//! set of names; and the columns of a run that follow from it.

mod amd;
mod engines;
mod host;
mod nvml;
mod prometheus;
mod samples;
mod summary;

pub use amd::Amd;
pub use engines::{Kept, from_engine, total};
pub use host::{Groups, Host};
pub use nvml::{GpuPlace, Nvidia};
pub use samples::{Reading, Samples};
pub use summary::Summary;
