"""Kernels: loops that no array operation expresses, in plain functions on flat arrays and numbers.

They run as they stand; where there is enough to do, the same functions run compiled by numba, so both
agree by construction. `Kernels.choose` weighs what that costs. Compiling takes seconds, once for an
installation: the machine code is kept, and later processes load it with llvmlite alone in a twentieth of
a second, where numba's import and its own cache would take half a second.

So a kernel takes flat arrays and numbers, returns nothing and writes into its arrays; it makes no lists
and no arrays, and raises nothing. The GIL is released while a compiled kernel runs.
"""

import ctypes
import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import FunctionType
from typing import Any, TypeVar

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

INNER = ("no_cpython_wrapper", "no_cfunc_wrapper")
"""numba's options for functions that only compiled ones call."""

ENTRY = "objclass_kernel"
"""What a kernel is called in its machine code."""

PRESENT = {"pow", "sqrt", "memset", "memcpy", "memmove"}
"""Functions of the C library that are in every process."""


class Kernels:
    """The kernels of a module, each after those that it calls; the last one is the one to call.

    Parameters
    ----------
    names
        ``globals()`` of the module.
    repays_loading, repays_compiling
        As much work (pixels, say) takes about as long as loading what was once compiled, and as compiling.
    signature
        Types of the parameters of the last one: ``"int64"`` and ``"float64"`` for numbers, ``"uint8*"`` and
        the like for arrays, of which kernels see where they begin: they have one index and no length.
        The function may end in ``*arguments``.
    """

    def __init__(
        self,
        names: dict[str, Any],
        *,
        repays_loading: int,
        repays_compiling: int,
        signature: Sequence[str],
    ) -> None:
        self._names = names
        self._loading, self._compiling = repays_loading, repays_compiling
        self._signature = tuple(signature)
        self._done = 0
        self.functions: list[Any] = []

    def __call__(self, function: Kernel) -> Kernel:
        """Leave the function as it is, and remember it."""
        self.functions.append(function)
        return function

    def choose(self, work: int, known: int = 0) -> Any | None:
        """The compiled function if it is faster, else None.

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
        source = Path(self._names["__file__"])
        native = Native(self._compile, source, self.functions[-1].__name__, self._signature)
        return native, native.is_kept

    def _jit(self, signature: Any) -> Any:
        """The last function, compiled by numba."""
        import numba

        jit: Any = numba.njit  # its stubs do not know all options
        options = {"nogil": True, "error_model": "numpy", **dict.fromkeys(INNER, True)}
        names = dict(self._names)
        # copies that find compiled functions under the names that they call
        copies = [FunctionType(k.__code__, names, k.__name__) for k in self.functions]
        for copy in copies[:-1]:
            names[copy.__name__] = jit(**options)(copy)
        return jit(signature, **options)(copies[-1])

    def _compile(self) -> bytes:
        """The last function as machine code."""
        import llvmlite.binding as llvm
        from numba import types

        kinds: list[Any] = [_numba_type(types, name) for name in self._signature]
        code = self.functions[-1].__code__
        if code.co_flags & inspect.CO_VARARGS:
            rest: Any = types.Tuple  # untyped
            kinds[code.co_argcount :] = [rest(kinds[code.co_argcount :])]
        function = self._jit(types.void(*kinds))
        (signature,) = function.signatures
        module = llvm.parse_assembly(function.inspect_llvm(signature))
        named = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")}
        if named - PRESENT:  # LLVM would end the process
            message = f"kernel {self.functions[-1].__name__} makes objects or raises: {named - PRESENT}"
            raise TypeError(message)
        module.get_function(function.overloads[signature].fndesc.llvm_func_name).name = ENTRY
        return _machine(llvm).emit_object(module)


def _numba_type(types: Any, name: str) -> Any:
    """``"int64"`` or ``"uint8*"`` as a type of numba's."""
    kind = getattr(types, name.removesuffix("*"))
    return types.CPointer(kind) if name.endswith("*") else kind


