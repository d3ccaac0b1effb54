"""The alternative: the script that one would write with scikit-image, scikit-learn and pandas.

``python scikit.py train RAW SEGMENTATION MODEL [more]`` or ``predict RAW SEGMENTATION MODEL OUT [more]``;
``more`` measures skewness, kurtosis, histogram and quantiles, too. ``python scikit.py pixels MODEL RAW OUT`` predicts
pixels with the forest that ``python scikit.py learn RAW STROKES MODEL`` made, with two threads.
"""

import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from skimage.measure import label, regionprops_table

BASIC = (
    "label", "area", "centroid", "bbox", "axis_major_length", "axis_minor_length", "intensity_mean", "intensity_std",
    "intensity_min", "intensity_max",
)  # fmt: skip


def skewness(mask, values):
    d = values[mask].astype(float)
    d -= d.mean()
    with np.errstate(invalid="ignore"):
        return (d**3).mean() / (d * d).mean() ** 1.5


def kurtosis(mask, values):
    d = values[mask].astype(float)
    d -= d.mean()
    with np.errstate(invalid="ignore"):
        return (d**4).mean() / (d * d).mean() ** 2 - 3


def histogram(mask, values):
    return np.histogram(values[mask], 64, (0, 400))[0].astype(float)


def quantiles(mask, values):
    return np.quantile(values[mask], [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1])


MORE = (skewness, kurtosis, histogram, quantiles)


def measure(raw, segmentation, more):
    """Labels and table."""
    labels = label(tifffile.imread(segmentation).squeeze(), connectivity=1)
    pixels = tifffile.imread(raw).squeeze()
    return labels, pd.DataFrame(
        regionprops_table(labels, pixels, BASIC, extra_properties=MORE if more else None)
    )


def train(raw, segmentation, model, more=""):
    """The first 300 objects, in three classes."""
    from sklearn.ensemble import RandomForestClassifier

    rows = measure(raw, segmentation, more)[1].drop(columns="label")[:300]
    forest = RandomForestClassifier(100, random_state=0).fit(rows, [i % 3 for i in range(300)])
    Path(model).write_bytes(pickle.dumps(forest))


def predict(raw, segmentation, model, out, more=""):
    """Class image, probability image, table."""
    labels, table = measure(raw, segmentation, more)
    forest = pickle.loads(Path(model).read_bytes())
    probabilities = forest.predict_proba(table.drop(columns="label")).astype(np.float32)
    lut = np.concatenate([[0], probabilities.argmax(axis=1) + 1]).astype(np.uint8)
    tifffile.imwrite(f"{out}_classes.tiff", lut[labels])
    padded = np.vstack([np.zeros((1, 3), np.float32), probabilities])
    tifffile.imwrite(f"{out}_probabilities.tiff", np.stack([padded[:, k][labels] for k in range(3)]))
    table["class"] = lut[1:]
    table[[f"p{k}" for k in range(3)]] = probabilities
    table.to_csv(f"{out}.csv", index=False)


def filtered(raw):
    """scikit-image's basic features of pixels: intensity, edges and texture at 4 scales; (pixels, features)."""
    from skimage.feature import multiscale_basic_features

    found = multiscale_basic_features(tifffile.imread(raw).squeeze(), sigma_min=0.7, sigma_max=5.6, workers=2)
    return found.reshape(-1, found.shape[-1])


def learn(raw, strokes, model):
    """A forest of 100 trees of the labelled pixels."""
    from sklearn.ensemble import RandomForestClassifier

    painted = tifffile.imread(strokes).ravel()
    forest = RandomForestClassifier(100, random_state=0, n_jobs=2)
    forest.fit(filtered(raw)[painted > 0], painted[painted > 0])
    Path(model).write_bytes(pickle.dumps(forest))


def pixels(model, raw, out):
    """Probability image."""
    forest = pickle.loads(Path(model).read_bytes())
    found = forest.predict_proba(filtered(raw)).astype(np.float32)
    tifffile.imwrite(out, found.T.reshape(-1, *tifffile.imread(raw).squeeze().shape))


if __name__ == "__main__":
    {"train": train, "predict": predict, "learn": learn, "pixels": pixels}[sys.argv[1]](*sys.argv[2:])
