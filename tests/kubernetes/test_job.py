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


def test_a_job_with_a_bucket_is_valid_and_its_pods_make_all_servers_together(tmp_path):
    sweep = SWEEP[:-1] + ["fleet", "-o", "s3://bucket/lake", "--serve-grid", "max_num_seqs=1,2,3,4,5"]
    flags = ["--image", "i", "--nodes", "2", "--secret", "aws"]
    printed = subprocess.run([PROGRAM, "submit", "kubernetes", *flags, *sweep], cwd=tmp_path, capture_output=True, text=True, check=True)
    job = yaml.safe_load(printed.stdout)
    kubernetes_validate.validate(job, "1.37", strict=True)
    spec = job["spec"]["template"]["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["shm"]
    # The pods' command, with a program in place of sweeplake that tells what it is given, and whether a part was begun.
    (tmp_path / "sweeplake").write_text('#!/bin/sh\n[ "$1" = show ] && exec test -e "$BEGUN"\nprintf "%s\\n" "$@"\n')
    (tmp_path / "sweeplake").chmod(0o755)
    for index, begun in [(0, "/nowhere"), (1, str(tmp_path))]:
        environment = {"PATH": f"{tmp_path}:/bin:/usr/bin", "JOB_COMPLETION_INDEX": str(index), "BEGUN": begun}
        ran = subprocess.run(spec["containers"][0]["command"], env=environment, capture_output=True, text=True, check=True)
        resumed = ["--resume"] if index == 1 else []
        assert ran.stdout.splitlines() == [*sweep[1:], "-e", f"fleet-{index}", "--shard", f"{index + 1}/2", *resumed]


def test_what_would_be_lost_or_is_given_twice_is_refused(tmp_path):
    for flags, sweep, said in [
        (["--image", "i"], SWEEP, "--volume"),
        (["--image", "i"], SWEEP + ["-o", "s3://bucket/lake", "--shard", "1/2"], "--shard"),
        (LEAST, SWEEP + ["-o", "/tmp/lake"], "--mount"),
    ]:
        ran = subprocess.run([PROGRAM, "submit", "kubernetes", *flags, *sweep], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 2 and said in ran.stderr, ran.stderr


def test_a_job_that_is_none_is_noticed():
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({"apiVersion": "batch/v1", "kind": "Job", "spec": {"completions": "many"}}, "1.37", strict=True)
