"""ilastik's "Standard Object Features": vigra's region features by its names.

Coordinates are pixel indices in the whole image, in the order x, y(, z). Values are float32, as the
classifier gets them. Sums run in scan order and in float64; see `objclass.features.statistics`.
"""

import numpy as np

from objclass.core import AnyArray, FloatArray
from objclass.features.contract import FeatureSet, in_neighbourhood
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.intensity import BINS, Central, Extremes, Histogram, Intensity, Spread
from objclass.features.statistics.powers import power
from objclass.features.statistics.scatter import (
    ChannelAxes,
    ChannelProjected,
    ChannelScatter,
    CoordinateAxes,
    CoordinateProjected,
    WeightedAxes,
    WeightedProjected,
    WeightedScatter,
)

FEATURES = FeatureSet("Standard Object Features", prefix="")
feature = FEATURES.feature

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@feature("Count", title="Size in pixels", unit="pixels")
def count(extent: Extent) -> AnyArray:
    """Number of pixels (voxels) of the object."""
    return extent.count


@feature("Coord<Minimum>", title="Bounding Box Minimum", shape=("axis",), unit="px", location=True)
def coord_minimum(extent: Extent) -> AnyArray:
    """Smallest coordinates of the object."""
    return extent.low


@feature("Coord<Maximum>", title="Bounding Box Maximum", shape=("axis",), unit="px", location=True)
def coord_maximum(extent: Extent) -> AnyArray:
    """Largest coordinates of the object plus one (exclusive end of its bounding box)."""
    return extent.high + 1


@feature("RegionCenter", title="Center of the object", shape=("axis",), unit="px", location=True)
def region_center(extent: Extent) -> FloatArray:
    """Mean coordinates."""
    return extent.center


@feature("Coord<PowerSum<1>>", shape=("axis",), unit="px")
def coord_sum(extent: Extent) -> AnyArray:
    """Sums of the coordinates."""
    return extent.total


@feature("RegionRadii", title="Radii of the object", shape=("d",), unit="px")
def region_radii(axes: CoordinateAxes, extent: Extent) -> FloatArray:
    """Standard deviations along the principal axes, descending."""
    return np.sqrt(axes.values / extent.count[:, None])


@feature("RegionAxes", title="Principal components of the object", shape=("axis", "d"))
def region_axes(axes: CoordinateAxes) -> FloatArray:
    """Principal axes: component i of axis k at i·d + k; the identity for a single pixel."""
    return axes.vectors


@feature("Coord<Principal<PowerSum<2>>>", shape=("d",), unit="px2")
def coord_principal_2(axes: CoordinateAxes) -> FloatArray:
    """Sums of squared deviations along the principal axes, descending."""
    return axes.values


@feature("Coord<DivideByCount<Principal<PowerSum<2>>>>", shape=("d",), unit="px2")
def coord_principal_variance(axes: CoordinateAxes, extent: Extent) -> FloatArray:
    """Variances along the principal axes, descending."""
    return axes.values / extent.count[:, None]


@feature("Coord<Principal<PowerSum<3>>>", shape=("d",), unit="px3")
def coord_principal_3(projected: CoordinateProjected) -> FloatArray:
    """Sums of cubed deviations along the principal axes."""
    return projected.q3


@feature("Coord<Principal<PowerSum<4>>>", shape=("d",), unit="px4")
def coord_principal_4(projected: CoordinateProjected) -> FloatArray:
    """Sums of fourth powers of deviations along the principal axes."""
    return projected.q4


@feature("Coord<Principal<Skewness>>", shape=("d",))
def coord_principal_skewness(
    axes: CoordinateAxes, projected: CoordinateProjected, extent: Extent
) -> FloatArray:
    """Skewness of the coordinates along the principal axes."""
    return _skewness(extent.count[:, None], axes.values, projected.q3)


@feature("Coord<Principal<Kurtosis>>", shape=("d",))
def coord_principal_kurtosis(
    axes: CoordinateAxes, projected: CoordinateProjected, extent: Extent
) -> FloatArray:
    """Excess kurtosis of the coordinates along the principal axes."""
    return _kurtosis(extent.count[:, None], axes.values, projected.q4)


