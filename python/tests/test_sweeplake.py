"""The package on a real sweep of the simulated server, through the real program."""

import socket
from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pytest

import sweeplake


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def lake(tmp_path_factory):
    lake, port, told = tmp_path_factory.mktemp("lake"), free_port(), []
    for name in ("one", "two"):
        folder = sweeplake.serve(
            serve_cmd=f"{sweeplake.program()} sim m --port {port} --speed 50 --startup-seconds 0",
            bench_cmd=f"{sweeplake.program()} bench --port {port} --random-input-len 16 --random-output-len 4 --num-prompts 8 --ignore-eos --save-detailed",
            serve_grid=["max_num_seqs=2,8"],
            bench_grid=["max_concurrency=1,4"],
            num_runs=2,
            name=name,
            lake=lake,
            tell=told.append,
        )
        assert folder == lake / name and (folder / "runs.parquet").is_file()
    assert any("max_num_seqs=8" in line for line in told)
    return lake


def test_answers_are_arrow_tables(lake):
    answer = sweeplake.query(lake, "SELECT max_num_seqs, count(*) AS n FROM runs GROUP BY 1 ORDER BY 1")
    assert isinstance(answer, pa.Table)
    assert answer.to_pydict() == {"max_num_seqs": [2, 8], "n": [8, 8]}
    assert sweeplake.sweeps(lake).column("sweep").to_pylist() == ["one", "two"]
    assert sweeplake.runs(lake / "one").num_rows == 8
    assert sweeplake.runs([lake / "one", lake / "two"], where="max_num_seqs = 2").num_rows == 8
    assert sweeplake.combinations(lake / "one").num_rows == 4
    assert sweeplake.requests(lake / "one").num_rows == 64


def test_an_answer_may_be_read_in_part(lake):
    with sweeplake.stream(lake, "SELECT * FROM requests") as batches:
        assert batches.read_next_batch().num_rows > 0


def test_others_read_the_answers(lake):
    answer = sweeplake.combinations(lake / "one")
    assert len(answer.to_pandas()) == 4
    assert polars.from_arrow(answer).height == 4
    assert duckdb.sql("SELECT count(*) FROM answer").fetchall() == [(4,)]


def test_a_comparison_is_the_programs(lake):
    compared = sweeplake.compare(lake / "one", lake / "two", metrics=["output_throughput"])
    assert isinstance(compared, dict) and compared
    # A gate that can't be judged or fails is a result, too.
    assert sweeplake.compare(lake / "one", lake / "two", fail_on=["output_throughput<-3%"])


def test_figures_are_shown_and_saved(lake, tmp_path):
    for figure in (sweeplake.plot(lake / "one", x="max_concurrency", y="p99_e2el_ms"), sweeplake.pareto(lake / "one")):
        assert figure._repr_svg_().lstrip().startswith("<svg")
        assert figure.save(tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_what_the_program_refuses_is_an_error_with_its_words(lake):
    with pytest.raises(sweeplake.Error, match="no_such_column") as raised:
        sweeplake.query(lake, "SELECT no_such_column FROM runs")
    assert raised.value.code == 2
    with pytest.raises(sweeplake.Error) as raised:
        sweeplake.serve(serve_cmd="no-such-program serve", bench_cmd="true", name="x", lake=lake, tell=lambda _: None)
    assert raised.value.code == 2 and "no-such-program" in str(raised.value)
    with pytest.raises(sweeplake.Error, match="."):
        sweeplake.plot(lake / "none")


def test_the_notebook_runs():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    path = Path(__file__).parents[2] / "examples" / "notebook.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    figures = [output for cell in notebook.cells for output in cell.get("outputs", []) if "image/svg+xml" in output.get("data", {})]
    assert len(figures) == 2
