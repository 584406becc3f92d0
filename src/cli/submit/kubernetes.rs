//! An indexed job of Kubernetes.

use super::{Submitted, job_name};
use crate::cli::say::out;
use crate::cli::{Ended, Failure};
use serde_json::{Value, json};

#[derive(clap::Args)]
pub struct Arguments {
    /// Image with sweeplake and the engine in it.
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Number of pods that work at the sweep.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    nodes: u32,
    /// GPUs of each pod.
    #[arg(long, value_name = "N", default_value_t = 1)]
    gpus: u32,
    /// Resource that the GPUs are.
    #[arg(long, value_name = "NAME", default_value = "nvidia.com/gpu")]
    gpu_resource: String,
    /// Persistent volume claim with the lake, which all pods can write (ReadWriteMany).
    #[arg(long, value_name = "NAME")]
    volume: String,
    /// Where the volume is mounted: the working directory of the sweep, with its parameter files.
    #[arg(long, value_name = "DIR", default_value = "/lake")]
    mount: String,
    /// Secret whose keys become environment variables, such as HF_TOKEN. May be repeated.
    #[arg(long, value_name = "NAME")]
    secret: Vec<String>,
    /// Namespace of the job.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// A label of the nodes to run on: nvidia.com/gpu.product=NVIDIA-H100. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    node_selector: Vec<(String, String)>,
    #[command(flatten)]
    submitted: Submitted,
}

fn label(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or("expected KEY=VALUE".into())
}

/// A pod that fails is started anew so often.
const RETRIES: u32 = 3;
/// A sweep that is told to stop stops its server first.
const GRACE_S: u32 = 120;

pub fn exec(arguments: &Arguments) -> Ended {
    let sweep = arguments.submitted.checked()?;
    if sweep.lake.is_absolute() && !sweep.lake.starts_with(&arguments.mount) {
        return Err(Failure::input(format!(
            "-o {}: would be lost with each pod; name a folder below --mount {}",
            sweep.lake.display(),
            arguments.mount
        )));
    }
    let words: Vec<Value> =
        std::iter::once("sweeplake".into()).chain(sweep.words.into_iter().map(Value::from)).collect();
    let mut metadata = json!({"name": job_name(&sweep.name)});
    if let Some(namespace) = &arguments.namespace {
        metadata["namespace"] = namespace.as_str().into();
    }
    let secrets: Vec<Value> = arguments.secret.iter().map(|name| json!({"secretRef": {"name": name}})).collect();
    let mut container = json!({
        "name": "sweeplake",
        "image": arguments.image,
        "command": words,
        "workingDir": arguments.mount,
        "resources": {"limits": {&arguments.gpu_resource: arguments.gpus}},
        "volumeMounts": [
            {"name": "lake", "mountPath": arguments.mount},
            // Engines with several GPUs pass tensors through it.
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    });
    if !secrets.is_empty() {
        container["envFrom"] = secrets.into();
    }
    let mut pod = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_S,
        "containers": [container],
        "volumes": [
            {"name": "lake", "persistentVolumeClaim": {"claimName": arguments.volume}},
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
        ],
    });
    if !arguments.node_selector.is_empty() {
        pod["nodeSelector"] = arguments.node_selector.iter().cloned().collect();
    }
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completionMode": "Indexed",
            "completions": arguments.nodes,
            "parallelism": arguments.nodes,
            "backoffLimitPerIndex": RETRIES,
            "template": {"spec": pod},
        },
    });
    out!("{}", serde_saphyr::to_string(&job).map_err(Failure::work)?.trim_end());
    Ok(())
}