@feature("Coord<ArgMinWeight>", shape=("axis",), unit="px", channels="one")
def coord_arg_min(extremes: Extremes) -> FloatArray:
    """Coordinates of the smallest value, the first one in scan order."""
    return extremes.argmin


@feature("Coord<ArgMaxWeight>", shape=("axis",), unit="px", channels="one")
def coord_arg_max(extremes: Extremes) -> FloatArray:
    """Coordinates of the largest value, the first one in scan order."""
    return extremes.argmax


@feature("Sum", title="Total Intensity", shape=("c",), unit="intensity")
def total(intensity: Intensity) -> FloatArray:
    """Sum of the values, for each channel."""
    return intensity.total.T


@feature("Mean", title="Mean Intensity", shape=("c",), unit="intensity")
def mean(intensity: Intensity) -> FloatArray:
    """Mean value, for each channel."""
    return intensity.mean.T


@feature("Minimum", title="Minimum intensity", shape=("c",), unit="intensity")
def minimum(intensity: Intensity) -> FloatArray:
    """Smallest value, for each channel."""
    return intensity.low.T


@feature("Maximum", title="Maximum intensity", shape=("c",), unit="intensity")
def maximum(intensity: Intensity) -> FloatArray:
    """Largest value, for each channel."""
    return intensity.high.T


@feature("Variance", title="Variance of Intensity", shape=("c",), unit="intensity2")
def variance(spread: Spread) -> FloatArray:
    """Population variance of the values, for each channel."""
    return (spread.m2 / spread.count).T


@feature("Skewness", title="Skewness of Intensity", shape=("c",))
def skewness(spread: Spread, central: Central) -> FloatArray:
    """Skewness of the values, for each channel: √n·M3 / M2^1.5."""
    return _skewness(spread.count, spread.m2, central.m3).T


@feature("Kurtosis", title="Kurtosis of Intensity", shape=("c",))
def kurtosis(spread: Spread, central: Central) -> FloatArray:
    """Excess kurtosis of the values, for each channel: n·M4 / M2² - 3."""
    return _kurtosis(spread.count, spread.m2, central.m4).T


@feature("Central<PowerSum<2>>", shape=("c",), unit="intensity2")
def central_2(spread: Spread) -> FloatArray:
    """Sum of squared deviations from the mean, for each channel."""
    return spread.m2.T


@feature("Central<PowerSum<3>>", shape=("c",), unit="intensity3")
def central_3(central: Central) -> FloatArray:
    """Sum of cubed deviations from the mean, for each channel."""
    return central.m3.T


@feature("Central<PowerSum<4>>", shape=("c",), unit="intensity4")
def central_4(central: Central) -> FloatArray:
    """Sum of fourth powers of deviations from the mean, for each channel."""
    return central.m4.T


@feature("Global<Minimum>", unit="intensity", channels="one")
def global_minimum(intensity: Intensity) -> FloatArray:
    """Smallest value of all objects of the time step."""
    return np.full(intensity.low.shape[1], intensity.range_of_all[0])


@feature("Global<Maximum>", unit="intensity", channels="one")
def global_maximum(intensity: Intensity) -> FloatArray:
    """Largest value of all objects of the time step."""
    return np.full(intensity.high.shape[1], intensity.range_of_all[1])


@feature("Histogram", title="Histogram of Intensity", shape=(BINS,), channels="one")
def histogram(bins: Histogram) -> FloatArray:
    """Counts in 64 equal bins between the smallest and largest values of all objects of the time step."""
    return bins.bins


