#!/usr/bin/env python3
"""What share of a space's frontier Optuna finds with few runs, on the surfaces of examples/truth/tune.rs.

    pip install optuna scipy torch
    cargo run --release --example truth -- tune 50 surfaces.json
    python3 benches/tune_vs_optuna.py surfaces.json tpe      # or gp
"""
import json
import math
import random
import statistics
import sys

import optuna

NOISE = 0.03
LOOKS = (15, 30, 60)


def turned(truth):
    return -math.log(truth[0]), math.log(truth[1])


def volume(points, reference):
    """Of two objectives that are to be small."""
    total, top = 0.0, reference[1]
    for x, y in sorted(points):
        if x < reference[0] and y < top:
            total += (reference[0] - x) * (top - y)
            top = y
    return total


def search(surface, seed, sampler):
    keys = {key: sorted({row[key] for row in surface["serve"]}, key=str) for key in surface["serve"][0]}
    loads = [row["max_concurrency"] for row in surface["bench"]]
    place = {tuple(row[key] for key in keys): index for index, row in enumerate(surface["serve"])}
    noise, seen = random.Random(seed), []

    def objective(trial):
        chosen = []
        for key, values in keys.items():
            if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
                # Ordered: as a place on a logarithmic axis, as serve_tune has it.
                values = sorted(values)
                chosen.append(values[trial.suggest_int(key, 0, len(values) - 1)])
            else:
                chosen.append(trial.suggest_categorical(key, values))
        load = trial.suggest_int("max_concurrency", 0, len(loads) - 1)
        index = place[tuple(chosen)] * len(loads) + load
        seen.append(index)
        return tuple(value + noise.gauss(0, NOISE) for value in turned(surface["truth"][index]))

    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler(seed))
    study.optimize(objective, n_trials=LOOKS[-1])
    return seen


def main():
    surfaces = json.load(open(sys.argv[1]))
    samplers = {
        "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
        "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    }
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    shares = []
    for seed, surface in enumerate(surfaces):
        every = [turned(truth) for truth in surface["truth"]]
        reference = [max(point[axis] for point in every) for axis in (0, 1)]
        whole = volume(every, reference)
        seen = search(surface, seed, samplers[sys.argv[2]])
        shares.append([100 * volume([every[index] for index in seen[:look]], reference) / whole for look in LOOKS])
    cells = []
    for look in range(len(LOOKS)):
        values = sorted(row[look] for row in shares)
        edge = len(values) // 20
        cells.append(f"{statistics.median(values):.1f} % ({values[edge]:.1f}–{values[-1 - edge]:.1f})")
    print(f"| Optuna {optuna.__version__}, {sys.argv[2].upper()} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
