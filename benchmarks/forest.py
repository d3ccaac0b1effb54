"""Prediction side by side in one process: objclass, with and without numba, and scikit-learn; the same trees.

``python benchmarks/forest.py [--rounds 7]`` prints a table in Markdown: least seconds of interleaved
rounds, imports and compiling excluded.
"""

import argparse
import time
from unittest.mock import patch

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from objclass import forest as module
from objclass.forest import fit


def clock(call):
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def row(rows, columns, trees, rounds):
    """A row of the table."""
    rng = np.random.default_rng(0)
    known = rng.normal(size=(1000, columns)).astype(np.float32)
    labels = 1 + np.digitize(known[:, 0] + known[:, 1] * known[:, 2], [-1, -0.3, 0.3, 1])
    asked = rng.normal(size=(rows, columns)).astype(np.float32)
    model = RandomForestClassifier(trees, random_state=0).fit(known, labels)
    forest, _ = fit(known, labels, 5, trees, 0)
    compiled, _ = module.kernel.compiled

    def plain():
        with patch.object(module.kernel, "choose", lambda _: None):
            return forest.predict(asked)

    def by_numba(jobs):
        with patch.object(module.kernel, "choose", lambda _: compiled):
            return forest.predict(asked, jobs)

    calls = [plain, lambda: by_numba(1), lambda: by_numba(2), lambda: model.predict_proba(asked)]
    assert np.array_equal(plain().probabilities, by_numba(2).probabilities)
    found = np.min([[clock(call) for call in calls] for _ in range(rounds)], axis=0)
    numbers = " | ".join(f"{seconds:.4f}" for seconds in found)
    return f"| {rows:,} × {columns} × {trees} | {numbers} | {found[3] / found[1]:.1f}× |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print("| rows × columns × trees | numpy | numba | numba, 2 threads | scikit-learn | ratio |")
    print("|---|---|---|---|---|---|")
    for rows in (200, 2000, 10_000, 40_000):
        print(row(rows, 100, 100, rounds))


if __name__ == "__main__":
    main()
