//! Finds out what a sweep's runs are measured under.

use crate::exec::find_program;
use crate::params::{Command, ParamSet};
use crate::record::Conditions;
use crate::redact::{Redactor, variables};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Variables of the environment by which engines, drivers and Python are set.
const VARIABLES: [&str; 24] = [
    "VLLM_",
    "SGLANG_",
    "SGL_",
    "TRTLLM_",
    "LLAMA_",
    "GGML_",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "HIP_",
    "ROCR_",
    "ROCM_",
    "HSA_",
    "TORCH",
    "PYTORCH_",
    "TRITON_",
    "FLASHINFER_",
    "OMP_",
    "MKL_",
    "RAY_",
    "HF_",
    "TRANSFORMERS_",
    "TOKENIZERS_",
    "PYTHONPATH",
];

/// Flags behind which a program writes: what lies there is no input.
const OUTPUTS: [&str; 7] = ["output", "result", "log", "save", "dump", "trace", "profile"];

/// A file is told by its content up to this size, by its time above it.
const LARGEST: u64 = 4 << 30;

/// What the conditions are found in.
pub struct Setting<'a> {
    /// `serve`, `startup`, …
    pub kind: &'static str,
    /// By their names in the manifest.
    pub commands: Vec<(&'static str, &'a Command)>,
    pub sets: Vec<&'a ParamSet>,
    pub warmup_num_prompts: u32,
    pub redactor: &'a Redactor,
}

impl Setting<'_> {
    pub fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.set("kind", self.kind);
        conditions.set("warmup_num_prompts", self.warmup_num_prompts.to_string());
        for (name, command) in &self.commands {
            conditions.set(*name, command.redacted(self.redactor).quoted());
            if let Some(program) = find_program(command) {
                let name = format!("program {}", self.redactor.text(command.program()));
                conditions.set(name, program_text(&program, command));
            }
        }
        for file in self.files() {
            conditions.set(format!("file {}", self.redactor.text(&file)), file_text(Path::new(&file)));
        }
        // Which GPUs it was is told by each run; a scheduler gives others each time.
        let is_condition =
            |name: &str| VARIABLES.iter().any(|start| name.starts_with(start)) && !name.ends_with("_VISIBLE_DEVICES");
        for (name, value) in variables().filter(|(name, _)| is_condition(name)) {
            conditions.set(format!("env {name}"), self.redactor.named(&name, &value));
        }
        conditions
    }

    /// The files that commands and parameters name: data sets, scripts, configurations.
    fn files(&self) -> BTreeSet<String> {
        let words = self.commands.iter().flat_map(|(_, command)| inputs(&command.words[1..]));
        let params = self.sets.iter().flat_map(|set| set.params.iter().filter(|(key, _)| !is_output(key)));
        let values = params.flat_map(|(_, value)| match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        });
        words.chain(values).filter(|text| Path::new(text).is_file()).collect()
    }
}

/// The words of a command, less those behind flags of outputs.
fn inputs(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_skipped = false;
    for word in words {
        let (flag, value) = match word.strip_prefix('-') {
            None => (None, Some(word.as_str())),
            Some(flag) => match flag.split_once('=') {
                Some((flag, value)) => (Some(flag), Some(value)),
                None => (Some(flag), None),
            },
        };
        if let Some(flag) = flag {
            is_skipped = is_output(flag);
        }
        found.extend(value.filter(|_| !is_skipped).map(str::to_owned));
    }
    found
}

fn is_output(name: &str) -> bool {
    OUTPUTS.iter().any(|output| name.contains(output))
}

/// A program by the version of its package where it is one of Python's, else by its content.
fn program_text(program: &Path, command: &Command) -> String {
    if std::env::current_exe().is_ok_and(|own| crate::files::is_same_place(&own, program)) {
        let size = program.metadata().map_or(0, |metadata| metadata.len());
        return format!("sweeplake {} ({size} bytes)", env!("CARGO_PKG_VERSION"));
    }
    python_package(program, command).unwrap_or_else(|| file_text(program))
}

