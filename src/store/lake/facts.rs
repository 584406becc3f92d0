//! What a sweep says of itself, as a row.

use super::discover::Sweep;
use crate::record::{Cell, Gpu, Row};
use crate::store::StoreError;
use crate::store::sweep::Manifest;

impl Sweep {
    /// Its row of table `sweeps`.
    pub fn to_row(&self) -> Result<Row, StoreError> {
        let manifest = self.manifest()?;
        let manifest = manifest.as_deref();
        let text = |value: Option<&str>| value.map_or(Cell::Null, Cell::from);
        let environment = manifest.map(|manifest| &manifest.environment);
        let gpus = environment
            .map(|environment| environment.gpus.iter().map(|gpu| gpu.name.as_str()).collect::<Vec<_>>().join(", "));
        let gpu = |of: fn(&Gpu) -> Option<f64>| environment.and_then(|all| of(all.gpus.first()?));
        let row = [
            ("sweep", Cell::from(self.name.as_str())),
            ("kind", text(manifest.map(|manifest| manifest.kind.as_str()))),
            ("state", self.state()?.as_str().into()),
            ("started_at", manifest.map_or(Cell::Null, |manifest| Cell::Time(manifest.started_at.timestamp_micros()))),
            (
                "finished_at",
                manifest
                    .and_then(|manifest| manifest.finished_at)
                    .map_or(Cell::Null, |time| Cell::Time(time.timestamp_micros())),
            ),
            ("runs", manifest.map(|manifest| manifest.runs as i64).into()),
            ("failed", manifest.map(|manifest| manifest.failed as i64).into()),
            ("combinations", manifest.map(|manifest| manifest.num_combinations() as i64).into()),
            ("serve_cmd", text(manifest.map(|manifest| manifest.serve_cmd.as_str()))),
            ("bench_cmd", text(manifest.map(|manifest| manifest.bench_cmd.as_str()))),
            ("host", text(environment.map(|environment| environment.host.as_str()))),
            ("cpu", text(environment.map(|environment| environment.cpu.as_str()))),
            ("gpu", text(gpus.as_deref().filter(|gpus| !gpus.is_empty()))),
            ("gpus", environment.map(|environment| environment.gpus.len() as i64).into()),
            (
                "gpu_driver",
                text(
                    environment.and_then(|environment| environment.gpus.first()).and_then(|gpu| gpu.driver.as_deref()),
                ),
            ),
            ("gpu_clock_mhz", gpu(|gpu| gpu.max_clock_mhz).into()),
            ("gpu_power_limit_w", gpu(|gpu| gpu.power_limit_w).into()),
            ("engine", text(environment.and_then(|environment| environment.engine.as_deref()))),
            ("engine_version", text(environment.and_then(|environment| environment.engine_version.as_deref()))),
            ("git_commit", text(environment.and_then(|environment| environment.git_commit.as_deref()))),
            ("sweeplake_version", text(environment.map(|environment| environment.sweeplake_version.as_str()))),
            ("note", text(manifest.map(note_of).as_deref().filter(|note| !note.is_empty()))),
            ("folder", self.location().as_str().into()),
        ];
        Ok(row.into_iter().map(|(name, cell)| (name.into(), cell)).collect())
    }
}

/// All that people wrote about a sweep, one note behind the other.
fn note_of(manifest: &Manifest) -> String {
    manifest.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>().join("\n")
}
