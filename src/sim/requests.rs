//! What the server itself saw of each request: the truth that clients are compared with.

use super::SimError;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A file of lines, one a request.
pub struct Requests {
    file: Option<Mutex<File>>,
}

/// One request, as it goes.
#[derive(Clone, Debug)]
pub struct Noted {
    pub id: String,
    pub arrived_s: f64,
    pub prompt_tokens: usize,
    /// When each token was handed out.
    pub token_times_s: Vec<f64>,
}

impl Requests {
    pub fn new(path: Option<&Path>) -> Result<Self, SimError> {
        let open = |path: &Path| {
            let file = File::options().create(true).append(true).open(path);
            file.map_err(|error| SimError::BadFile { path: path.display().to_string(), reason: error.to_string() })
        };
        Ok(Self { file: path.map(open).transpose()?.map(Mutex::new) })
    }

    /// Notes a request once it has ended.
    pub fn note(&self, request: &Noted) {
        let Some(file) = &self.file else { return };
        let line = json!({
            "request_id": request.id, "arrived_s": request.arrived_s, "prompt_tokens": request.prompt_tokens,
            "token_times_s": request.token_times_s,
        });
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that can't be written stops no server.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}