/// Name and version of the package that a Python program belongs to: the module that its script imports, or that `-m` names.
fn python_package(program: &Path, command: &Command) -> Option<String> {
    let mut lines =
        BufReader::new(crate::files::open(program, crate::files::Links::Follow).ok()?).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let (python, module) = match first.strip_prefix("#!").filter(|line| line.contains("python")) {
        Some(interpreter) => {
            let python = PathBuf::from(interpreter.split_whitespace().next()?);
            let module = lines.find_map(|line| line.strip_prefix("from ").map(str::to_owned))?;
            (python, module)
        }
        None if program.file_name()?.to_string_lossy().starts_with("python") => {
            let at = command.words.iter().position(|word| word == "-m")?;
            (program.to_owned(), command.words.get(at + 1)?.clone())
        }
        None => return None,
    };
    let module: String = module.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    version_of(&python, &module).map(|version| format!("{module} {version}"))
}

/// The version of a package that is installed for a Python.
fn version_of(python: &Path, module: &str) -> Option<String> {
    let lib = python.parent()?.parent()?.join("lib");
    let folders = std::fs::read_dir(lib).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let pythons =
        folders.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python")));
    let places = pythons.flat_map(|path| [path.join("site-packages"), path.join("dist-packages")]);
    let entries = places.filter_map(|place| std::fs::read_dir(place).ok()).flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let version = |name: String| {
        let (package, version) = name.strip_suffix(".dist-info")?.split_once('-')?;
        (package.to_lowercase() == module.to_lowercase()).then(|| version.to_owned())
    };
    names.filter_map(version).next()
}

/// A file by its size and its content.
fn file_text(path: &Path) -> String {
    let Ok(metadata) = path.metadata() else { return "can't be read".into() };
    let size = metadata.len();
    if size > LARGEST {
        let time = metadata.modified().ok().map(chrono::DateTime::<chrono::Utc>::from);
        let time = time.map_or("an unknown time".into(), |time| time.to_rfc3339());
        return format!("{size} bytes, of {time}");
    }
    match crate::files::open(path, crate::files::Links::Follow).and_then(crate::files::sha256) {
        Ok(hash) => format!("{size} bytes, SHA-256 {}", &hash[..16]),
        Err(error) => format!("{size} bytes, can't be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_a_command_reads_are_told_from_those_that_it_writes() {
        let words = |text: &str| inputs(&shlex::split(text).unwrap()).join(" ");
        assert_eq!(words("bench serve --dataset-path a.json --x=b.json"), "bench serve a.json b.json");
        assert_eq!(words("--output-file a --result-dir=b --log-file c --seed d"), "d");
    }

    #[test]
    fn a_program_of_python_is_told_by_its_package() {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("lib/python3.12/site-packages");
        std::fs::create_dir_all(site.join("vllm-0.11.2.dist-info")).unwrap();
        std::fs::create_dir_all(site.join("vllm_extra-9.dist-info")).unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let script = bin.join("vllm");
        let text = format!("#!{}/python3\nimport sys\nfrom vllm.entrypoints.cli.main import main\n", bin.display());
        std::fs::write(&script, text).unwrap();
        let command = |text: &str| Command::parse("f", text).unwrap();
        assert_eq!(python_package(&script, &command("vllm serve m")).as_deref(), Some("vllm 0.11.2"));
        let python = bin.join("python3");
        std::fs::write(&python, "ELF").unwrap();
        assert_eq!(python_package(&python, &command("python3 -m vllm.entrypoints.x")).as_deref(), Some("vllm 0.11.2"));
        assert_eq!(python_package(&python, &command("python3 server.py")), None);
    }

    #[test]
    fn a_file_is_told_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.json");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(file_text(&path), "3 bytes, SHA-256 ba7816bf8f01cfea");
        std::fs::write(&path, "abd").unwrap();
        assert_ne!(file_text(&path), "3 bytes, SHA-256 ba7816bf8f01cfea");
    }
}
