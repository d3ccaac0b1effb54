"""Columns as bytes: numbers as they are, text as JSON."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(values: NDArray[Any]) -> tuple[str, bytes]:
    """Type and bytes of a column; the type of text has the largest length in UTF-8."""
    if values.dtype.kind not in "OU":
        return values.dtype.str, values.tobytes()
    texts = [str(value) for value in values.tolist()]
    longest = max((len(text.encode()) for text in texts), default=0)
    return f"S{max(longest, 1)}", json.dumps(texts).encode()


def unpacked(kind: str, data: memoryview) -> NDArray[Any]:
    """The column of a type and bytes."""
    is_text = np.dtype(kind).kind == "S"
    return np.array(json.loads(bytes(data)), dtype=object) if is_text else np.frombuffer(data, kind)
