"""GeoJSON of QuPath: points and areas with classifications.

A FeatureCollection, a list of features or one feature. Coordinates are corners of pixels: the point (0.5, 0.5) is the centre
of the first one. Planes and time steps (``plane`` of a geometry) count from 0, which is also where there is none.
"""

import json
import math
from collections.abc import Iterator, Mapping
from reprlib import repr as shown
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.errors import InputError
from objclass.training.labels.annotation import Annotation, Reading
from objclass.training.labels.area import Area
from objclass.training.labels.classes import checked_name
from objclass.training.labels.given import GivenLanes
from objclass.training.labels.text import decoded, read_bytes

EXPECTED = "expected GeoJSON as QuPath writes it (File, Export objects as GeoJSON)"

FARTHEST = 2**40
"""Largest coordinate."""

MAXIMUM_BYTES = 1 << 27
"""Of a file when it is unpacked: it is parsed as a whole, which takes many times its size."""

PIXELS = ("crs84", "")
"""Names of reference systems without a projection, in lower case."""


def read_geojson(path: str, given: GivenLanes) -> Reading:
    """Labels of a GeoJSON file: each point, and each polygon, is of the class of its feature.

    The image is named by a property ``image``, else by the name of the file (`GivenLanes.of_file`). Features without
    a class, and those of QuPath's classes to ignore, whose names end with ``*``, are left out with a message.

    Raises
    ------
    InputError
        If it is no such file; the message names the feature, from 1.
    """
    document = _parsed(path)
    _check_projection(path, document)
    features = list(enumerate(_features(path, document), 1))
    named = [
        (n, feature, name) for n, feature in features if (name := _class_of(feature, f"{path} feature {n}"))
    ]
    used = [(n, feature, name) for n, feature, name in named if not name.endswith("*")]
    left_out = []
    for count, why in (
        (len(features) - len(named), "without a class"),
        (len(named) - len(used), "of classes that QuPath ignores (*)"),
    ):
        if count:
            left_out.append(f"{path}: {count} features {why}")
    outer = document.get("image") if isinstance(document, dict) else None
    images = [_image_of(feature) or _text(outer) for _, feature, _ in used]
    absent, lines = given.without_absent(path, images)
    annotations = [
        annotation
        for (n, feature, name), image in zip(used, images, strict=True)
        if image not in absent
        for annotation in _annotations(feature, name, image, path, f"{path} feature {n}", given)
    ]
    return Reading(annotations, [*left_out, *lines])


def _parsed(path: str) -> Any:
    """The content of a JSON file."""
    text = decoded(path, read_bytes(path, MAXIMUM_BYTES), "save it as UTF-8")
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as fault:
        message = f"labels {path} line {fault.lineno}: not JSON ({fault.msg}): {EXPECTED}"
    except (ValueError, RecursionError) as fault:
        why = "it is nested too deeply" if isinstance(fault, RecursionError) else str(fault)
        message = f"labels {path}: {why}: {EXPECTED}"
    raise InputError(message)


def _no_number(name: str) -> float:
    message = f"{name} is no number"
    raise ValueError(message)


def _check_projection(path: str, document: Any) -> None:
    """Refuse coordinates of a map."""
    crs = document.get("crs") if isinstance(document, dict) else None
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = _text(properties.get("name")) if isinstance(properties, dict) else ""
    if name.lower().rpartition(":")[2] not in PIXELS:
        message = f"labels {path}: coordinates of the reference system {name}: expected pixels of the image"
        raise InputError(message)


def _features(path: str, document: Any) -> list[Mapping[str, Any]]:
    """The features of a document."""
    if isinstance(document, dict) and document.get("type") == "Feature":
        return [document]
    features = document.get("features") if isinstance(document, dict) else document
    if not isinstance(features, list):
        kind = (
            f"type '{_text(document.get('type'))}'" if isinstance(document, dict) else type(document).__name__
        )
        message = f"labels {path}: {kind} with no features: {EXPECTED}"
        raise InputError(message)
    for number, feature in enumerate(features, 1):
        if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
            message = f"labels {path} feature {number}: expected an object with a geometry"
            raise InputError(message)
    return features


def _properties(feature: Mapping[str, Any]) -> Mapping[str, Any]:
    found = feature.get("properties")
    return found if isinstance(found, dict) else {}


def _class_of(feature: Mapping[str, Any], line: str) -> str:
    """The name of the class of a feature, ``""`` if it has none; names of several levels are joined as in QuPath."""
    found = _properties(feature).get("classification")
    if isinstance(found, dict):
        names = found.get("names")
        found = ": ".join(map(_text, names)) if isinstance(names, list) else found.get("name")
    name = _text(found).strip()
    return checked_name(name, line) if name and name != "null" else ""


def _image_of(feature: Mapping[str, Any]) -> str:
    """The image that a feature names, ``""`` if none."""
    properties = _properties(feature)
    metadata = properties.get("metadata")
    inner = metadata.get("image") if isinstance(metadata, dict) else None
    return _text(properties.get("image")) or _text(inner)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _annotations(
    feature: Mapping[str, Any], name: str, image: str, path: str, line: str, given: GivenLanes
) -> Iterator[Annotation]:
    """The labels of a feature."""
    lane = given.number(image, path, line)
    geometry = feature["geometry"]
    t, z = _plane(geometry.get("plane", feature.get("plane")), line)
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind in ("Point", "MultiPoint"):
        for x, y in _corners([coordinates] if kind == "Point" else coordinates, line).tolist():
            yield given.checked(Annotation(lane, t, name, line, place=(z, math.floor(y), math.floor(x))))
    elif kind in ("Polygon", "MultiPolygon"):
        polygons = [coordinates] if kind == "Polygon" else coordinates
        yield given.checked(Annotation(lane, t, name, line, area=Area(tuple(_rings(polygons, line)), z)))
    else:
        message = f"labels {line}: geometry '{_text(kind)}': expected points or polygons"
        raise InputError(message)


def _plane(plane: Any, line: str) -> tuple[int, int]:
    """Time step and plane, from 0."""
    if plane is None:
        return 0, 0
    found = [plane.get(axis, 0) for axis in "tz"] if isinstance(plane, dict) else []
    if len(found) == 2 and all(type(n) is int for n in found):
        return found[0], found[1]
    message = f"labels {line}: plane {shown(plane)}: expected numbers z and t"
    raise InputError(message)


def _rings(polygons: Any, line: str) -> Iterator[NDArray[np.float64]]:
    """The rings of polygons, holes too."""
    is_nested = isinstance(polygons, list) and all(isinstance(p, list) and p for p in polygons)
    if not is_nested or not polygons:
        message = f"labels {line}: a polygon without rings"
        raise InputError(message)
    for ring in (ring for polygon in polygons for ring in polygon):
        corners = _corners(ring, line)
        if len(corners) < 3:
            message = f"labels {line}: a ring of {len(corners)} corners: expected three or more"
            raise InputError(message)
        yield corners


def _corners(coordinates: Any, line: str) -> NDArray[np.float64]:
    """Coordinates as an array (n, 2): x, y."""
    if isinstance(coordinates, list) and coordinates and all(_is_place(place) for place in coordinates):
        return np.array([place[:2] for place in coordinates], np.float64)
    message = f"labels {line}: coordinates {shown(coordinates)}: expected pairs of numbers"
    raise InputError(message)


def _is_place(place: Any) -> bool:
    is_pair = isinstance(place, list) and len(place) in (2, 3)
    return is_pair and all(type(n) in (int, float) and -FARTHEST < n < FARTHEST for n in place)
