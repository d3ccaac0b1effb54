"""Kernels: loops that no array operation expresses, in plain functions on lists and numbers.

They run as they stand; where there is enough to do, the same functions run compiled by numba, so both
agree by construction. numba's import costs half a second and compiling some seconds: `Kernels.choose`
weighs that.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

INNER = ("no_cpython_wrapper", "no_cfunc_wrapper")
"""numba's options for functions that only compiled ones call."""


class Kernels:
    """The kernels of a module, each after those that it calls; the last one is the one to call.

    Parameters
    ----------
    names
        ``globals()`` of the module.
    repays_loading, repays_compiling
        As much work (pixels, say) takes about as long as loading what numba compiled, and as compiling.
    """

    def __init__(self, names: dict[str, Any], *, repays_loading: int, repays_compiling: int) -> None:
        self._names = names
        self._loading, self._compiling = repays_loading, repays_compiling
        self._done = 0
        self.functions: list[Any] = []

    def __call__(self, function: Kernel) -> Kernel:
        """Leave the function as it is, and remember it."""
        self.functions.append(function)
        return function

    def choose(self, work: int, known: int = 0) -> Any | None:
        """The compiled function if it is the sooner one, else None.

        Parameters
        ----------
        work
            What is to be done now; all that was asked for so far counts, since more of it may come.
        known
            What is known to be done in all.
        """
        self._done += work
        if max(self._done, known) < self._loading:
            return None
        function, ready = self.compiled
        return function if ready or max(self._done, known) >= self._compiling else None

    @cached_property
    def compiled(self) -> tuple[Any, bool]:
        """The last function compiled, and whether an earlier run has done so (else the first call does)."""
        import numba

        jit: Any = numba.njit  # its stubs do not know all options
        names = dict(self._names)
        # copies that find compiled functions under the names that they call
        copies = [FunctionType(k.__code__, names, k.__name__) for k in self.functions]
        for copy in copies[:-1]:
            names[copy.__name__] = jit(nogil=True, **dict.fromkeys(INNER, True))(copy)
        # the last one contains the others: it is enough to keep that one
        try:
            function = jit(nogil=True, cache=True)(copies[-1])
        except RuntimeError:  # there is no folder to keep it in (NUMBA_CACHE_DIR would name one)
            function = jit(nogil=True)(copies[-1])
        return function, _is_kept(function, Path(self._names["__file__"]))


def _is_kept(function: Any, source: Path) -> bool:
    """Whether there is compiled code of this version of the file."""
    if function.stats.cache_path is None:
        return False
    found = Path(function.stats.cache_path).glob(f"{source.stem}.{function.__name__}-*.nbi")
    return any(index.stat().st_mtime > source.stat().st_mtime for index in found)