@feature(
    "Quantiles",
    title="Quantiles of Intensity",
    shape=(len(QUANTILES),),
    unit="intensity",
    channels="one",
)
def quantiles(bins: Histogram, intensity: Intensity) -> FloatArray:
    """0, 10, 25, 50, 75, 90 and 100 % quantile: interpolated in the histogram (the first and last are
    exact).

    The cumulative curve runs, in units of bins, from (smallest value, 0) over the edges of the bins that
    hold pixels to (largest value, n); a quantile q is where it reaches q·n. NaN counts as below the
    range: with m of them the curve goes from (smallest value, 0) to (0, m) first. The order of rounding is
    vigra's.
    """
    scale = BINS / (bins.high - bins.low)
    smallest, largest = intensity.low[0], intensity.high[0]
    start, stop = scale * (smallest - bins.low), scale * (largest - bins.low)
    counts, n = bins.bins, intensity.count
    below = n - counts.sum(axis=1)
    edge = below[:, None] + np.cumsum(counts, axis=1)
    everyone = np.arange(len(n))
    first, last = (counts > 0).argmax(axis=1), BINS - 1 - (counts > 0)[:, ::-1].argmax(axis=1)
    result = [smallest]
    for q in QUANTILES[1:-1]:
        is_below = q * n <= below
        bin_ = (edge >= (q * n)[:, None]).argmax(axis=1)
        inside = np.where(is_below, below, counts[everyone, bin_])
        before = np.where(is_below, 0, edge[everyone, bin_] - inside)
        left = np.where((bin_ == first) & (start > bin_) & (below == 0) | is_below, start, bin_)
        right = np.where(is_below, 0, np.where(bin_ == last, stop, bin_ + 1))
        place = (q * n - before) / inside * (right - left)
        result.append(1 / scale * (place + left) + bins.low)
    return np.column_stack([*result, largest])


@feature(
    "Covariance",
    title="Covariance of Channel Intensity",
    shape=("c", "c"),
    unit="intensity2",
    channels="many",
)
def covariance(scatter: ChannelScatter) -> FloatArray:
    """Population covariance of the channels, row by row."""
    return scatter.matrix / scatter.weight[:, None, None]


@feature("PrincipalAxes", shape=("c", "c"), channels="many")
def principal_axes(axes: ChannelAxes) -> FloatArray:
    """Principal axes of the values: component i of axis k at i·c + k."""
    return axes.vectors


@feature("Principal<PowerSum<2>>", shape=("c",), unit="intensity2", channels="many")
def principal_2(axes: ChannelAxes) -> FloatArray:
    """Sums of squared deviations along the principal axes of the values."""
    return axes.values


@feature("Principal<Variance>", shape=("c",), unit="intensity2", channels="many")
def principal_variance(axes: ChannelAxes, scatter: ChannelScatter) -> FloatArray:
    """Variances along the principal axes of the values."""
    return axes.values / scatter.weight[:, None]


@feature("Principal<PowerSum<3>>", shape=("c",), unit="intensity3", channels="many")
def principal_3(projected: ChannelProjected) -> FloatArray:
    """Sums of cubed deviations along the principal axes of the values."""
    return projected.q3


@feature("Principal<PowerSum<4>>", shape=("c",), unit="intensity4", channels="many")
def principal_4(projected: ChannelProjected) -> FloatArray:
    """Sums of fourth powers of deviations along the principal axes of the values."""
    return projected.q4


@feature("Principal<Skewness>", shape=("c",), channels="many")
def principal_skewness(axes: ChannelAxes, projected: ChannelProjected, scatter: ChannelScatter) -> FloatArray:
    """Skewness along the principal axes of the values."""
    return _skewness(scatter.weight[:, None], axes.values, projected.q3)


@feature("Principal<Kurtosis>", shape=("c",), channels="many")
def principal_kurtosis(axes: ChannelAxes, projected: ChannelProjected, scatter: ChannelScatter) -> FloatArray:
    """Excess kurtosis along the principal axes of the values."""
    return _kurtosis(scatter.weight[:, None], axes.values, projected.q4)


@feature("Principal<Minimum>", shape=("c",), unit="intensity", channels="many")
def principal_minimum(projected: ChannelProjected) -> FloatArray:
    """Smallest deviations from the mean along the principal axes of the values."""
    return projected.low


@feature("Principal<Maximum>", shape=("c",), unit="intensity", channels="many")
def principal_maximum(projected: ChannelProjected) -> FloatArray:
    """Largest deviations from the mean along the principal axes of the values."""
    return projected.high


@feature("Weighted<PowerSum<0>>", unit="intensity", channels="one")
def weighted_sum(scatter: WeightedScatter) -> FloatArray:
    """Sum of the values, the weight of the object."""
    return scatter.weight


@feature("Weighted<Coord<PowerSum<1>>>", shape=("axis",), channels="one")
def weighted_coord_sum(scatter: WeightedScatter) -> FloatArray:
    """Sums of the coordinates weighted with the values."""
    return scatter.total


