"""Which images of a run look unlike those of the training: many of their objects are novel."""

from objclass.errors import listed
from objclass.novelty import EXPECTED

MINIMUM_OBJECTS = 5
"""Minimum number of novel objects of an image that looks unlike those of the training."""

MINIMUM_SHARE, AFTER_ONE_IMAGE = 0.2, 0.5
"""Minimum part of the objects of such an image that are novel: of new images like those of the training it is a hundredth, rarely a
twentieth; more where a single image has shown nothing of how images differ.
"""


class UnlikeImages:
    """The images of a run with the numbers of their objects, and of those that are novel.

    Parameters
    ----------
    trained_on
        Number of images of the training.
    """

    def __init__(self, trained_on: int) -> None:
        self._share = MINIMUM_SHARE if trained_on > 1 else AFTER_ONE_IMAGE
        self._images = 0
        self._unlike: list[str] = []
        self._all = self._in_unlike = (0, 0)

    def add(self, image: str, objects: int, novel: int) -> None:
        """Add an image."""
        self._images += 1
        self._all = self._all[0] + objects, self._all[1] + novel
        if self.is_unlike(objects, novel):
            self._unlike.append(image)
            self._in_unlike = self._in_unlike[0] + objects, self._in_unlike[1] + novel

    @property
    def line(self) -> str:
        """What is to be said of them; ``""`` if all is well."""
        if self._unlike:
            one = len(self._unlike) == 1
            if self._images == 1:
                which = f"{self._unlike[0]} looks"
            else:
                which = f"{len(self._unlike)} of {self._images} images look{'s' * one}"
            objects, novel = self._in_unlike
            names = f": {listed(self._unlike)}" if self._images > 1 else ""
        elif self.is_unlike(*self._all):  # images of few objects
            which, one, names = f"the {self._images} images look", False, ""
            objects, novel = self._all
        else:
            return ""
        return (
            f"{which} unlike the training images: {novel / objects:.0%} of {'its' if one else 'their'} {objects} objects "
            f"are novel (expected {EXPECTED:.0%}){names} (other staining, exposure, channels? label some of these objects and "
            "train again)"
        )

    def is_unlike(self, objects: int, novel: int) -> bool:
        """Whether an image of so many objects, and novel ones, looks unlike those of the training."""
        return novel >= MINIMUM_OBJECTS and novel > self._share * objects
