"""Content that is too long: what matters most stays, and what was cut is said in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

_NOTE = 64
"""Bytes that a note on what was left out takes at most, with its quotes and commas."""
_SHORT = 48
"""Bytes that a text has at least: less of it says nothing."""


def fitted(written: dict[str, Any], budget: int, most: int) -> dict[str, Any]:
    """Bring several values together under a number of bytes of JSON: the short ones stay whole.

    Args:
        written: the values by their attributes, of plain data.
        budget: bytes for all of them.
        most: bytes for each of them.
    """
    sizes = {key: size(value) for key, value in written.items()}
    share = min(_level(list(sizes.values()), budget), most)
    return {key: value if sizes[key] <= share else shrunk(value, share) for key, value in written.items()}


def size(value: Any) -> int:
    """Give the bytes that a value takes as JSON; a text that stands alone has no quotes."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _level(sizes: list[int], budget: int) -> int:
    """Say how much each may take at most so that all together take no more than the budget."""
    left, many = budget, len(sizes)
    for one in sorted(sizes):
        if one * many > left:
            return max(0, left // many)
        left, many = left - one, many - 1
    return max(sizes, default=0)


def shrunk(value: Any, budget: int) -> Any:
    """Bring one value under a number of bytes of JSON: a conversation by its turns, the rest by its texts."""
    how = text if isinstance(value, str) else _list if isinstance(value, list) else _texts
    for room in (budget, budget * 3 // 4, budget // 2):  # what JSON adds is only known when it is there
        short = how(value, room)
        if size(short) <= budget:
            return short
    return _note(None, 1, size(value))


def text(value: str, budget: int) -> str:
    """Keep the head and the tail of a text, and say how much is gone."""
    known = value.encode(errors="replace")
    if len(known) <= budget:
        return value
    note = f"[... {len(known)} bytes, cut ...]"
    room = max(0, budget - len(note))
    head, tail = known[: room - room // 3], known[len(known) - room // 3 :]
    return f"{head.decode(errors='ignore')}{note}{tail.decode(errors='ignore')}"


def _list(items: list[Any], budget: int) -> list[Any]:
    """Keep what matters of a list, each item at most half of what there is; notes stand where others were."""
    sizes = [size(item) + 2 for item in items]
    kept: dict[int, Any] = {}
    left = budget - 2 - _NOTE
    for index in _by_weight(items):
        most = left if len(items) == 1 else max(left // 2, _SHORT)
        item = items[index] if sizes[index] <= most else _texts(items[index], most)
        taken = sizes[index] if sizes[index] <= most else size(item) + 2
        if taken <= left - (_NOTE if kept else 0):
            kept[index] = item
            left -= taken
        if left < max(_NOTE + _SHORT, budget // 16):
            break
    return list(_with_notes(items, sizes, kept))


def _by_weight(items: list[Any]) -> Iterator[int]:
    """Go through a list in the order of what matters: the last turn, instructions, tools, then backwards."""
    last = len(items) - 1
    first = [last, *(index for index in range(last) if _is_instruction(items[index]))]
    tools = [index for index in range(last - 1, -1, -1) if _asks_for_tools(items[index])]
    seen: set[int] = set()
    for index in (*first, *tools[:4], *range(last, -1, -1)):
        if index not in seen:
            seen.add(index)
            yield index


def _is_instruction(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") in ("system", "developer")


def _asks_for_tools(turn: Any) -> bool:
    parts = turn.get("parts") if isinstance(turn, dict) else None
    return isinstance(parts, list) and any(
        isinstance(part, dict) and part.get("type") == "tool_call" for part in parts
    )


def _with_notes(items: list[Any], sizes: list[int], kept: dict[int, Any]) -> Iterator[Any]:
    """Give what was kept in its order, and one note for each run of what was not."""
    gone = lost = 0
    for index in range(len(items) + 1):
        if index < len(items) and index not in kept:
            gone, lost = gone + 1, lost + sizes[index]
            continue
        if gone:
            yield _note(items[0], gone, lost)
            gone = lost = 0
        if index < len(items):
            yield kept[index]


def _note(like: Any, gone: int, lost: int) -> Any:
    """Say what was left out, in the shape of what stands around it."""
    said = {"type": "cut", "items": gone, "bytes": lost}
    return {"role": "cut", "parts": [said]} if isinstance(like, dict) and "parts" in like else said


def _texts(value: Any, budget: int) -> Any:
    """Shorten the longest texts in a value until it fits; what has no texts is described."""
    lengths: list[int] = []

    def measured(found: str) -> str:
        lengths.append(size(found))
        return found

    _each(value, measured)
    fixed = size(value) - sum(lengths)
    cap = _level(lengths, max(0, budget - fixed - 8))
    if lengths and cap >= _SHORT:
        short = _each(value, lambda found: text(found, cap))
        if size(short) <= budget:
            return short
        # Quotes and line ends take more room in JSON than in the text: once more, by as much less.
        cap = cap * budget // (size(short) + 1)
        short = _each(value, lambda found: text(found, cap))
        if size(short) <= budget:
            return short
    said = {"type": "cut", "items": 1, "bytes": size(value)}
    return {**_head(value), "parts": [said]} if isinstance(value, dict) and "parts" in value else said


def _head(turn: dict[str, Any]) -> dict[str, Any]:
    return {"role": text(str(turn.get("role")), _SHORT)}


def _each(value: Any, change: Callable[[str], Any]) -> Any:
    """Change every text in a value, but for keys and the names of roles and types."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {
            key: item if key in ("role", "type") and len(str(item)) <= _SHORT else _each(item, change)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_each(item, change) for item in value]
    return value
