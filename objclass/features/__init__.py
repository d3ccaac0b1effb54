"""Features of objects: their definition, the feature sets, and `measure`."""

from objclass.features.contract import Feature, FeatureSet, Key, choose, feature_set
from objclass.features.engine import measure
from objclass.features.frame import Frame

__all__ = ["Feature", "FeatureSet", "Frame", "Key", "choose", "feature_set", "measure"]
