"""Evaluations and lanes that tests make."""

import numpy as np

from objclass.core import ArrayStore, Image, Lane
from objclass.evaluation.result import (
    Calibration,
    ClassScores,
    Evaluation,
    Importance,
    Judged,
    LearningCurve,
    Score,
)

NAMES = ("elongated", "ring", "round")


def evaluation(n=120, names=NAMES, images=("a", "b", "c"), seed=0, **others):
    """An evaluation of n objects with made-up probabilities; ids count within each image."""
    rng = np.random.default_rng(seed)
    classes = len(names)
    given = np.arange(n) % classes + 1
    image = np.arange(n) * len(images) // n
    label = np.concatenate([np.arange(1, k + 1) for k in np.bincount(image, minlength=len(images))])
    weights = rng.random((n, classes)).astype(np.float32) + 0.6 * np.eye(classes, dtype=np.float32)[given - 1]
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1) + 1
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (given - 1, predicted - 1), 1)
    right = float((given == predicted).mean())
    score = Score(right, right - 0.05, right + 0.03)
    top = probabilities.max(axis=1)
    edges = np.linspace(0, 1, 11)
    places = np.clip(np.digitize(top, edges) - 1, 0, 9)
    bins = [places == k for k in range(10)]
    means = [
        (float(top[b].mean()), float((given == predicted)[b].mean())) if b.any() else (np.nan, np.nan)
        for b in bins
    ]
    rows = tuple(
        ClassScores(name, int((given == k).sum()), len(images), int((predicted == k).sum()), int(confusion[k - 1, k - 1]),
                    *((score,) * 3 if k > 1 else (None,) * 3))
        for k, name in enumerate(names, 1)
    )  # fmt: skip
    facts = {
        "learning_curve": LearningCurve((20, 40, 60, 80), tuple(Score(0.6 + k / 10, 0.5 + k / 10, 0.65 + k / 10) for k in range(4)), "More labels would help."),
        "importances": (Importance("Standard Object Features", ("Count", "Mean"), Score(0.2, 0.1, 0.3)), Importance("texture", ("a",), Score(-0.01), ("Standard Object Features",))),
        "ungrouped": Score(0.95),
        "cautions": ("All labels are of one image: expect less of others.",),
    } | others  # fmt: skip
    return Evaluation(
        names, images, "cross-validation", "image", len(images), 3, 5, 0, score, score, score, score, rows, confusion,
        Calibration(tuple(edges.tolist()), tuple(int(b.sum()) for b in bins), *zip(*means, strict=True), 0.034, 0.21),
        Judged(image, np.zeros(n, int), label, given, predicted, probabilities, np.zeros(n, int)), **facts,
    )  # fmt: skip


def squares(count, dtype=np.uint16, planes=1, channels=1, seed=0):
    """A lane with so many squares on a grid, numbered in the order of their rows, and noisy raw data."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    labels = np.zeros((planes, 12 * side, 12 * side), np.uint32)
    for k in range(count):
        y, x = 12 * (k // side) + 3, 12 * (k % side) + 3
        labels[:, y : y + 6, x : x + 6] = k + 1
    raw = rng.integers(0, 200, (*labels.shape, channels)).astype(dtype)
    raw[labels > 0] += 50
    return Lane(
        Image("raw", ArrayStore(raw), "zyxc", "test"), Image("labels", ArrayStore(labels), "zyx", "test"), "label_image",
        "a", "",
    )  # fmt: skip
