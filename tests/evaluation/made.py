"""Made training tables: classes are clouds of points, images shift all of theirs."""

import numpy as np

from objclass.project.training_table import TrainingTable

NAMES = "round", "long", "odd"
MEANS = np.array([[0, 0, 0, 0], [1.3, 0.5, 0, 0], [0, 1.5, 1, 0]])


def draw(random, images, objects, shares, effect=0.5, distance=1.0):
    """Rows, classes, images: a Poisson number of objects in each image."""
    parts = []
    for image in range(images):
        classes = random.choice(len(shares), max(random.poisson(objects), 1), p=shares)
        shift = random.normal(size=4) * effect
        rows = distance * MEANS[classes] + shift + random.normal(size=(len(classes), 4))
        parts.append((rows.astype(np.float32), classes + 1, np.full(len(classes), image)))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def table_of(rows, classes, images, **more):
    n, count = len(rows), int(images.max()) + 1
    return TrainingTable(
        rows,
        classes,
        images,
        more.pop("timestep", np.zeros(n, int)),
        np.arange(1, n + 1),
        more.pop("center", np.full((n, 3), np.nan)),
        more.pop("names", NAMES[: int(classes.max())]),
        more.pop("images", tuple(f"image{k:04d}" for k in range(count))),
        more.pop("columns", tuple("abcd")),
        more.pop("sets", ("first", "first", "second", "second")),
        **more,
    )


def made(seed=0, images=8, objects=20, shares=(0.5, 0.3, 0.2), effect=0.5, distance=1.0, **more):
    """A training table; the same for the same seed."""
    return table_of(*draw(np.random.default_rng(seed), images, objects, shares, effect, distance), **more)
