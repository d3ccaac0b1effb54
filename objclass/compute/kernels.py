"""Kernels: loops that no array operation expresses, in plain functions on flat arrays and numbers.

They run as Python; where there is enough work, the same functions run compiled by numba, so both
agree by construction. Compiling takes seconds, once for an installation: the machine code is kept, and
later processes load it with llvmlite alone in a twentieth of a second, where numba's import and its own
cache would take half a second. If that fails for any reason (no numba, no llvmlite, an option that
switches it off, a damaged file), the formulation without a compiler is used, and a debug message says so.

A kernel takes flat arrays, numbers and named tuples of these, returns nothing and writes into its arrays;
it makes no lists and no arrays, and raises nothing. The functions that it calls are marked with `kernel`,
in whichever module they are, or with `instruction`. The GIL is released while a compiled kernel runs.
"""

import ctypes
import hashlib
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar, get_args, get_origin

import numpy as np

from objclass.compute import processor
from objclass.compute.processor import Processor
from objclass.compute.threads import interruptible

Function = TypeVar("Function", bound=Callable[..., Any])

log = logging.getLogger("objclass")

INNER = ("no_cpython_wrapper", "no_cfunc_wrapper")
"""numba's options for functions that only compiled ones call."""

SYMBOL = "objclass_kernel"
"""Name of a kernel in its machine code."""

PRESENT = {"pow", "sqrt", "fmaf", "memset", "memcpy", "memmove"}
"""Functions of the C library, which is in every process."""

NUMBERS = {int: "int64", float: "float64"}

CACHE_FOLDER = "OBJCLASS_CACHE_DIR"
"""The environment variable that names the only folder for machine code."""


def kernel(function: Function) -> Function:
    """Mark a function as one that kernels may call; the function is returned unchanged."""
    function.__dict__["is_kernel"] = True
    return function


def instruction(build: Callable[[], Any]) -> Callable[[Function], Function]:
    """Mark a function in whose place compiled kernels use an instruction of the processor.

    Parameters
    ----------
    build
        Returns the instruction as an intrinsic of numba's.
    """

    def mark(function: Function) -> Function:
        function.__dict__["instruction"] = build
        return kernel(function)

    return mark


class Kernel:
    """A function on flat arrays and numbers that may run compiled.

    Parameters
    ----------
    entry
        The function. Its parameters are annotated with ``int`` (64 bits), ``float``,
        ``NDArray[np.uint32]`` and the like, or a named tuple of these. Kernels get the address of an
        array: it has one index and no length. ``NDArray[np.int64] | list[int]`` is taken for the array.
    repays_loading, repays_compiling
        The amounts of work (such as pixels) that take about as long as loading compiled code, and as compiling.
    lengths
        Called like the entry; returns the minimum number of elements of each array, by the name of the
        parameter or of the field; checked before each call.
    """

    def __init__(
        self,
        entry: Callable[..., None],
        *,
        repays_loading: int,
        repays_compiling: int,
        lengths: Callable[..., Mapping[str, int]] | None = None,
    ) -> None:
        assert isinstance(entry, FunctionType)
        self.entry, self.lengths = entry, lengths
        self._loading, self._compiling = repays_loading, repays_compiling
        self._lock, self._failed = Lock(), False
        self._compiled: CompiledKernel | None = None

    @property
    def name(self) -> str:
        """Name of the entry."""
        return self.entry.__name__

    def choose(self, work: int) -> "CompiledKernel | None":
        """The compiled function if it is faster, else None.

        Below ``repays_loading`` it is not; from ``repays_compiling`` on it is; in between, where the machine
        code is kept.

        Parameters
        ----------
        work
            The work of the whole run, as far as known, not only of the next call.
        """
        if work < self._loading or self._failed:
            return None
        try:
            return self.compiled if work >= self._compiling or self.is_kept else None
        except Exception as fault:  # noqa: BLE001 (for any error there is another formulation)
            self._failed = True
            log.debug("kernel %s runs uncompiled: %s: %s", self.name, type(fault).__name__, fault)
            return None

    @property
    def is_kept(self) -> bool:
        """Whether machine code exists: in this process, or in a file."""
        return self._compiled is not None or self._kept is not None

    @property
    def compiled(self) -> "CompiledKernel":
        """The compiled function; compile it if necessary.

        Raises
        ------
        Exception
            Any error of numba, llvmlite or the kernel.
        """
        with self._lock:  # one thread compiles
            if self._compiled is None:
                code = self._kept
                if code is None:
                    _say_that_it_compiles()
                    target = processor.present()
                    code = interruptible(partial(machine_code, self.entry, target))  # takes seconds
                    if self._keep(code, target) is None:
                        _warn_not_kept()
                self._compiled = CompiledKernel(self, code)
            return self._compiled

    def compile(self, target: Processor) -> Path | None:
        """Compile it, and return the file of the machine code; None if it cannot be kept anywhere."""
        return self._keep(machine_code(self.entry, target), target)

    def path(self, target: Processor) -> Path | None:
        """The file of the machine code, None if there is no trusted one."""
        return next((file for file in self._files(target) if _trusted_code(file) is not None), None)

    def file_name(self, target: Processor) -> str:
        """Name of the file of the machine code, with a digest of everything that the code depends on."""
        digest = hashlib.sha256("\n".join(dependencies(self.entry, target)).encode())
        return f"{self.name}.{digest.hexdigest()[:32]}.o"

    def _files(self, target: Processor) -> list[Path]:
        name = self.file_name(target)
        return [folder / name for folder in folders()]

    @cached_property
    def _kept(self) -> bytes | None:
        _release("numba")  # where it is missing, llvmlite is not loaded in vain
        return self._code_for(processor.present()) or (
            self._code_for(processor.common()) if processor.runs_portable_code() else None
        )

    def _code_for(self, target: Processor) -> bytes | None:
        return next((code for code in map(_trusted_code, self._files(target)) if code is not None), None)

    def _keep(self, code: bytes, target: Processor) -> Path | None:
        content = hashlib.sha256(code).digest() + code
        for file, mode in zip(self._files(target), folders().values(), strict=True):
            with suppress(OSError):
                file.parent.mkdir(mode, parents=True, exist_ok=True)
                if _is_trusted(file.parent.stat(), file.parent):
                    _write(file, content, mode & 0o666)
                    return file
        return None


