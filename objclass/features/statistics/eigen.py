"""Eigensystems of many small symmetric matrices at once, with the signs and order of vigra.

The EISPACK pair tred2 (Householder tridiagonalisation) and tql2 (implicit QL), as in the public-domain
JAMA ``EigenvalueDecomposition``, one arithmetic operation after the other, so that results agree with
vigra's to the last bit. `numpy.linalg.eigh` returns other signs, and other axes for symmetric objects.
Each step runs over all matrices that take the same branch.
"""

import numpy as np

from objclass.core import FloatArray

EPS = 2.0**-52
MAXIMUM_ITERATIONS = 100  # a few suffice; matrices with NaN or inf never converge


def eigensystems(matrices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (n, d), descending, and eigenvectors (n, d, d), vectors[:, :, k] the k-th.

    Parameters
    ----------
    matrices
        Symmetric, shape (n, d, d), float64. Where one is not finite, all its results are NaN.
    """
    n, d, _ = matrices.shape
    values, vectors = np.full((n, d), np.nan), np.full((n, d, d), np.nan)
    good = np.isfinite(matrices).all(axis=(1, 2))
    v = matrices[good]
    if d == 1:
        values[good], vectors[good] = v[:, 0], 1.0
    elif len(v):
        diagonal, off = _tridiagonalise(v)
        _implicit_ql(v, diagonal, off)
        _sort_descending(v, diagonal)
        values[good], vectors[good] = diagonal, v
    return values, vectors


def _tridiagonalise(v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """tred2, in place; returns diagonal and off-diagonal (n, d)."""
    n, size, _ = v.shape
    d, e = v[:, size - 1].copy(), np.zeros((n, size))
    for i in range(size - 1, 0, -1):
        scale = np.zeros(n)
        for k in range(i):
            scale = scale + np.abs(d[:, k])
        flat, steep = np.flatnonzero(scale == 0), np.flatnonzero(scale != 0)
        if len(flat):
            e[flat, i] = d[flat, i - 1]
            d[flat, :i] = v[flat, i - 1, :i]
            v[flat, i, :i] = 0
            v[flat, :i, i] = 0
            d[flat, i] = 0
        if len(steep):
            v[steep], d[steep], e[steep] = _householder(v[steep], d[steep], e[steep], i, scale[steep])
    _accumulate(v, d)
    e[:, 0] = 0
    return d, e


def _householder(
    v: FloatArray, d: FloatArray, e: FloatArray, i: int, scale: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """One step of tred2 for the matrices whose row ``i`` is not zero."""
    h = np.zeros(len(d))
    for k in range(i):
        d[:, k] = d[:, k] / scale
        h = h + d[:, k] * d[:, k]
    f = d[:, i - 1].copy()
    g = np.where(f > 0, -np.sqrt(h), np.sqrt(h))
    e[:, i] = scale * g
    h = h - f * g
    d[:, i - 1] = f - g
    e[:, :i] = 0
    for j in range(i):
        f = d[:, j]
        v[:, j, i] = f
        g = e[:, j] + v[:, j, j] * f
        for k in range(j + 1, i):
            g = g + v[:, k, j] * d[:, k]
            e[:, k] = e[:, k] + v[:, k, j] * f
        e[:, j] = g
    f = np.zeros(len(d))
    for j in range(i):
        e[:, j] = e[:, j] / h
        f = f + e[:, j] * d[:, j]
    half = f / (h + h)
    for j in range(i):
        e[:, j] = e[:, j] - half * d[:, j]
    for j in range(i):
        f, g = d[:, j].copy(), e[:, j].copy()
        for k in range(j, i):
            v[:, k, j] = v[:, k, j] - (f * e[:, k] + g * d[:, k])
        d[:, j] = v[:, i - 1, j]
        v[:, i, j] = 0
    d[:, i] = h
    return v, d, e


def _accumulate(v: FloatArray, d: FloatArray) -> None:
    """The end of tred2: multiply the reflections out, in place."""
    size = d.shape[1]
    for i in range(size - 1):
        v[:, size - 1, i] = v[:, i, i]
        v[:, i, i] = 1
        h = d[:, i + 1]
        turned = np.flatnonzero(h != 0)
        if len(turned):
            w = v[turned]
            column = w[:, : i + 1, i + 1] / h[turned, None]
            d[turned, : i + 1] = column
            for j in range(i + 1):
                g = np.zeros(len(turned))
                for k in range(i + 1):
                    g = g + w[:, k, i + 1] * w[:, k, j]
                for k in range(i + 1):
                    w[:, k, j] = w[:, k, j] - g * column[:, k]
            v[turned] = w
        v[:, : i + 1, i + 1] = 0
    d[:] = v[:, size - 1]
    v[:, size - 1] = 0
    v[:, size - 1, size - 1] = 1


def _implicit_ql(v: FloatArray, d: FloatArray, e: FloatArray) -> None:
    """tql2, in place: ``d`` becomes the eigenvalues, ``v`` the eigenvectors."""
    n, size = d.shape
    e[:, :-1] = e[:, 1:]
    e[:, -1] = 0
    shift, largest = np.zeros(n), np.zeros(n)
    for low in range(size):
        largest = np.maximum(largest, np.abs(d[:, low]) + np.abs(e[:, low]))
        # the last column of e is 0, so that an end is always found
        small = np.abs(e[:, low:]) <= EPS * largest[:, None]
        end = low + small.argmax(axis=1)
        for high in range(low + 1, size):
            busy = np.flatnonzero(end == high)
            for _ in range(MAXIMUM_ITERATIONS):
                if not len(busy):
                    break
                v[busy], d[busy], e[busy], shift[busy] = _ql_step(
                    v[busy], d[busy], e[busy], shift[busy], low, high
                )
                busy = busy[np.abs(e[busy, low]) > EPS * largest[busy]]
        d[:, low] = d[:, low] + shift
        e[:, low] = 0


def _ql_step(
    v: FloatArray, d: FloatArray, e: FloatArray, shift: FloatArray, low: int, high: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """One implicit QL transformation from ``high`` down to ``low``."""
    g = d[:, low].copy()
    p = (d[:, low + 1] - g) / (2.0 * e[:, low])
    r = _hypot(p, np.ones_like(p))
    r = np.where(p < 0, -r, r)
    d[:, low] = e[:, low] / (p + r)
    d[:, low + 1] = e[:, low] * (p + r)
    next_d = d[:, low + 1].copy()
    h = g - d[:, low]
    d[:, low + 2 :] = d[:, low + 2 :] - h[:, None]
    shift = shift + h
    p = d[:, high].copy()
    c = c2 = c3 = np.ones_like(p)
    next_e = e[:, low + 1].copy()
    s = s2 = np.zeros_like(p)
    for i in range(high - 1, low - 1, -1):
        c3, c2, s2 = c2, c, s
        g, h = c * e[:, i], c * p
        r = _hypot(p, e[:, i])
        e[:, i + 1] = s * r
        s, c = e[:, i] / r, p / r
        p = c * d[:, i] - s * g
        d[:, i + 1] = h + s * (c * g + s * d[:, i])
        right, left = v[:, :, i + 1].copy(), v[:, :, i].copy()
        v[:, :, i + 1] = s[:, None] * left + c[:, None] * right
        v[:, :, i] = c[:, None] * left - s[:, None] * right
    p = -s * s2 * c3 * next_e * e[:, low] / next_d
    e[:, low] = s * p
    d[:, low] = c * p
    return v, d, e, shift


def _hypot(a: FloatArray, b: FloatArray) -> FloatArray:
    """√(a² + b²) as JAMA and vigra compute it."""
    return np.hypot(a, b)


def _sort_descending(v: FloatArray, d: FloatArray) -> None:
    """Selection sort, in place; equal values stay where they are unless one is swapped away."""
    n, size = d.shape
    everyone = np.arange(n)
    for i in range(size - 1):
        best = i + d[:, i:].argmax(axis=1)
        d[everyone, best], d[:, i] = d[:, i].copy(), d[everyone, best]
        left = v[:, :, i].copy()
        v[:, :, i] = v[everyone, :, best]
        v[everyone, :, best] = left