class Native:
    """A kernel as machine code: from the file that an earlier run left, or compiled at the first call.

    Parameters
    ----------
    compile_it
        Returns the machine code.
    source
        The Python file that it is compiled from.
    name, signature
        Of the kernel.
    """

    def __init__(
        self, compile_it: Callable[[], bytes], source: Path, name: str, signature: tuple[str, ...]
    ) -> None:
        self._compile, self._source, self._name, self._signature = compile_it, source, name, signature
        self._engine: Any = None  # lives as long as the code
        self._lock = Lock()

    def __call__(self, *given: Any) -> None:
        """Call it with arrays (C-contiguous) and numbers, as numba would."""
        self.bind(*given)()

    def bind(self, *given: Any) -> Callable[..., None]:
        """The same with its first arguments given, for many calls: to look at an array takes a while."""
        with self._lock:  # one thread compiles
            function = self._function
        first, rest = self._arguments(given, self._signature), self._signature[len(given) :]

        def call(*more: Any) -> None:
            arguments = self._arguments(more, rest)
            # this use of ``given`` keeps its arrays alive
            assert len(given) + len(more) == len(self._signature), self._name
            result, error = ctypes.c_void_p(), ctypes.c_void_p()  # numba's convention; both stay empty
            function(ctypes.addressof(result), ctypes.addressof(error), *first, *arguments)

        return call

    def _arguments(self, given: Sequence[Any], kinds: Sequence[str]) -> list[Any]:
        """Addresses of arrays, and numbers."""
        arguments: list[Any] = []
        for value, name in zip(given, kinds, strict=False):
            if name.endswith("*"):
                assert value.dtype == name[:-1], (self._name, value.dtype, name)
                assert value.flags.c_contiguous, self._name
                arguments.append(value.ctypes.data)
            else:
                arguments.append(value)
        return arguments

    @property
    def is_kept(self) -> bool:
        """Whether an earlier run has compiled it."""
        return self._kept is not None

    @cached_property
    def _function(self) -> Any:
        import llvmlite.binding as llvm

        numbers: dict[str, Any] = {"int64": ctypes.c_int64, "float64": ctypes.c_double}
        kinds = [numbers.get(name, ctypes.c_void_p) for name in self._signature]
        code = self._kept
        if code is None:
            code = self._compile()
            self._keep(code)
        empty = llvm.parse_assembly(f'target triple = "{_processor()[0]}"')
        self._engine = llvm.create_mcjit_compiler(empty, _machine(llvm))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *kinds)(
            self._engine.get_function_address(ENTRY)
        )

    @cached_property
    def _kept(self) -> bytes | None:
        for file in self._files:
            with suppress(OSError):
                kept = file.read_bytes()
                code = kept[64:]
                if kept[:64] == self._digest + hashlib.sha256(code).digest():
                    return code
        return None

    def _keep(self, code: bytes) -> None:
        """Put the machine code into the first folder that is writable."""
        for file in self._files:
            with suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                new = file.with_suffix(f".{os.getpid()}")
                new.write_bytes(self._digest + hashlib.sha256(code).digest() + code)
                new.replace(file)
                return

    @cached_property
    def _digest(self) -> bytes:
        """Of all that the machine code depends on."""
        import llvmlite

        parts = llvmlite.__version__, self._name, repr(self._signature), *_processor()
        source = self._source.read_bytes() + Path(__file__).read_bytes()
        return hashlib.sha256("\n".join(parts).encode() + source).digest()

    @property
    def _files(self) -> Iterator[Path]:
        """Where the machine code for this processor may be kept."""
        processor = hashlib.sha256("\n".join(_processor()).encode()).hexdigest()[:12]
        name = f"{self._source.stem}.{self._name}.{processor}.o"
        if os.environ.get("NUMBA_CACHE_DIR"):
            yield Path(os.environ["NUMBA_CACHE_DIR"], name)
        yield self._source.parent / "__pycache__" / name
        with suppress(RuntimeError):  # there is no home
            yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "objclass", name)


def _processor() -> tuple[str, str, str]:
    """The kind of processor and of machine code, its name, and what it can do."""
    import llvmlite.binding as llvm

    triple = llvm.get_process_triple()
    return (
        f"{triple}-elf" if sys.platform == "win32" else triple,  # as numba: LLVM loads no other code there
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    )


def _machine(llvm: Any) -> Any:
    """The processor at hand, with the options that numba takes."""
    with suppress(RuntimeError):  # newer versions need it no more, and say so
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple, name, features = _processor()
    target = llvm.Target.from_triple(triple)
    relocation = "static" if target.name.startswith("x86") else "default"
    return target.create_target_machine(
        cpu=name, features=features, opt=3, reloc=relocation, codemodel="jitdefault", jit=True
    )