@feature("Weighted<RegionCenter>", shape=("axis",), unit="px", channels="one")
def weighted_center(scatter: WeightedScatter) -> FloatArray:
    """Mean coordinates weighted with the values."""
    return scatter.center


@feature("Weighted<RegionRadii>", shape=("d",), unit="px", channels="one")
def weighted_radii(axes: WeightedAxes, scatter: WeightedScatter) -> FloatArray:
    """Weighted standard deviations along the weighted principal axes."""
    return np.sqrt(axes.values / scatter.weight[:, None])


@feature("Weighted<RegionAxes>", shape=("axis", "d"), channels="one")
def weighted_axes(axes: WeightedAxes) -> FloatArray:
    """Weighted principal axes: component i of axis k at i·d + k."""
    return axes.vectors


@feature("Weighted<Coord<Principal<PowerSum<2>>>>", shape=("d",), channels="one")
def weighted_principal_2(axes: WeightedAxes) -> FloatArray:
    """Weighted sums of squared deviations along the weighted principal axes."""
    return axes.values


@feature(
    "Weighted<Coord<DivideByCount<Principal<PowerSum<2>>>>>",
    shape=("d",),
    unit="px2",
    channels="one",
)
def weighted_principal_variance(axes: WeightedAxes, scatter: WeightedScatter) -> FloatArray:
    """Weighted variances along the weighted principal axes."""
    return axes.values / scatter.weight[:, None]


@feature("Weighted<Coord<Principal<PowerSum<3>>>>", shape=("d",), channels="one")
def weighted_principal_3(projected: WeightedProjected) -> FloatArray:
    """Weighted sums of cubed deviations along the weighted principal axes."""
    return projected.q3


@feature("Weighted<Coord<Principal<PowerSum<4>>>>", shape=("d",), channels="one")
def weighted_principal_4(projected: WeightedProjected) -> FloatArray:
    """Weighted sums of fourth powers of deviations along the weighted principal axes."""
    return projected.q4


@feature("Weighted<Coord<Principal<Skewness>>>", shape=("d",), channels="one")
def weighted_principal_skewness(
    axes: WeightedAxes, projected: WeightedProjected, scatter: WeightedScatter
) -> FloatArray:
    """Weighted skewness along the weighted principal axes."""
    return _skewness(scatter.weight[:, None], axes.values, projected.q3)


@feature("Weighted<Coord<Principal<Kurtosis>>>", shape=("d",), channels="one")
def weighted_principal_kurtosis(
    axes: WeightedAxes, projected: WeightedProjected, scatter: WeightedScatter
) -> FloatArray:
    """Weighted excess kurtosis along the weighted principal axes."""
    return _kurtosis(scatter.weight[:, None], axes.values, projected.q4)


def _skewness(n: AnyArray, m2: FloatArray, m3: FloatArray) -> FloatArray:
    result: FloatArray = np.sqrt(n) * m3 / power(m2, 1.5)
    return result


def _kurtosis(n: AnyArray, m2: FloatArray, m4: FloatArray) -> FloatArray:
    result: FloatArray = n * m4 / (m2 * m2) - 3
    return result


LOCAL = (
    "Mean",
    "Variance",
    "Skewness",
    "Kurtosis",
    "Histogram",
    "Covariance",
    "Minimum",
    "Maximum",
    "Sum",
)
"""The features that are also measured in the neighbourhood of the object."""

for _name in LOCAL:
    FEATURES.add(in_neighbourhood(FEATURES[_name], "context", "in neighborhood"))
    FEATURES.add(in_neighbourhood(FEATURES[_name], "both", "in object and neighborhood"))

DEFAULTS = FeatureSet("Default features", dtype=np.float64, prefix="")
"""Position and size, which ilastik puts into every table (float64)."""

for _function, _name in (
    (count, "Count"),
    (coord_minimum, "Coord<Minimum>"),
    (coord_maximum, "Coord<Maximum>"),
    (region_center, "RegionCenter"),
):
    _standard = FEATURES[_name]
    DEFAULTS.feature(
        _name, title=_standard.title, shape=_standard.shape, unit=_standard.unit, location=_standard.location
    )(_function)
