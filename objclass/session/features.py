"""The features that windows offer, and the shortest names of those that are chosen."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from objclass import registry
from objclass.core import Lane
from objclass.features.contract import Feature, Key, choose, feature_set

COPIES = "Default features"
"""The set whose features are in another set, too."""


def offered_features(lane: Lane, chosen: Collection[str] = ()) -> dict[str, list[Feature]]:
    """The features that are defined for an image, by the name of their set.

    Parameters
    ----------
    lane
        The image.
    chosen
        Names of features that are chosen; a set that has no features of its own is offered where one is of it.
    """
    ndim, channels = lane.objects.ndim, lane.channels
    used = {name.partition(":")[0] for name in chosen}
    names = [name for name in registry.feature_sets() if name != COPIES or name in used]
    sets = {name: (feature_set(name) or {}).values() for name in names}
    fitting = {name: [one for one in known if one.fits(ndim, channels)] for name, known in sets.items()}
    return {name: known for name, known in fitting.items() if known}


def best_features(lane: Lane) -> list[Feature]:
    """The features that distinguish classes best on real images."""
    return choose(["best"], lane.objects.ndim, lane.channels, training=True)


def is_of_ilastik(set_name: str) -> bool:
    """Whether ilastik has a feature set; it opens no project with others."""
    return set_name in registry.ILASTIK_FEATURE_SETS


def plain(features: Iterable[Feature]) -> list[Feature]:
    """Those features of a set that its name chooses."""
    return [one for one in features if not one.advanced and not one.location]


def names_of(chosen: Iterable[Key], offered: Mapping[str, Sequence[Feature]]) -> tuple[str, ...]:
    """The shortest names of features: the set where they are those that its name chooses, else ``set:feature``.

    Parameters
    ----------
    chosen
        Keys of the features; names are in the order in which their sets come first.
    offered
        Those that are defined for the image, by set.
    """
    sets: dict[str, list[str]] = {}
    for set_name, name in chosen:
        sets.setdefault(set_name, []).append(name)
    names = []
    for set_name, own in sets.items():
        whole = {one.name for one in plain(offered.get(set_name, ()))}
        names += [set_name] if set(own) == whole else [f"{set_name}:{name}" for name in own]
    return tuple(names)