class CompiledKernel:
    """A kernel as loaded machine code.

    Parameters
    ----------
    of
        The kernel.
    code
        Its machine code.
    """

    def __init__(self, of: Kernel, code: bytes) -> None:
        self._kernel = of
        parameters = [kind for kind in of.entry.__annotations__.items() if kind[0] != "return"]
        self._parameters = [(name, list(_leaves(name, kind))) for name, kind in parameters]
        self._library, address = _load(code)
        kinds = [_c_type(kind) for _, leaves in self._parameters for _, kind in leaves]
        # numba's convention: two places for results, which stay empty
        self._function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *kinds)(address)

    def __call__(self, *given: Any) -> None:
        """Call it like the entry.

        Raises
        ------
        TypeError
            If an array is of another type than the entry takes, or not C-contiguous.
        ValueError
            If an array is shorter than the kernel needs.
        """
        self.bind(*given)()

    def bind(self, *given: Any) -> Callable[..., None]:
        """The kernel with its first arguments bound, for many calls: checking an array takes a while."""
        first, sizes = self._checked(given, self._parameters)
        rest = self._parameters[len(given) :]

        def call(*more: Any) -> None:
            # this use of ``given`` keeps its arrays alive
            if len(more) != len(rest):
                message = f"{self._kernel.name} takes {len(self._parameters)} arguments"
                raise TypeError(message)
            arguments, more_sizes = self._checked(more, rest)
            self._check_lengths((*given, *more), sizes | more_sizes)
            result, error = ctypes.c_void_p(), ctypes.c_void_p()
            self._function(ctypes.addressof(result), ctypes.addressof(error), *first, *arguments)

        return call

    def _checked(
        self, given: Sequence[Any], parameters: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    ) -> tuple[list[Any], dict[str, int]]:
        """Addresses of arrays, and numbers; and the number of elements of each array, by name."""
        arguments: list[Any] = []
        sizes: dict[str, int] = {}
        for value, (_, leaves) in zip(given, parameters, strict=False):
            values = _flat(value)
            if len(values) != len(leaves):
                message = f"{self._kernel.name}: {len(values)} values for {[name for name, _ in leaves]}"
                raise TypeError(message)
            for one, (name, kind) in zip(values, leaves, strict=True):
                if kind.endswith("*"):
                    self._check_array(one, name, kind[:-1])
                    sizes[name] = one.size
                    arguments.append(one.ctypes.data)
                else:
                    arguments.append(one)
        return arguments, sizes

    def _check_array(self, array: Any, name: str, dtype: str) -> None:
        if not (isinstance(array, np.ndarray) and array.dtype == dtype and array.flags.c_contiguous):
            message = (
                f"{self._kernel.name}: {name} is {getattr(array, 'dtype', type(array))}, strides "
                f"{getattr(array, 'strides', None)}: expected a contiguous array of {dtype}"
            )
            raise TypeError(message)

    def _check_lengths(self, given: Sequence[Any], sizes: Mapping[str, int]) -> None:
        if self._kernel.lengths is None:
            return
        for name, minimum in self._kernel.lengths(*given).items():
            if sizes[name] < minimum:
                message = (
                    f"{self._kernel.name}: {name} has {sizes[name]} elements: expected {minimum} or more"
                )
                raise ValueError(message)


