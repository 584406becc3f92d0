"""Change points of the series of examples/truth/trend.rs with Apache Otava and with conbench's look-back z-score.

    cargo run --release --example truth -- trend 100 series.json
    pip install apache-otava numpy
    python benches/trend_beside.py series.json
"""

import json
import sys
from collections import defaultdict

import numpy
from otava.analysis import compute_change_points

Z_THRESHOLD = 5.0  # conbench's default


def otava(series):
    """Where Otava sees a change, at its default significance, of at least 2 %."""
    points, _ = compute_change_points(series, window_len=50, max_pvalue=0.001, min_magnitude=0.02)
    return [point.index for point in points]


def zscore(series):
    """Where a value is more than five standard deviations from all before it."""
    seen = []
    for at in range(3, len(series)):
        before = numpy.array(series[:at])
        spread = before.std(ddof=1)
        if spread > 0 and abs(series[at] - before.mean()) / spread > Z_THRESHOLD:
            seen.append(at)
    return seen


def delay(find, cells, at):
    """After how many sweeps a step is seen in any cell, at about its place; None: never."""
    for end in range(at + 1, len(cells[0]) + 1):
        if any(abs(point - at) <= 2 for cell in cells for point in find(cell[:end])):
            return end - at
    return None


def main(path):
    lakes = defaultdict(list)
    for lake in json.load(open(path)):
        lakes[lake["kind"], lake["day"], len(lake["mean"])].append(lake)
    for name, find in [("Otava", otava), ("z-score", zscore)]:
        print(f"{name}:")
        for (kind, day, sweeps), members in sorted(lakes.items()):
            if kind == "none":
                series = [cell for lake in members for cell in lake["cells"]]
                of_series = sum(bool(find(cell)) for cell in series) / len(series)
                of_lakes = sum(any(find(cell) for cell in lake["cells"]) for lake in members) / len(members)
                print(f"  day {day}, {sweeps} sweeps: any point in {of_series:.1%} of series, {of_lakes:.1%} of lakes")
            else:
                members = members[:10]
                delays = sorted(found or 99 for found in (delay(find, lake["cells"][:6], lake["at"]) for lake in members))
                never = sum(found == 99 for found in delays)
                print(f"  day {day}, {kind}: seen after {delays[len(delays) // 2]} sweeps (median of {len(members)}; {never} never)")


if __name__ == "__main__":
    main(sys.argv[1])
