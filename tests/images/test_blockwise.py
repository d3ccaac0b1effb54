"""Pixels by box, however they come: the same ones, and each chunk unpacked few times."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.timings import Timings
from objclass.core import Image
from objclass.images import open_image
from objclass.images.blockwise import box_reader, slab_reader, timed
from tests.conftest import examples


class Chunks:
    """Stored in chunks; remembers what was read."""

    def __init__(self, array, chunks):
        self.array, self.chunks, self.shape, self.dtype = array, chunks, array.shape, array.dtype
        self.read_boxes = []

    def read(self, region):
        self.read_boxes.append(region)
        return self.array[region]


def image_of(shape, chunks, dtype="u2"):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    return Image("a", Chunks(array, chunks), "zyxc", "test"), array


LIMITS = st.sampled_from(
    [Limits(), Limits(memory=10), Limits(memory=5000), Limits(block=(1, 2), memory=3000, jobs=3)]
)


@examples(25)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 2)),
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.just(1)),
    LIMITS,
    st.data(),
)
def test_any_box_is_read(shape, chunks, limits, data):
    image, array = image_of(shape, chunks)
    context = Context(limits)
    for read in (box_reader(image, 0, context), slab_reader(image, 0, slice(0, shape[3]), context)):
        for _ in range(4):
            ends = [sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(1, n)))) for n in shape[:3]]
            box = tuple(slice(a, max(b, a + 1)) for a, b in ends)
            assert np.array_equal(read(box), array[box])


@pytest.mark.parametrize("jobs", [1, 2])
def test_chunks_thicker_than_slabs_are_read_once(jobs):
    image, array = image_of((16, 12, 10, 1), (8, 4, 5, 1))
    limits = Limits(memory=2000, block=(1, 12), jobs=jobs)
    read = slab_reader(image, 0, slice(0, 1), Context(limits))
    for _ in range(2):
        for slab in limits.slabs((16, 12, 10)):
            box = slab.within((16, 12, 10))
            assert np.array_equal(read(box), array[box])
    sizes = [np.prod([part.stop - part.start for part in box]) for box in image.stored.read_boxes]
    assert sum(sizes) == array.size
    assert all(box[0].start % 8 == 0 and box[1].start % 4 == 0 for box in image.stored.read_boxes)


def test_what_is_held_is_read_once_by_many_threads():
    image, array = image_of((4, 5, 6, 1), (1, 1, 1, 1))
    read = box_reader(image, 0, Context())
    box = slice(1, 3), slice(0, 5), slice(2, 4)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: read(box), range(50)))
    assert all(np.array_equal(one, array[box]) for one in found)
    assert len(image.stored.read_boxes) == 1


def test_slabs_of_plain_pixels_are_not_held():
    image, array = image_of((4, 5, 6, 1), (1, 1, 1, 1))
    image.stored.is_plain = True
    image = timed(image, Timings())
    read = box_reader(image, 0, Context())
    for z in range(4):
        box = slice(z, z + 1), slice(0, 5), slice(0, 6)
        assert np.array_equal(read(box), array[box])
    assert [box[0] for box in image.stored.stored.read_boxes] == [slice(z, z + 1) for z in range(4)]
    around = slice(1, 3), slice(0, 5), slice(2, 4)
    for _ in range(2):
        assert np.array_equal(read(around), array[around])
    assert len(image.stored.stored.read_boxes) == 4 + 1


def test_files_without_packing_are_plain(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((6, 4, 5), np.uint16))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((6, 4, 5), np.uint16), imagej=True)
    tifffile.imwrite(tmp_path / "packed.tif", np.zeros((6, 4, 5), np.uint16), compression="zlib")
    plain = {p.name for p in tmp_path.iterdir() if getattr(open_image(str(p)).stored, "is_plain", False)}
    assert plain == {"a.npy", "a.tif"}
