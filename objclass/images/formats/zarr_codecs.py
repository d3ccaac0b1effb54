"""The codecs of a Zarr array, never to unpack more than its chunks: those of zarr have no such limit."""

import asyncio
from dataclasses import replace
from math import prod
from typing import Any

from zarr import Array, AsyncArray
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import ShardingCodec
from zarr.codecs._v2 import V2Codec
from zarr.registry import get_pipeline_class

from objclass.errors import ImageError
from objclass.images.chunked.unpack import UNPACK, unpacked

_OBJECTS = {"categorize", "json2", "msgpack2", "pickle", "vlen-array", "vlen-bytes", "vlen-utf8"}
"""Codecs of objects of Python."""

_CHECKSUM = 64
"""Bytes that other codecs may have added to a chunk."""


class LimitedCodec(BytesBytesCodec):
    """Undoes a codec of Zarr 3.

    Parameters
    ----------
    name
        One of `UNPACK`.
    """

    is_fixed_size = False

    def __init__(self, name: str) -> None:
        self._name = name

    def compute_encoded_size(self, _input_byte_length: int, _chunk_spec: Any) -> int:
        """Never called."""
        raise NotImplementedError

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        most = prod(chunk_spec.shape) * chunk_spec.dtype.item_size + _CHECKSUM
        content = await asyncio.to_thread(unpacked, self._name, chunk_bytes.to_bytes(), most)
        return chunk_spec.prototype.buffer.from_bytes(content)


class LimitedCompressor:
    """Undoes a compressor of Zarr 2.

    Parameters
    ----------
    name
        One of `UNPACK`.
    most
        Bytes of a chunk.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most

    def decode(self, buf: Any) -> bytes | bytearray:
        """The chunk."""
        return unpacked(self._name, bytes(buf), self._most)


def limited(array: Any) -> Any:
    """The same array, whose chunks unpack to no more than they are.

    Raises
    ------
    ImageError
        If they hold objects of Python.
    """
    metadata: Any = array.metadata
    if metadata.zarr_format == 2:
        _refuse_objects(array, [*(metadata.filters or ()), *filter(None, [metadata.compressor])])
        name = getattr(metadata.compressor, "codec_id", "")
        if name not in UNPACK:
            return array
        most = prod(array.chunks) * array.dtype.itemsize + _CHECKSUM
        compressor: Any = LimitedCompressor(name, most)
        codecs: list[Any] = [V2Codec(filters=metadata.filters, compressor=compressor)]
    else:
        codecs = [_limited(codec) for codec in metadata.codecs]
    unpacking = AsyncArray(array.metadata, array.store_path)
    object.__setattr__(unpacking, "codec_pipeline", get_pipeline_class().from_codecs(codecs))
    return Array(unpacking)


def _refuse_objects(array: Any, codecs: list[Any]) -> None:
    """Refuse what would be unpickled, or make objects."""
    wrong = [codec.codec_id for codec in codecs if codec.codec_id in _OBJECTS]
    if wrong:
        message = f"{array.store_path}: holds objects ({wrong[0]}), expected numbers"
        raise ImageError(message)


def _limited(codec: Any) -> Any:
    if isinstance(codec, ShardingCodec):
        return replace(codec, codecs=tuple(_limited(inner) for inner in codec.codecs))
    name = str(codec.to_dict()["name"]).removeprefix("numcodecs.")
    return LimitedCodec(name) if name in UNPACK else codec
