"""One run that a framework has told of: what is known of it while it is open."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from threading import get_ident
from time import perf_counter, time_ns
from types import FrameType
from typing import Any

from opentelemetry import context as otel
from opentelemetry.context import Context

from otel_genai import _context, _shared
from otel_genai._nesting import Asked
from otel_genai.spec import Request, Run


class Open:
    """A run that has begun: its call, if it has one, and the context of what runs within."""

    __slots__ = (
        "__weakref__", "above", "below", "call", "context", "group", "is_asked", "is_quiet", "is_step",
        "keeper", "note", "place", "request", "scope", "sdk", "shared", "started", "task", "times",
    )  # fmt: skip

    def __init__(self, run: Run, above: Open | None, context: Context, place: tuple[int, Any]) -> None:
        """Begin within another one, if that is known, and in a context."""
        scope = _context.current(context)
        self.note = run.note
        self.sdk = run.sdk
        self.above = above
        self.context = context
        self.scope = scope
        self.place = place
        """The frame that called: it may begin several runs, one beside the other."""
        self.is_quiet = (scope is not None and scope.suppressed) or _context.suppressed(context)
        if above is not None and above.is_quiet:
            self.is_quiet = True
        self.call: Any = None
        self.shared: _shared.Shared | None = None
        self.request: Request | None = None
        self.group: Group | None = None
        self.is_asked = False
        self.is_step = False
        """Whether a generator's body goes on from here: what it yields must not find this context."""
        self.keeper: weakref.ref[Any] | None = None
        self.task: tuple[int, weakref.ref[Any] | None] = (0, None)
        """The thread, and the task if there is one, that have begun it."""
        self.below: set[Any] = set()
        """The runs within whose end may not be told."""
        self.started = perf_counter(), time_ns()
        self.times: list[float] = []

    def enter(self, context: Context) -> None:
        """Have what runs from now on be within."""
        self.shared = _shared.Shared(otel.get_current(), context, self)
        self.shared.enter()

    def leave(self) -> None:
        """Have nothing more be within."""
        if self.shared is not None:
            self.shared.end()

    def watch(self, run: Any, keeper: Any, lost: Callable[[Any], None]) -> None:
        """Learn of its end by its keeper's, if nobody tells of it."""
        task = _task()
        self.watched(run)
        self.keeper = weakref.ref(keeper, lost)
        self.task = get_ident(), None if task is None else weakref.ref(task)

    def is_over(self) -> bool:
        """Whether what has begun it does not go on, as far as that can be seen from here."""
        thread, known = self.task
        if self.keeper is None:
            return False
        if known is None:
            if thread != get_ident() or _task() is not None:
                return False
        elif (task := known()) is None or task.done():
            return True
        elif task is not _task():
            return False
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and (id(frame), frame.f_code) != self.place:
            frame = frame.f_back
        return frame is None

    def watched(self, run: Any, *, ends: bool = False) -> None:
        """Have the next run around that has a span know of this one, whose end may not be told."""
        above = self.above
        while above is not None and above.call is None:
            above = above.above
        if above is not None:
            above.below.discard(run) if ends else above.below.add(run)

    def stop(self) -> None:
        """End with the program."""
        self.call.abandoned()

    def forget(self) -> None:
        """Leave it to the process that began it."""
        self.call.forget()


class Group:
    """Models that are asked together: whichever call comes first answers the first of them."""

    def __init__(self, size: int, around: Asked | None) -> None:
        """Begin within what has been asked before, if that is still waited for."""
        self.size = size
        self.members: list[Open] = []
        self._around = around

    def close(self) -> None:
        """Wait no more: all have been asked when the first of them has ended."""
        for member in self.members:
            member.leave()
            if member.scope is not None and member.scope.asked is self:
                member.scope.asked = None
                member.scope.close()

    def claim(self) -> None:
        """Take note that a model is asked: it is what a model of models has asked, too."""
        for member in self.members:
            if not member.is_asked:
                member.is_asked = True
                break
        self.told()

    def told(self) -> None:
        """Take note that one of the models is told of by itself."""
        if self._around is not None:
            self._around.claim()


def _task() -> Any:
    """Give the task that runs, if one does: a program without tasks need not import what has them."""
    asyncio: Any = sys.modules.get("asyncio")
    try:
        return asyncio and asyncio.current_task()
    except RuntimeError:
        return None
