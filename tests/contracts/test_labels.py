"""What every way to give labels promises: the same annotations give the same bytes of the project."""

import csv
import gzip
import json
import zipfile
from dataclasses import replace

import numpy as np
import openpyxl
import pytest
import roifile

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.export.objects.geojson import geometry
from objclass.export.objects.outlines import outlines
from objclass.export.objects.rois import region
from objclass.pipeline.inputs import open_lanes
from objclass.pipeline.pairing import Inputs
from objclass.segmentation.find import find_objects
from objclass.settings import ProjectThreshold
from objclass.training.learn import train
from objclass.training.request import TrainingRequest

SHAPES = {"plane": (1, 1), "movie": (3, 1), "volume": (1, 4), "volumes in time": (2, 3)}
NAMES = ("cell2", "cell10")


class World:
    """Two images, their objects, and a class for most of these."""

    def __init__(self, folder, steps, depth):
        self.folder, self.steps, self.depth = folder, steps, depth
        rng = np.random.default_rng(steps * 10 + depth)
        for name in NAMES:
            shape = (steps, depth, 40, 50)
            segmentation = np.zeros(shape, np.uint8)
            for t in range(steps):
                for y in range(2, 34, 9):
                    for x in range(2, 44, 9):
                        if rng.random() < 0.6:
                            self._draw(segmentation[t, :, y : y + 7, x : x + 7], rng)
            raw = rng.integers(0, 200, shape).astype(np.uint8)
            np.save(folder / f"{name}.npy", raw.squeeze())
            np.save(folder / f"{name}_s.npy", segmentation.squeeze())
        self.axes = "".join(a for a, n in zip("tz", (steps, depth), strict=True) if n > 1) + "yx"
        self.objects = {
            (lane.nickname, t): find_objects(lane, t, ProjectThreshold())
            for lane in open_lanes(self.inputs(), None)
            for t in range(steps)
        }
        self.annotations = [
            (name, t, label, ("round, or so", "ring", "α")[label % 3])
            for (name, t), objects in self.objects.items()
            for label in range(1, objects.count + 1)
            if label % 7
        ]

    def _draw(self, box, rng):
        """A square, a ring, whose centre is background, or two arms."""
        kind, depth = rng.integers(3), max(box.shape[0] - 1, 1)
        box[:depth] = 1
        if kind == 1:
            box[:, 2:5, 2:5] = 0
        elif kind == 2:
            box[:, 3:, 3:] = 0

    def inputs(self, names=NAMES):
        paths = {
            "raw_data": [str(self.folder / f"{name}.npy") for name in names],
            "segmentation_image": [str(self.folder / f"{name}_s.npy") for name in names],
        }
        return Inputs(paths, (self.axes,)) if names else Inputs({})

    def pixel(self, name, t, label):
        """One of the pixels of an object: z, y, x."""
        pixels = np.argwhere(self.objects[name, t].labels == label)
        return tuple(int(n) for n in pixels[label % len(pixels)])

    def planes(self, name, t):
        """The outlines of the objects of a time step, plane by plane."""
        labels = self.objects[name, t].labels
        stops = np.full(self.objects[name, t].count, labels.shape[1])
        for z in range(labels.shape[0]):
            cut = Context().limits.slabs((1, *labels.shape[1:]))
            yield from ((z, outline) for outline in outlines(labels, z, stops, cut))

    def learned(self, labels, *, names=NAMES, context=None, **change):
        """The bytes of the project."""
        target = self.folder / "learned.ilp"
        target.unlink(missing_ok=True)
        request = TrainingRequest(
            str(target), self.inputs(names), [str(self.folder / name) for name in labels],
            features=("Standard Object Features:Count", "Standard Object Features:Mean"), trees=3,
        )  # fmt: skip
        train(replace(request, **change), context)
        return target.read_bytes()


