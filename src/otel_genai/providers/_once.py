"""What a caller may give as an iterator that can be read once: it is read before, and listed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any


def held(value: Any) -> Any:
    """List what can be read only once, at the top and in the content of each turn."""
    if hasattr(type(value), "__next__"):
        value = _listed(value)
    odd = (
        [turn for turn in value if type(turn) is not dict or type(turn.get("content")) is not str]
        if isinstance(value, list)
        else ()
    )
    if any(map(_is_one_shot, odd)):
        return [
            {**turn, "content": _listed(turn["content"])} if _is_one_shot(turn) else turn for turn in value
        ]
    return value


def _listed(items: Any) -> Any:
    """List what can be read only once; where that fails, it will fail again for the SDK."""
    read: list[Any] = []
    try:
        read.extend(items)
    except Exception as error:  # noqa: BLE001 (the caller's own)
        return itertools.chain(read, _failing(error))
    return read


def _failing(error: Exception) -> Iterator[Any]:
    raise error
    yield


def _is_one_shot(turn: Any) -> bool:
    return isinstance(turn, dict) and hasattr(type(turn.get("content")), "__next__")
