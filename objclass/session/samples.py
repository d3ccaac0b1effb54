"""Synthetic images to try things on, the same each time: cells of three kinds, small volumes, a time series."""

from math import cos, sin

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

CELLS = ("round", "elongated", "ring")


def cell(
    kind: str, rng: np.random.Generator, size: int = 41
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Mask and brightness of one cell in a square."""
    angle = rng.uniform(0, np.pi)
    long = rng.uniform(8, 11) if kind != "elongated" else rng.uniform(13, 17)
    short = long * rng.uniform(0.85, 1.0) if kind != "elongated" else rng.uniform(4, 6)
    return drawn(kind, angle, long, short, rng.uniform(90, 150), size)


def drawn(
    kind: str, angle: float, long: float, short: float, brightness: float, size: int = 41
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Mask and brightness of a cell with these half axes in a square."""
    y, x = np.mgrid[:size, :size] - size // 2
    u, v = x * cos(angle) + y * sin(angle), y * cos(angle) - x * sin(angle)
    radius = np.hypot(u / long, v / short)
    light = np.clip(1.15 - 0.4 * radius, 0, 1) * brightness
    if kind == "ring":
        light *= np.where(radius < 0.55, 0.45, 1.1)
    return radius <= 1, light


def field(count: int, seed: int, size: int = 320) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[str]]:
    """A noisy field: raw image, truth (1, 2, 3 … by cell), kind of each cell."""
    rng = np.random.default_rng(seed)
    light, truth = np.full((size, size), 22.0), np.zeros((size, size), np.uint8)
    kinds: list[str] = []
    for _ in range(4000):
        if len(kinds) == count:
            break
        kind = CELLS[len(kinds) % 3]
        mask, brightness = cell(kind, rng)
        y, x = rng.integers(0, size - len(mask), 2)
        box = slice(y, y + len(mask)), slice(x, x + len(mask))
        near = gaussian_filter(mask.astype(float), 2) > 0.02
        if truth[box][near].any():
            continue
        kinds.append(kind)
        truth[box][mask] = len(kinds)
        light[box][mask] += brightness[mask]
    raw = gaussian_filter(light, 1.0) + rng.normal(0, 5, light.shape)
    return np.clip(raw, 0, 255).astype(np.uint8), truth, kinds


def prediction_map(truth: NDArray[np.uint8], seed: int) -> NDArray[np.float32]:
    """Probabilities of cell and background, axes y, x, c."""
    rng = np.random.default_rng(seed)
    soft = gaussian_filter((truth > 0).astype(float), 1.2) + rng.normal(0, 0.04, truth.shape)
    inside = np.clip(soft, 0, 1).round(2).astype(np.float32)
    return np.stack([inside, 1 - inside], axis=-1)


def stack(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """A small volume (z, y, x): raw, objects, and the kind of each voxel (1 ball, 2 rod)."""
    rng = np.random.default_rng(seed)
    shape = (20, 96, 96)
    light, objects, kinds = np.full(shape, 20.0), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    grid = np.mgrid[: shape[0], : shape[1], : shape[2]]
    made = 0
    for _ in range(2000):
        if made == count:
            break
        kind = made % 2 + 1
        z, y, x = rng.uniform([5, 10, 10], [15, 86, 86])
        angle = rng.uniform(0, np.pi)
        dy, dx = grid[1] - y, grid[2] - x
        u, v = dx * cos(angle) + dy * sin(angle), dy * cos(angle) - dx * sin(angle)
        a, b, c = (5, 5, 4) if kind == 1 else (9, 2.6, 2.6)
        inside = (u / a) ** 2 + (v / b) ** 2 + ((grid[0] - z) / c) ** 2 <= 1
        if (gaussian_filter(objects.astype(float), 1.5)[inside] > 0.001).any():
            continue
        made += 1
        objects[inside], kinds[inside] = made, kind
        light[inside] += rng.uniform(70, 130)
    raw = gaussian_filter(light, 0.7) + rng.normal(0, 5, shape)
    return np.clip(raw, 0, 255).astype(np.uint8), objects, kinds


def series(steps: int = 6, side: int = 5, seed: int = 11) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cells that turn and drift: raw images and label images (t, y, x); a cell keeps its id."""
    rng, pitch = np.random.default_rng(seed), 48
    cells = [
        (
            CELLS[k % 3],
            rng.uniform(0, np.pi),
            rng.uniform(8, 10),
            rng.uniform(90, 150),
            rng.uniform(-0.6, 0.6, 3),
        )
        for k in range(side * side)
    ]
    shape = steps, side * pitch, side * pitch
    light, labels = np.full(shape, 22.0), np.zeros(shape, np.uint8)
    for t in range(steps):
        for k, (kind, angle, radius, brightness, (down, right, turn)) in enumerate(cells):
            axes = (radius * 1.6, radius * 0.55) if kind == "elongated" else (radius, radius * 0.92)
            mask, own = drawn(kind, angle + turn * t, *axes, brightness)
            y, x = k // side * pitch + round(3 + down * t), k % side * pitch + round(3 + right * t)
            box = t, slice(y, y + len(mask)), slice(x, x + len(mask))
            light[box][mask] += own[mask]
            labels[box][mask] = k + 1
    raw = gaussian_filter(light, (0, 1, 1)) + rng.normal(0, 5, shape)
    return np.clip(raw, 0, 255).astype(np.uint8), labels