def save(path, rows, delimiter=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path.name


# ---------------------------------------------------------------------------- the routes: a world -> files of labels


def rows_by_id(world):
    return [
        {"image": name, "timestep": t, "labelimage_oid": label, "class": kind}
        for name, t, label, kind in world.annotations
    ]


def rows_by_point(world):
    rows = []
    for name, t, label, kind in world.annotations:
        z, y, x = world.pixel(name, t, label)
        rows.append({"t": t, "class": kind, "y": y, "x": x + 0.25, "z": z, "Image": f"{name}.npy"})
    return rows


def by_id(world):
    return [save(world.folder / "ids.csv", rows_by_id(world))]


def by_point_in_other_order(world):
    rows = rows_by_point(world)[::-1]
    half = len(rows) // 2
    (world.folder / "packed.tsv.gz").write_bytes(
        gzip.compress((world.folder / save(world.folder / "b.tsv", rows[half:], "\t")).read_bytes())
    )
    return [save(world.folder / "a.tsv", rows[:half], "\t"), "packed.tsv.gz"]


def workbook(world):
    book = openpyxl.Workbook()
    rows = rows_by_point(world)
    for row in [list(rows[0]), *(list(row.values()) for row in rows)]:
        book.active.append(row)
    book.create_sheet("notes").append(["class", "this is not the first sheet"])
    book.save(world.folder / "labels.xlsx")
    return ["labels.xlsx"]


def table_of_a_run(world):
    """Filled in by hand: rows without a class, and those of 0, are ignored."""
    classes = {row[:3]: row[3] for row in world.annotations}
    rows = [
        {"labelimage_oid": label, "User Label": classes.get((name, t, label), "0"), "timestep": t,
         "Predicted Class": "ring", "image": name}
        for (name, t), objects in world.objects.items() for label in range(1, objects.count + 1)
    ]  # fmt: skip
    return [save(world.folder / "run.csv", rows)]


def napari(world):
    files = []
    for name in NAMES:
        rows = []
        for _, t, label, kind in (row for row in world.annotations if row[0] == name):
            place = dict(zip("tzyx", (t, *world.pixel(name, t, label)), strict=True))
            axes = {f"axis-{k}": float(place[a]) for k, a in enumerate(world.axes)}
            rows.append({"index": len(rows), **axes, "label": kind, "confidence": 0.5})
        files.append(save(world.folder / f"{name}_points.csv", rows))
    return files


def painted(world):
    kinds = sorted({row[3] for row in world.annotations})
    files = []
    for name in NAMES:
        paint = np.zeros((world.steps, world.depth, 40, 50), np.uint8)
        for _, t, label, kind in (row for row in world.annotations if row[0] == name):
            pixels = np.argwhere(world.objects[name, t].labels == label)[: 3 + label % 5]
            paint[t][tuple(pixels.T)] = kinds.index(kind) + 1
        files.append(f"{name}_painted.npy")
        np.save(world.folder / files[-1], paint.squeeze())
    return files


def project(world):
    world.learned(by_id(world))
    (world.folder / "learned.ilp").rename(world.folder / "other.ilp")
    return ["other.ilp"]


def feature(kind, coordinates, t, z, name):
    plane = {"plane": {"c": -1, "z": z, "t": t}} if (t, z) != (0, 0) else {}
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates, **plane},
        "properties": {"objectType": "annotation", "classification": {"name": name, "color": [1, 2, 3]}},
    }


def qupath_points(world):
    """Corners count: the middle of a pixel is half a pixel further. Points of a class in one plane are one feature."""
    features = []
    for image, t, label, kind in world.annotations:
        z, y, x = world.pixel(image, t, label)
        found = feature("Point", [x + 0.5, y + 0.9], t, z, kind)
        if label % 2:
            found = feature("MultiPoint", [[x + 0.1, y]], t, z, kind)
        found["properties"]["image"] = image
        features.append(found)
    features.insert(1, feature("Point", [0.5, 0.5], 0, 0, "Ignore*"))
    features.insert(3, {"type": "Feature", "geometry": features[0]["geometry"], "properties": None})
    (world.folder / "points.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8"
    )
    return ["points.geojson"]


def drawn(world, image):
    """Time step, plane, class and outline of each object in each of its planes."""
    classes = {row[:3]: row[3] for row in world.annotations}
    for t in range(world.steps):
        for z, outline in world.planes(image, t):
            kind = classes.get((image, t, outline.label))
            if kind is not None:
                yield t, z, kind, outline


def qupath_outlines(world):
    files = []
    for image in NAMES:
        features = [
            feature(*geometry(outline).values(), t, z, kind) for t, z, kind, outline in drawn(world, image)
        ]
        files.append(f"{image}.geojson")
        (world.folder / files[-1]).write_text(json.dumps(features[::-1]), encoding="utf-8")
    return files


