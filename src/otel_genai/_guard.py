"""The guard around what is ours to do: its failure stays here, and it waits for no lock at a bad moment.

Python may collect garbage while it holds the locks of OpenTelemetry's SDK, and what is collected may be a
stream that was dropped: what ends then is told a moment later by another thread. What is still open when the
program ends is told just before the SDK is shut down.
"""

from __future__ import annotations

import atexit
import functools
import gc
import os
import weakref
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Iterator
from threading import Lock, get_ident
from typing import Any, Protocol

Fail = Callable[[Exception], None]

_collecting = 0
"""The thread that is collecting garbage."""
_late: deque[tuple[Fail, Callable[..., Any], tuple[Any, ...]]] = deque()
_busy = Lock()
"""Held by whoever does what is late."""


def guarded(fail: Fail, what: Callable[..., Any], *args: Any) -> None:
    """Do what is ours; if it fails, `fail` is told, and nobody else."""
    if _collecting != get_ident():
        _do(fail, what, args)
        return
    _late.append((fail, what, args))
    if _busy.acquire(blocking=False):
        try:
            start_new_thread(_catch_up, ())
        except RuntimeError:  # Python starts no thread when it is about to end
            _busy.release()


def is_late() -> bool:
    """Whether this thread is collecting garbage: what is `guarded` now happens a moment later, elsewhere."""
    return _collecting == get_ident()


def settle(timeout: float = 10.0) -> None:
    """Do what is late, now.

    Args:
        timeout: seconds to wait at most for another thread that is doing it.
    """
    while _late or _busy.locked():
        if not _busy.acquire(timeout=timeout):
            return
        _catch_up()


def _catch_up() -> None:
    has_more = True
    while has_more:
        try:
            while _late:
                _do(*_late.popleft())
        finally:
            _busy.release()
        has_more = bool(_late) and _busy.acquire(blocking=False)  # one may have come in between


def _do(fail: Fail, what: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        what(*args)
    except Exception as error:  # noqa: BLE001 (the guard)
        fail(error)


class Stoppable(Protocol):
    """What may be left when the program ends: a stream, or a body that is read by hand."""

    call: Any

    def stop(self) -> None:
        """End the call."""

    def forget(self) -> None:
        """Leave the call to the process that began it."""


class Forgetful(Protocol):
    """What a forked process must not tell, as its parent will."""

    def forget(self) -> None:
        """Begin again."""


_open: dict[int, weakref.ref[Stoppable]] = {}
_counting: weakref.WeakSet[Forgetful] = weakref.WeakSet()


def forked(thing: Forgetful) -> None:
    """Have a thing forget, in a process that is forked later."""
    _counting.add(thing)


def keep(call: object, stream: Stoppable) -> None:
    """Have an open call end with the program at the latest."""
    _prepare()
    _open[id(call)] = weakref.ref(stream)


def drop(call: object) -> None:
    """Take note that a call has ended."""
    _open.pop(id(call), None)


@functools.cache
def _prepare() -> None:
    """Ask to be told of the program's end, after the SDK has: the last to ask is the first to be told."""
    atexit.register(_stop_all)


def _stop_all() -> None:
    settle()
    for stream in _still_open():
        stream.call.safely(stream.stop)


def _forget_all() -> None:
    """After a fork, what was open, late or counted is the parent's."""
    global _busy  # noqa: PLW0603 (whoever held it is not in this process)
    _busy = Lock()
    _late.clear()
    for thing in [*_still_open(), *_counting]:
        thing.forget()


def _still_open() -> Iterator[Stoppable]:
    while _open:
        stream = _open.popitem()[1]()
        if stream is not None:
            yield stream


def _collects(phase: str, _: dict[str, int]) -> None:
    global _collecting  # noqa: PLW0603 (there is one collector)
    _collecting = get_ident() if phase == "start" else 0


@functools.cache
def watch() -> None:
    """Know from now on when garbage is collected, and when the process is forked."""
    gc.callbacks.append(_collects)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_all)
