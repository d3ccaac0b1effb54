"""The request of a training."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from objclass.core import PixelSize
from objclass.evaluation.settings import EvaluationSettings
from objclass.features.contract import AUTO
from objclass.pipeline.pairing import Inputs
from objclass.pipeline.plan import FromFile
from objclass.settings import ProjectThreshold


@dataclass(frozen=True)
class TrainingRequest:
    """The request of a training: what the command line or the caller has given.

    Parameters
    ----------
    project
        The file to write, or to add labels to; ``""``: nothing is written.
    inputs
        Images to learn from.
    labels
        Files of labels of any kind (`objclass.training.labels`); those of projects (.ilp) may add images.
    class_names
        Names of the classes in the order of their numbers; by default those that labels name, sorted.
    output
        Another file to write: then the labels are added to those of ``project``, whose features and
        thresholds are used.
    overwrite
        Whether a project may be replaced.
    allow_misses
        Whether more than a third of the points and areas, or of the painted pixels, may lie on background; and
        whether labels may be of images that are not given.
    pixel_size
        In place of that of the images, for thresholds that are areas or volumes.
    class_weight
        ``"balanced"``: each class counts the same. None: each object counts the same.
    evaluation
        How it is judged by cross-validation (its forest is that of the training); None: it is not.
    suggest
        Maximum number of objects to label next.
    suggestions
        The table of these to write.
    """

    project: str
    inputs: Inputs
    labels: Sequence[str]
    class_names: tuple[str, ...] = ()
    threshold: ProjectThreshold = field(default_factory=ProjectThreshold)
    features: tuple[str, ...] = ("Standard Object Features",)
    margin: int = 30
    trees: int = 100
    seed: int = 0
    output: str | None = None
    overwrite: bool = False
    allow_misses: bool = False
    pixel_size: PixelSize | FromFile | None = None
    class_weight: str | None = None
    evaluation: EvaluationSettings | None = None
    suggest: int = 0
    suggestions: str = ""

    @property
    def chooses_features(self) -> bool:
        """Whether features are chosen by how much they help."""
        return self.features == (AUTO,)

    @property
    def target(self) -> str:
        """The file to write."""
        return self.output or self.project
