"""The job that `sweeplake submit kubernetes` prints, against the schema that Kubernetes publishes."""

import os
import subprocess

import kubernetes_validate
import pytest
import yaml

PROGRAM = os.environ.get("SWEEPLAKE", "sweeplake")
SWEEP = ["--", "serve", "--serve-cmd", "vllm serve m", "--bench-cmd", "vllm bench serve", "-e", "Eine Flotte_1"]
LEAST = ["--image", "i", "--volume", "v"]
ALL = LEAST + ["--nodes", "64", "--gpus", "8", "--secret", "a", "--secret", "b", "--namespace", "n", "--node-selector", "k/x=1",
               "--gpu-resource", "amd.com/gpu", "--mount", "/data"]


@pytest.mark.parametrize("flags", [LEAST, ALL])
@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_the_job_is_valid(flags, version, tmp_path):
    printed = subprocess.run([PROGRAM, "submit", "kubernetes", *flags, *SWEEP], cwd=tmp_path, capture_output=True, text=True, check=True)
    job = yaml.safe_load(printed.stdout)
    kubernetes_validate.validate(job, version, strict=True)
    assert job["metadata"]["name"] == "sweeplake-eine-flotte-1"
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command == ["sweeplake", *SWEEP[1:], "--join=leave"]


def test_a_job_that_is_none_is_noticed():
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({"apiVersion": "batch/v1", "kind": "Job", "spec": {"completions": "many"}}, "1.37", strict=True)
