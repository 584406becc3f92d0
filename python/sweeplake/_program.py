"""How the program is found and called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa

Place = "str | os.PathLike[str]"


class Error(Exception):
    """What the program said when it refused or failed.

    ``code``: its exit code; 1 something failed, 2 the input is wrong, 130 interrupted.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def program() -> str:
    """The path of the program: ``SWEEPLAKE`` if it is set, else the one that was installed with this package, else that on PATH."""
    given = os.environ.get("SWEEPLAKE")
    if given:
        return given
    own = Path(sysconfig.get_path("scripts")) / "sweeplake"
    if own.is_file():
        return str(own)
    found = shutil.which("sweeplake")
    if found is None:
        raise Error("the program sweeplake was not found; install it, or set SWEEPLAKE to its path", 2)
    return found


def _message(stderr: str) -> str:
    """The program's errors; where it named none, all that it said."""
    lines = stderr.strip().splitlines()
    first = next((index for index, line in enumerate(lines) if line.startswith("error:")), None)
    if first is None:
        return stderr.strip()
    return "\n".join(lines[first:]).removeprefix("error:").strip()


def run(words: Sequence[str]) -> str:
    """Runs the program and returns what it printed."""
    done = subprocess.run([program(), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Error(_message(done.stderr), done.returncode)
    return done.stdout


@contextmanager
def batches(words: Sequence[str]) -> Iterator[pa.RecordBatchReader]:
    """What the program answers, as Arrow's IPC stream, read while it is written."""
    # Errors go to a file: a pipe that nobody reads would fill up.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen([program(), *words], stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        try:
            try:
                reader = pa.ipc.open_stream(process.stdout)
            except pa.ArrowInvalid:
                _end(process, errors)
                raise
            yield reader
            _end(process, errors)
        finally:
            process.stdout.close()
            if process.poll() is None:
                process.kill()
            process.wait()


def _end(process: subprocess.Popen[bytes], errors: IO[str]) -> None:
    """Waits for the program's end. A reader that stopped early is no error of the program's."""
    assert process.stdout is not None
    process.stdout.close()
    code = process.wait()
    if code > 0:
        errors.seek(0)
        raise Error(_message(errors.read()), code)


def watch(words: Sequence[str], tell: "object") -> None:
    """Runs the program and hands on each line that it says while it runs."""
    process = subprocess.Popen(
        [program(), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdout is not None and process.stderr is not None
    said: list[str] = []

    def drain(stream: IO[str]) -> None:
        for line in stream:
            said.append(line)
            tell(line.rstrip("\n"))  # type: ignore[operator]

    threads = [threading.Thread(target=drain, args=(stream,)) for stream in (process.stdout, process.stderr)]
    try:
        for thread in threads:
            thread.start()
        code = process.wait()
    except BaseException:
        # As Ctrl-C on a terminal: servers are stopped, and what is finished is kept.
        process.terminate()
        process.wait()
        raise
    finally:
        for thread in threads:
            thread.join()
    if code != 0:
        raise Error(_message("".join(said)), code)
