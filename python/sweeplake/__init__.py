"""Parameter sweeps for LLM servers, from Python.

Everything is done by the program ``sweeplake``; this package calls it and gives its answers as Arrow tables, which pandas, Polars and
DuckDB read without a copy.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Union

import pyarrow as pa

from ._program import Error, batches, program, run, watch

__all__ = [
    "Error",
    "Figure",
    "combinations",
    "compare",
    "pareto",
    "plot",
    "program",
    "query",
    "requests",
    "runs",
    "serve",
    "stream",
    "sweeps",
]

Place = Union[str, "os.PathLike[str]"]
Places = Union[Place, Sequence[Place]]


def _places(lake: Places) -> list[str]:
    places = [lake] if isinstance(lake, (str, os.PathLike)) else list(lake)
    return [os.fspath(place) for place in places]


def _query_words(lake: Places, sql: str, gpu_hour_price: float | None) -> list[str]:
    words = ["query", *_places(lake), sql, "--format", "arrow"]
    if gpu_hour_price is not None:
        words += ["--gpu-hour-price", str(gpu_hour_price)]
    return words


def stream(
    lake: Places, sql: str, *, gpu_hour_price: float | None = None
) -> AbstractContextManager[pa.RecordBatchReader]:
    """The answer to a query, batch by batch: ``with stream(lake, sql) as batches: for batch in batches: …``."""
    return batches(_query_words(lake, sql, gpu_hour_price))


def query(lake: Places, sql: str, *, gpu_hour_price: float | None = None) -> pa.Table:
    """The answer to a query over sweeps or lakes. ``gpu_hour_price``: US dollars; with it there are columns of costs."""
    with stream(lake, sql, gpu_hour_price=gpu_hour_price) as reader:
        return reader.read_all()


def _where(condition: str | None) -> str:
    return "" if condition is None else f" WHERE {condition}"


def sweeps(lake: Places) -> pa.Table:
    """A row for each sweep."""
    return query(lake, "SELECT * FROM sweeps ORDER BY started_at")


def runs(lake: Places, *, where: str | None = None) -> pa.Table:
    """A row for each run, failed ones included. ``where``: a condition in SQL."""
    return query(lake, f"SELECT * FROM runs{_where(where)} ORDER BY started_at, run_id")


def combinations(lake: Places, *, where: str | None = None) -> pa.Table:
    """A row for each combination: the mean, deviation, extremes and interval of its runs."""
    return query(lake, f"SELECT * FROM combinations{_where(where)} ORDER BY sweep, started_at, combination")


def requests(lake: Places, *, where: str | None = None) -> pa.Table:
    """A row for each request of runs that stored their requests."""
    return query(lake, f"SELECT * FROM requests{_where(where)}")


def compare(base: Place, other: Place, *, metrics: Iterable[str] = (), fail_on: Iterable[str] = ()) -> dict[str, Any]:
    """Two sweeps compared, as the program's JSON. A gate that fails does not raise: its verdict is in the result."""
    words = ["compare", os.fspath(base), os.fspath(other), "--format", "json"]
    metrics = list(metrics)
    if metrics:
        words += ["--metrics", ",".join(metrics)]
    for gate in fail_on:
        words += ["--fail-on", gate]
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        try:
            run([*words, "--output", str(answer)])
        except Error as error:
            # 1 is a verdict as well, where there is an answer.
            if error.code != 1 or not answer.is_file() or not answer.stat().st_size:
                raise
        return json.loads(answer.read_text(encoding="utf-8"))[0]


class Figure:
    """A drawn figure: shown by notebooks, written by ``save``."""

    def __init__(self, svg: str, draw: Callable[[Path], None]) -> None:
        self.svg = svg
        self._draw = draw

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: Place) -> Path:
        """Writes it as .png, .svg or .pdf, by the ending."""
        path = Path(path)
        self._draw(path)
        return path


def _figure(words: list[str], flag: str) -> Figure:
    def draw(path: Path) -> None:
        run([*words, flag, str(path)])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.svg"
        draw(path)
        return Figure(path.read_text(encoding="utf-8"), draw)


def _flags(options: Mapping[str, Any]) -> list[str]:
    """Keyword arguments as the program's flags: ``curve_by="max_num_seqs"`` is ``--curve-by max_num_seqs``."""
    words: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is None or value is False:
            continue
        elif isinstance(value, (list, tuple)):
            for item in value:
                words += [flag, os.fspath(item) if isinstance(item, os.PathLike) else str(item)]
        else:
            words += [flag, os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    return words


def plot(lake: Places, *, x: str | None = None, y: str | None = None, **options: Any) -> Figure:
    """Performance curves. Other options are the flags of ``sweeplake plot``: ``curve_by=``, ``kind=``, ``title=`` …"""
    return _figure(["plot", *_places(lake), *_flags({"var_x": x, "var_y": y, **options})], "--output")


def pareto(lake: Places, *, x: str | None = None, y: str | None = None, **options: Any) -> Figure:
    """The frontier of two objectives. Other options are the flags of ``sweeplake plot_pareto``."""
    return _figure(["plot_pareto", *_places(lake), *_flags({"x": x, "y": y, **options})], "--fig")


def _in_place(line: str) -> None:
    """Progress: a line that is overwritten in a notebook, a line each elsewhere."""
    try:
        from IPython import get_ipython  # type: ignore[import-not-found]
        from IPython.display import clear_output  # type: ignore[import-not-found]
    except ImportError:
        print(line, file=sys.stderr)
        return
    if get_ipython() is not None:
        clear_output(wait=True)
    print(line)


def serve(
    *,
    serve_cmd: str | None = None,
    bench_cmd: str,
    name: str,
    lake: Place = "results",
    kind: str = "serve",
    tell: Callable[[str], None] | None = None,
    **options: Any,
) -> Path:
    """Runs a sweep and returns its folder.

    ``kind``: ``serve``, ``serve_sla``, ``serve_tune`` or ``serve_workload``. ``tell`` is given each line of the progress; by default they
    are printed. Other options are the program's flags: ``serve_grid=["max_num_seqs=64,128"]``, ``num_runs=5``, ``resume=True`` …
    """
    words = [kind, *_flags({"serve_cmd": serve_cmd, "bench_cmd": bench_cmd, "output_dir": lake, "experiment_name": name})]
    watch([*words, *_flags(options)], tell or _in_place)
    return Path(lake) / name
