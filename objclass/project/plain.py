"""Read a pickle of plain values without unpickling: nothing in it can run.

ilastik stores the settings of the table as a pickle. Its opcodes are walked with `pickletools`; those
that build containers, text, numbers, bool and None are followed, any other is refused.
"""

import pickletools
from typing import Any

from objclass.errors import ProjectError

_MARK = object()

_LITERALS = {
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "INT", "BININT", "BININT1",
    "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


def read_plain(data: bytes) -> Any:
    """The value of a pickle that contains only plain values.

    Raises
    ------
    ProjectError
        If it contains anything else, or is damaged.

    Examples
    --------
    >>> import pickle
    >>> read_plain(pickle.dumps(({"a": [1, 2.5]}, ["b", None]), protocol=0))
    ({'a': [1, 2.5]}, ['b', None])
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return stack.pop()
            _step(opcode.name, argument, stack, memo)
    except ProjectError:
        raise
    except Exception as fault:  # noqa: BLE001 (damage can raise any error)
        message = f"damaged pickle ({fault})"
        raise ProjectError(message) from None
    message = "pickle without end"
    raise ProjectError(message)


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:  # noqa: C901, PLR0912 (a table of opcodes)
    if name in ("PROTO", "FRAME"):
        return
    if name in _LITERALS:
        stack.append(argument)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name == "MARK":
        stack.append(_MARK)
    elif name in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE"):
        stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}[name]())
    elif name in ("LIST", "TUPLE"):
        stack.append((list if name == "LIST" else tuple)(_since_mark(stack)))
    elif name == "DICT":
        stack.append(_pairs(_since_mark(stack)))
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        count = int(name[-1])
        stack[-count:] = [tuple(stack[-count:])]
    elif name == "APPEND":
        item = stack.pop()
        stack[-1].append(item)
    elif name == "APPENDS":
        items = _since_mark(stack)
        stack[-1].extend(items)
    elif name == "SETITEM":
        pair = stack[-2:]
        del stack[-2:]
        stack[-1].update(_pairs(pair))
    elif name == "SETITEMS":
        pairs = _pairs(_since_mark(stack))
        stack[-1].update(pairs)
    elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    else:
        message = f"pickle with other than plain values ({name})"
        raise ProjectError(message)


def _since_mark(stack: list[Any]) -> list[Any]:
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """Pairs of keys and values; keys must not be tuples: hashing nested ones can take forever."""
    if any(isinstance(key, tuple) for key in items[::2]):
        message = "pickle with a tuple as key"
        raise ProjectError(message)
    return dict(zip(items[::2], items[1::2], strict=True))
