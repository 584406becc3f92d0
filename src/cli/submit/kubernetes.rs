//! An indexed job of Kubernetes.

use super::{Checked, Submitted, job_name};
use crate::cli::say::out;
use crate::cli::{Ended, Failure};
use crate::store::is_remote;
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
    /// Persistent volume claim with the lake, which all pods can write (ReadWriteMany). Not needed for a sweep whose -o is a bucket: each pod then
    /// makes its part of the servers, as a sweep NAME-INDEX of its own.
    #[arg(long, value_name = "NAME")]
    volume: Option<String>,
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
    let words = match (is_remote(&sweep.lake), &arguments.volume) {
        (true, _) => of_part(&sweep, arguments.nodes)?,
        (false, None) => {
            return Err(Failure::input(
                "--volume NAME is needed: the pods must share a lake (or give the sweep -o s3://…)",
            ));
        }
        (false, Some(_)) if sweep.lake.is_absolute() && !sweep.lake.starts_with(&arguments.mount) => {
            return Err(Failure::input(format!(
                "-o {}: would be lost with each pod; name a folder below --mount {}",
                sweep.lake.display(),
                arguments.mount
            )));
        }
        (false, Some(_)) => std::iter::once("sweeplake".to_owned()).chain(sweep.joined()).collect(),
    };
    let mut metadata = json!({"name": job_name(&sweep.name)});
    if let Some(namespace) = &arguments.namespace {
        metadata["namespace"] = namespace.as_str().into();
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
            "template": {"spec": pod(arguments, words)},
        },
    });
    out!("{}", serde_saphyr::to_string(&job).map_err(Failure::work)?.trim_end());
    Ok(())
}

/// What each pod of a job runs whose lake is a bucket: its share of the servers. A pod that takes the place of another goes on with what that one
/// had uploaded.
fn of_part(sweep: &Checked, pods: u32) -> Result<Vec<String>, Failure> {
    if sweep.words.iter().any(|word| word == "--shard" || word.starts_with("--shard=")) {
        return Err(Failure::input("--shard: each pod gets its own; leave it out"));
    }
    let quoted = |text: &str| shlex::try_quote(text).map(|text| text.into_owned()).map_err(Failure::input);
    let (name, place) = (quoted(&sweep.name)?, quoted(sweep.lake.to_string_lossy().trim_end_matches('/'))?);
    let script = format!(
        "set -- \"$@\" -e {name}-$JOB_COMPLETION_INDEX --shard $((JOB_COMPLETION_INDEX + 1))/{pods}\n\
         if sweeplake show {place}/{name}-$JOB_COMPLETION_INDEX > /dev/null 2>&1; then set -- \"$@\" --resume; fi\n\
         exec sweeplake \"$@\"\n"
    );
    Ok(["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]
        .into_iter()
        .chain(sweep.words.iter().cloned())
        .collect())
}

fn pod(arguments: &Arguments, words: Vec<String>) -> Value {
    let secrets: Vec<Value> = arguments.secret.iter().map(|name| json!({"secretRef": {"name": name}})).collect();
    // Engines with several GPUs pass tensors through it.
    let mut mounts = vec![json!({"name": "shm", "mountPath": "/dev/shm"})];
    let mut volumes = vec![json!({"name": "shm", "emptyDir": {"medium": "Memory"}})];
    if let Some(claim) = &arguments.volume {
        mounts.insert(0, json!({"name": "lake", "mountPath": arguments.mount}));
        volumes.insert(0, json!({"name": "lake", "persistentVolumeClaim": {"claimName": claim}}));
    }
    let mut container = json!({
        "name": "sweeplake",
        "image": arguments.image,
        "command": words,
        "workingDir": arguments.mount,
        "resources": {"limits": {&arguments.gpu_resource: arguments.gpus}},
        "volumeMounts": mounts,
    });
    if !secrets.is_empty() {
        container["envFrom"] = secrets.into();
    }
    let mut pod = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_S,
        "containers": [container],
        "volumes": volumes,
    });
    if !arguments.node_selector.is_empty() {
        pod["nodeSelector"] = arguments.node_selector.iter().cloned().collect();
    }
    pod
}
