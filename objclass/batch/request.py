"""The request of a run: what the command line or the caller has given."""

from dataclasses import dataclass, field

from objclass.core import PixelSize
from objclass.pipeline.pairing import Inputs
from objclass.pipeline.plan import ILASTIK, FromFile
from objclass.settings import (
    BatchSettings,
    EngineSettings,
    ExportSettings,
    ResourceSettings,
    ThresholdSettings,
)

DEFAULT_FEATURES = ("regionprops",)
"""Features that are measured without a project."""


@dataclass(frozen=True)
class Request:
    """The request of a run: what the command line or the caller has given."""

    inputs: Inputs
    project: str | None = None
    pixel_project: str | None = None
    export: ExportSettings = field(default_factory=ExportSettings)
    sources: tuple[str, ...] = ()
    pixel_image: bool = False
    """Whether the probabilities of pixels are written besides, where they are computed."""
    table: str | None = None
    table_only: bool = False
    profile: str = ILASTIK
    summary: str | None = None
    report: str | None = None
    """Path of the page that shows what the run has found."""
    objects: tuple[str, ...] = ()
    """Paths of the files of objects for other programs; their suffixes select the formats."""
    csv_dialect: str = "standard"
    threshold: ThresholdSettings = field(default_factory=ThresholdSettings)
    features: tuple[str, ...] = ()
    margin: int = 30
    pixel_size: PixelSize | FromFile | None = None
    retrain: bool = False
    novelty: bool = False
    """Whether objects are compared with those of the training also where the project is one of ilastik."""
    table_images: bool = False
    ilastik_names: bool = False
    export_colors: bool = False
    resources: ResourceSettings = field(default_factory=ResourceSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    arguments: tuple[str, ...] = ()
