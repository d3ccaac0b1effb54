"""DVID, the image server: not supported; a message says what to do instead."""

from objclass.compute.context import Context
from objclass.core import AnyArray
from objclass.images.writer import OutputImage


class DvidWriter:
    """Refuses every image before the run."""

    def __init__(self, path: str, image: OutputImage, context: Context | None = None) -> None:
        raise NotImplementedError

    chunks: tuple[int, ...] = ()

    @classmethod
    def refusal(cls, image: OutputImage) -> str:
        """Why, and what to use."""
        return "sending images to a DVID server is not supported: write hdf5 or n5 and load that into DVID"

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Never called."""
        raise NotImplementedError

    def close(self) -> None:
        """Never called."""

    def abort(self) -> None:
        """Never called."""
        raise NotImplementedError