# ---------------------------------------------------------------------------- arguments


def _leaves(name: str, annotation: Any) -> Iterator[tuple[str, str]]:
    """The arrays and numbers that a parameter consists of: name and kind, ``"int64"`` or ``"uint8*"``."""
    if annotation in NUMBERS:
        yield name, NUMBERS[annotation]
    elif hasattr(annotation, "_fields"):
        for field, kind in annotation.__annotations__.items():
            yield from _leaves(field, kind)
    else:
        yield name, f"{_dtype(annotation)}*"


def _dtype(annotation: Any) -> np.dtype[Any]:
    """The dtype of ``NDArray[...]``, also in ``NDArray[...] | list[...]``."""
    for option in (annotation, *get_args(annotation)):
        if get_origin(option) is np.ndarray:
            return np.dtype(get_args(get_args(option)[1])[0])
    message = f"{annotation}: kernels take int, float, arrays and named tuples of these"
    raise TypeError(message)


def _flat(value: Any) -> list[Any]:
    """The arrays and numbers in (nested) tuples."""
    return [leaf for part in value for leaf in _flat(part)] if isinstance(value, tuple) else [value]


def _c_type(kind: str) -> Any:
    return {"int64": ctypes.c_int64, "float64": ctypes.c_double}.get(kind, ctypes.c_void_p)


def _numba_type(annotation: Any) -> Any:
    """A parameter as a type of numba's."""
    import numba

    types: Any = numba.types  # untyped
    if hasattr(annotation, "_fields"):
        return types.NamedTuple(
            [_numba_type(kind) for kind in annotation.__annotations__.values()], annotation
        )
    ((_, kind),) = _leaves("", annotation)
    scalar = getattr(types, kind.removesuffix("*"))
    return types.CPointer(scalar) if kind.endswith("*") else scalar


# ---------------------------------------------------------------------------- dependencies of a kernel


def _used(function: FunctionType) -> dict[str, Any]:
    """Names of its module that a function may use (attributes of the same name, too)."""
    names = function.__globals__
    return {name: names[name] for name in function.__code__.co_names if name in names}


def functions_of(entry: FunctionType) -> list[FunctionType]:
    """A kernel's functions, each after those that it calls."""
    ordered: dict[FunctionType, None] = {}
    for value in _used(entry).values():
        if getattr(value, "is_kernel", False) and value is not entry:
            ordered |= dict.fromkeys(functions_of(value))
    return [*ordered, entry]


def _instruction(function: FunctionType) -> FunctionType | None:
    """What builds the instruction that stands for a function, if there is one."""
    return getattr(function, "instruction", None)


def dependencies(entry: FunctionType, target: Processor) -> Iterator[str]:
    """All that the machine code depends on, as text."""
    yield from (_release("numba"), _release("llvmlite"), *target)
    for function in (machine_code, _target_machine, _numba_type):
        yield _code_text(function.__code__)
    for name, annotation in entry.__annotations__.items():
        yield f"{name} {annotation}" if name == "return" else repr(list(_leaves(name, annotation)))
    for function in functions_of(entry):
        yield _code_text(function.__code__)
        if build := _instruction(function):
            yield _code_text(build.__code__)
        for name, value in _used(function).items():
            yield f"{name} {_value_text(function, value)}"


def _release(package: str) -> str:
    """The version of a package that is not imported: `importlib.metadata` would take longer than everything else."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        message = f"there is no {package}"
        raise ImportError(message)
    return Path(spec.origin).with_name("_version.py").read_text(encoding="utf-8")


def _code_text(code: CodeType) -> str:
    constants = [_code_text(c) if isinstance(c, CodeType) else c for c in code.co_consts]
    return repr((code.co_name, code.co_code, constants, code.co_names, code.co_varnames, code.co_argcount))


def _value_text(function: FunctionType, value: Any) -> str:
    """A constant as text; an empty text for values that kernels cannot use."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {value.tobytes().hex()}"
    if isinstance(value, ModuleType) and value not in (math, np):
        message = f"kernel {function.__name__} uses the module {value.__name__}: import what it uses by name"
        raise TypeError(message)
    if hasattr(value, "_fields"):
        return repr(value._fields)
    return repr(value) if isinstance(value, bool | int | float | str | tuple) else ""


# ---------------------------------------------------------------------------- machine code


