"""The alternative: the script that one would write with scikit-image, scikit-learn and pandas.

``python scikit.py {train,predict,regionprops} FOLDER [more]``
"""

import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from skimage.measure import label, regionprops_table

BASIC = [
    "label", "area", "centroid", "bbox", "axis_major_length", "axis_minor_length", "intensity_mean", "intensity_std",
    "intensity_min", "intensity_max",
]  # fmt: skip
WIDE = {
    "coords",
    "coords_scaled",
    "image",
    "image_convex",
    "image_filled",
    "image_intensity",
    "slice",
    "label",
}


def skewness(mask, values):
    x = values[mask].astype(float)
    d = x - x.mean()
    with np.errstate(invalid="ignore"):
        return (d**3).mean() / (d * d).mean() ** 1.5


def kurtosis(mask, values):
    x = values[mask].astype(float)
    d = x - x.mean()
    with np.errstate(invalid="ignore"):
        return (d**4).mean() / (d * d).mean() ** 2 - 3


def histogram(mask, values):
    return np.histogram(values[mask], 64, (0, 400))[0].astype(float)


def quantiles(mask, values):
    return np.quantile(values[mask], [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1])


def measure(folder, more):
    raw, mask = tifffile.imread(folder / "raw.tif"), tifffile.imread(folder / "seg.tif")
    labels = label(mask, connectivity=1)
    extra = (skewness, kurtosis, histogram, quantiles) if more else None
    return labels, pd.DataFrame(regionprops_table(labels, raw, BASIC, extra_properties=extra))


def main(job, folder, more):
    if job == "regionprops":
        from skimage.measure import regionprops

        raw, mask = tifffile.imread(folder / "raw.tif"), tifffile.imread(folder / "seg.tif")
        labels = label(mask, connectivity=1)
        names = [
            name for name in dir(regionprops(labels[:64, :64], raw[:64, :64])[0]) if not name.startswith("_")
        ]
        names = [n for n in names if n.islower() and n not in WIDE and n != "to_polygon"]
        known = regionprops(labels[:64, :64], raw[:64, :64])[0]
        names = [n for n in names if not callable(getattr(known, n, len))]
        table = pd.DataFrame(regionprops_table(labels, raw, ["label", *names]))
        table.to_csv(folder / "theirs_props.csv", index=False)
        return
    labels, table = measure(folder, more)
    if job == "train":
        from sklearn.ensemble import RandomForestClassifier

        for kind in (False, True):
            rows = measure(folder, kind)[1].drop(columns="label")
            model = RandomForestClassifier(100, random_state=0).fit(rows[:300], [i % 3 for i in range(300)])
            (folder / f"model{kind:d}.pkl").write_bytes(pickle.dumps(model))
        return
    model = pickle.loads((folder / f"model{more:d}.pkl").read_bytes())
    probabilities = model.predict_proba(table.drop(columns="label")).astype(np.float32)
    lut = np.concatenate([[0], probabilities.argmax(axis=1) + 1]).astype(np.uint8)
    tifffile.imwrite(folder / "theirs_classes.tiff", lut[labels])
    padded = np.vstack([np.zeros((1, 3), np.float32), probabilities])
    tifffile.imwrite(folder / "theirs_probabilities.tiff", np.stack([padded[:, k][labels] for k in range(3)]))
    table["class"] = lut[1:]
    table[[f"p{k}" for k in range(3)]] = probabilities
    table.to_csv(folder / "theirs.csv", index=False)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), len(sys.argv) > 3)