def position(world, t, z):
    both = world.steps > 1 and world.depth > 1
    if both:
        return {"t_position": t + 1, "z_position": z + 1, "c_position": 1}
    return {"position": (t + 1) * (world.steps > 1) or (z + 1) * (world.depth > 1)}


def pack(path, regions):
    with zipfile.ZipFile(path, "w") as file:
        for number, data in enumerate(regions):
            file.writestr(f"{number:04}.roi", data)
    return path.name


def imagej_outlines(world):
    return [
        pack(
            world.folder / f"{image} rois.zip",
            [region(outline, position(world, t, z) | {"name": kind}) for t, z, kind, outline in drawn(world, image)],
        )
        for image in NAMES
    ]  # fmt: skip


def imagej_points(world):
    """One region for all points of a class, time step and plane; ImageJ numbers regions of the same name."""
    files = []
    for image in NAMES:
        found = {}
        for _, t, label, kind in (row for row in world.annotations if row[0] == image):
            z, y, x = world.pixel(image, t, label)
            found.setdefault((t, z, kind), []).append((x, y))
        regions, seen = [], {}
        for (t, z, kind), points in found.items():
            again = seen[kind] = seen.get(kind, -1) + 1
            roi = roifile.ImagejRoi.frompoints(np.array(points, np.int32))
            roi.roitype, roi.name = roifile.ROI_TYPE.POINT, f"{kind}-{again}" if again else kind
            for key, value in position(world, t, z).items():
                setattr(roi, key, value)
            regions.append(roi.tobytes())
        files.append(pack(world.folder / f"{image}.zip", regions))
    return files


def groups(world):
    kinds = sorted({row[3] for row in world.annotations})
    return [
        pack(
            world.folder / f"{image}.zip",
            [region(outline, position(world, t, z) | {"group": kinds.index(kind) + 1, "name": f"{t}-{z}"})
             for t, z, kind, outline in drawn(world, image)],
        )
        for image in NAMES
    ]  # fmt: skip


def mixed(world):
    """One image by its outlines, the other by a table and by paint, some objects twice."""
    table = [row for row in rows_by_id(world) if row["image"] == "cell10"]
    paint = painted(world)[NAMES.index("cell10")]
    return [paint, *qupath_outlines(world)[:1], save(world.folder / "some.csv", table[::2])]


ROUTES = [
    by_point_in_other_order, workbook, table_of_a_run, napari, painted, project, qupath_points, qupath_outlines,
    imagej_outlines, imagej_points, groups, mixed,
]  # fmt: skip
NUMBERED = (painted, groups, mixed)


@pytest.fixture(scope="module", params=SHAPES)
def world(request, tmp_path_factory):
    made = World(tmp_path_factory.mktemp("labels"), *SHAPES[request.param])
    made.expected = made.learned(by_id(made))
    return made


@pytest.mark.parametrize("route", ROUTES)
def test_the_same_annotations_give_the_same_bytes(world, route):
    names = tuple(sorted({row[3] for row in world.annotations})) if route in NUMBERED else ()
    assert world.learned(route(world), class_names=names) == world.expected


def test_the_order_of_images_says_nothing(world):
    assert world.learned(by_id(world), names=NAMES[::-1]) == world.expected
    names = tuple(sorted({row[3] for row in world.annotations}))
    assert world.learned(painted(world)[::-1], names=NAMES[::-1], class_names=names) == world.expected


def test_the_number_of_threads_says_nothing(world):
    for limits in (Limits(jobs=3), Limits(10_000, (1, 7), 2)):
        assert world.learned(qupath_outlines(world), context=Context(limits)) == world.expected


def test_projects_bring_their_images(world):
    """Two projects, one for each image, without any image given: those of both, in the usual order."""
    for name in NAMES:
        rows = [row for row in rows_by_id(world) if row["image"] == name]
        world.learned([save(world.folder / "half.csv", rows)], names=(name,))
        (world.folder / "learned.ilp").rename(world.folder / f"of_{name}.ilp")
    files = [f"of_{name}.ilp" for name in NAMES]
    assert world.learned(files, names=()) == world.expected
    assert world.learned(files[::-1], names=NAMES[:1]) == world.expected