def machine_code(entry: FunctionType, target: Processor) -> bytes:
    """Compile a kernel for a processor."""
    import llvmlite.binding as llvm
    import numba

    jit: Any = numba.njit  # its type stubs lack some options
    options = {"nogil": True, "error_model": "numpy", **dict.fromkeys(INNER, True)}
    kinds = [_numba_type(kind) for name, kind in entry.__annotations__.items() if name != "return"]
    copies: dict[FunctionType, Any] = {}
    for function in functions_of(entry):
        if build := _instruction(function):
            copies[function] = build()
            continue
        # copies that find compiled functions under the names that they call
        names = {
            n: copies[f] for n, f in _used(function).items() if isinstance(f, FunctionType) and f in copies
        }
        copy = FunctionType(function.__code__, function.__globals__ | names, function.__name__)
        arguments = [numba.types.void(*kinds)] if function is entry else []
        copies[function] = jit(*arguments, **options)(copy)
    compiled = copies[entry]
    (signature,) = compiled.signatures
    module = llvm.parse_assembly(compiled.inspect_llvm(signature))
    named = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")}
    if named - PRESENT:
        message = f"kernel {entry.__name__} makes objects or raises: {named - PRESENT}"
        raise TypeError(message)
    module.get_function(compiled.overloads[signature].fndesc.llvm_func_name).name = SYMBOL
    return _target_machine(target).emit_object(module)


def _load(code: bytes) -> tuple[Any, int]:
    """Load machine code; return the object that must live as long as it is used, and its address."""
    import llvmlite.binding as llvm

    jit = llvm.create_lljit_compiler(_target_machine(processor.present()))
    library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(SYMBOL)
    tracker = library.link(jit, SYMBOL)
    return (jit, tracker), tracker[SYMBOL]


def _target_machine(of: Processor) -> Any:
    """A processor, with numba's options."""
    import llvmlite.binding as llvm

    with suppress(RuntimeError):  # newer versions do not need it, and warn
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(of.triple)
    relocation = "static" if target.name.startswith("x86") else "default"
    return target.create_target_machine(
        cpu=of.name, features=of.features, opt=3, reloc=relocation, codemodel="jitdefault", jit=True
    )


# ---------------------------------------------------------------------------- files


def folders() -> dict[Path, int]:
    """Folders for machine code, the first choice first, and their mode.

    Next to the package, for all its users (such as in a container image), else in the user's own cache.
    """
    if named := os.environ.get(CACHE_FOLDER):
        return {Path(named): 0o755}
    found = {_beside(): 0o755}
    with suppress(RuntimeError):  # there is no home folder
        found[Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "objclass")] = 0o700
    return found


def _beside() -> Path:
    """The folder next to the package."""
    return Path(__file__).parent / "__pycache__"


def _trusted_owners(folder: Path) -> set[int]:
    """Users whose machine code is run unchecked: this one and root; next to the package its owner, whose Python runs anyway.

    On a cluster that is whoever installs programs there; in a container of Apptainer it may be root under another number.
    """
    owners = {0, os.geteuid()}
    return owners | {os.stat(__file__).st_uid} if folder == _beside() else owners


def _is_trusted(status: os.stat_result, folder: Path) -> bool:
    """Whether a folder or a file in it belongs to a trusted user, and no other can write it."""
    if not hasattr(os, "geteuid"):  # Windows: both folders are protected by their owners
        return True
    return status.st_uid in _trusted_owners(folder) and not status.st_mode & 0o022


def _trusted_code(file: Path) -> bytes | None:
    """The machine code in a file, None if there is none, it is damaged, or other users could have written it."""
    folder = file.parent
    with suppress(OSError):
        if _is_trusted(folder.stat(), folder):
            with file.open("rb") as opened:
                content = opened.read() if _is_trusted(os.fstat(opened.fileno()), folder) else b""
            if content[:32] == hashlib.sha256(content[32:]).digest():
                return content[32:]
    return None


def _write(file: Path, content: bytes, mode: int) -> None:
    """Write a file completely or not at all."""
    import tempfile

    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}.")
    try:
        with open(handle, "wb") as opened:
            opened.write(content)
        os.chmod(temporary, mode)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise


@cache
def _say_that_it_compiles() -> None:
    """Say, once in a process, what a first run spends seconds on."""
    log.info(
        "compiling code for this installation, once: some seconds (objclass compile does all of it ahead)"
    )


@cache
def _warn_not_kept() -> None:
    """Warn, once in a process, that machine code could not be kept."""
    log.warning(
        "compiled code could not be kept in %s: every run compiles it again, which takes seconds; set %s to a "
        "folder that only you can write",
        ", ".join(map(str, folders())),
        CACHE_FOLDER,
    )
