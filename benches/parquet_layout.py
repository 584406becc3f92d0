"""What row groups, encodings and compression of the compacted files cost: python3 benches/parquet_layout.py SWEEPLAKE FOLDER.

FOLDER is what benches/make_lake.py made and `sweeplake compact` compacted (FOLDER/runs, FOLDER/requests). Writes variants of both
tables to a temporary folder and asks each of them, by sweeplake's shell and by the duckdb package. Prints sizes and the least of
four times in milliseconds. Needs pyarrow and duckdb.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import time

program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
QUESTIONS = {
    "runs": ("SELECT count(DISTINCT combination) FROM {}",
             "SELECT max_num_seqs, max_concurrency, avg(output_throughput), max(p99_e2el_ms) FROM {} WHERE model_id <> 'model-3' GROUP BY 1, 2"),
    "requests": ("SELECT avg(e2el_ms) FROM {}", "SELECT combination, max(e2el_ms) FROM {} GROUP BY 1"),
}


def variants(table):
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    others = [field.name for field in table.schema if field.name not in floats]
    mixed = {name: "lz4" if name in floats else "zstd" for name in table.schema.names}
    for rows in (65536, 131072, 262144, 1048576):
        for name, options in {
            "dictionaries, zstd 3": {"compression": "zstd", "compression_level": 3},
            "no dictionary of floats, zstd 3": {"compression": "zstd", "compression_level": 3, "use_dictionary": others},
            "byte stream split, zstd 3": {"compression": "zstd", "compression_level": 3, "use_dictionary": others, "use_byte_stream_split": floats},
            "byte stream split, lz4": {"compression": mixed, "use_dictionary": others, "use_byte_stream_split": floats},
            "no dictionary of floats, lz4": {"compression": mixed, "use_dictionary": others},
        }.items():
            yield f"{rows // 1024} k rows, {name}", {"row_group_size": rows, **options}


def duckdb_ms(path, sql):
    connection, best = duckdb.connect(), float("inf")
    for _ in range(4):
        started = time.perf_counter()
        connection.execute(sql.format(f"'{path}'")).fetchall()
        best = min(best, time.perf_counter() - started)
    return best * 1000


def own_ms(sweep, name, sql):
    script = "\\timing\n" + f"{sql.format(name)};\n" * 4
    told = subprocess.run([program, "query", str(sweep)], input=script, capture_output=True, text=True, check=True).stderr
    return min(float(ms) for ms in re.findall(r"time: ([0-9.]+) ms", told))


for name, (first, second) in QUESTIONS.items():
    table = pq.read_table(folder / name / "compacted" / "latest" / f"{name}.parquet").slice(0, 20_000_000)
    sweep = next(path for path in sorted((folder / name).iterdir()) if (path / "sweep.json").exists())
    print(f"\n| {name} | MB | `{first}`: sweeplake, ms | DuckDB | `{second}`: sweeplake | DuckDB |\n| --- | --- | --- | --- | --- | --- |")
    for label, options in variants(table):
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            shutil.copy(sweep / "sweep.json", work)
            shutil.copy(sweep / "runs.parquet", work)
            path = work / f"{name}.parquet"
            pq.write_table(table, path, **options)
            times = [time for sql in (first, second) for time in (own_ms(work, name, sql), duckdb_ms(path, sql))]
            print(f"| {label} | {path.stat().st_size / 1e6:.0f} | " + " | ".join(f"{ms:.0f}" for ms in times) + " |", flush=True)
