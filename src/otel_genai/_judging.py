"""Judges at work: in a thread of their own, on a share of the traces, within a budget.

A call does no more than hand over what it has read. Where more waits than may, or a judge has had its
minute's judgements, answers are left out and counted.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import inspect
import logging
import weakref
from _thread import start_new_thread
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Lock, get_ident
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel
from opentelemetry.trace import NonRecordingSpan, SpanContext

from otel_genai import _context, _guard
from otel_genai import semconv as s
from otel_genai._evaluation import Evaluation, Target, number
from otel_genai._gate import is_sampled
from otel_genai.judges import Answer, Judge, Verdict, name_of

if TYPE_CHECKING:
    from otel_genai._call import Call
    from otel_genai._telemetry import Telemetry
    from otel_genai.settings import Capture

logger = logging.getLogger(__name__)

WAITING = 100
"""Answers that wait to be judged at most."""
TRACES = 100
"""Traces whose documents are kept at most."""
DOCUMENTS = 100
"""Documents of a trace that are kept at most."""
LINGER = 1.0
"""Seconds that the thread waits for another answer before it ends."""
MINUTE = 60.0
LAST = 5.0
"""Seconds that the program's end waits for judges at most."""


@dataclass(slots=True)
class _Ended:
    """An inference that waits to be judged."""

    span: SpanContext
    found: Mapping[str, Any]
    written: Mapping[str, Any]
    documents: tuple[Any, ...]
    capture: Capture | None


class Judging:
    """The judges that the settings ask for."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Start nothing yet."""
        settings = telemetry.settings
        self._telemetry = telemetry
        self._judges: tuple[Judge, ...] = settings.judges
        self._share = settings.judge_sample
        self._budget = settings.judge_budget
        self._has_readers = any(getattr(judge, "wants_documents", True) for judge in self._judges)
        self._said: set[str] = set()
        self.forget()
        _guard.forked(self)
        _live.add(self)

    def forget(self) -> None:
        """Begin anew, in a process that was forked: what waits is the parent's to judge."""
        self._queue: SimpleQueue[_Ended | Event] = SimpleQueue()
        self._busy, self._keeping = Lock(), Lock()
        self._worker = 0
        self._documents: dict[int, tuple[Any, ...]] = {}
        self._spent: dict[str, tuple[float, int]] = {}

    def wants(self, call: Call) -> bool:
        """Whether a call's content is to be read for the judges: it is not recorded for that."""
        operation = call.bound.operation.name
        if operation not in s.INFERENCE and not (operation == s.RETRIEVAL and self._has_readers):
            return False
        if s.JUDGE in call.attributes:
            return False
        if call.outer is not None:  # what is read within must not be recorded outside where it may not be
            outer, places = call.outer, (call.on_span, call.on_event, call.on_hook)
            return outer.judged and places == (outer.on_span, outer.on_event, outer.on_hook)
        return is_sampled(call.span.get_span_context().trace_id, self._share)

    def take(self, call: Call, found: Mapping[str, Any]) -> None:
        """Take an answer in; documents are kept for the answers after them."""
        span = call.span.get_span_context()
        if call.bound.operation.name == s.RETRIEVAL:
            self._keep(span.trace_id, call.written.get(s.RETRIEVAL_DOCUMENTS))
        elif s.OUTCOME not in found and s.OUTPUT_MESSAGES in call.written:
            if self._queue.qsize() >= WAITING:
                for judge in self._judges:
                    self._drop(name_of(judge), "queue")
                return
            documents = self._documents.get(span.trace_id, ())
            self._queue.put(_Ended(span, found, dict(call.written), documents, call.scope.capture))
            _prepare()
            self._wake()

    def _keep(self, trace_id: int, documents: Any) -> None:
        if not isinstance(documents, list):
            return
        with self._keeping:
            known = self._documents.pop(trace_id, ())
            self._documents[trace_id] = (*known, *documents)[:DOCUMENTS]
            while len(self._documents) > TRACES:
                del self._documents[next(iter(self._documents))]

    def _drop(self, name: str, why: str) -> None:
        self._telemetry.tally(s.JUDGEMENTS_DROPPED).add(1, ((s.EVALUATION_NAME, name), (s.ERROR_TYPE, why)))

    def _wake(self) -> None:
        """Have the thread at work, if it is not."""
        if self._busy.acquire(blocking=False):
            try:
                start_new_thread(self._work, (self._queue, self._busy))
            except RuntimeError:  # Python starts no thread when it is about to end: `settle` does it
                self._busy.release()

    def _work(self, queue: SimpleQueue[_Ended | Event], busy: Lock, linger: float = LINGER) -> None:
        """Judge what waits, and a moment longer."""
        self._worker = get_ident()
        try:
            while True:
                item = queue.get(timeout=linger)
                if isinstance(item, Event):
                    item.set()
                else:
                    _guard.guarded(self._failed, self._judge, item)
        except Empty:
            pass
        finally:
            self._worker = 0
            busy.release()
        if not queue.empty() and queue is self._queue:
            self._wake()  # one came in between

    def _judge(self, ended: _Ended) -> None:
        """Have every judge say what it thinks of one answer."""
        written = ended.written
        answer = Answer(
            attributes=MappingProxyType({**ended.found}),
            instructions=written.get(s.SYSTEM_INSTRUCTIONS, ()),
            input=written.get(s.INPUT_MESSAGES, ()),
            output=written.get(s.OUTPUT_MESSAGES, ()),
            documents=ended.documents,
        )
        for judge in self._judges:
            name = name_of(judge)
            if self._may(name):
                self._ask(judge, name, answer, ended)
            else:
                self._drop(name, "budget")

    def _may(self, name: str) -> bool:
        """Whether a judge has judgements left in this minute."""
        now = monotonic()
        began, spent = self._spent.get(name, (now, 0))
        if now - began >= MINUTE:
            began, spent = now, 0
        self._spent[name] = (began, spent + 1)
        return spent < self._budget

    def _ask(self, judge: Judge, name: str, answer: Answer, ended: _Ended) -> None:
        """Have one judge say it, in a span below the answer's; whoever says nothing leaves no trace."""
        evaluation = Evaluation(self._telemetry, name, Target(NonRecordingSpan(ended.span), ended.found))
        further = self._telemetry.settings.metric_dimensions
        said = {key: ended.found[key] for key in further if key in ended.found}
        token = otel.attach(evaluation.context)
        try:
            with _context._ScopeBlock({s.JUDGE: name}, capture=ended.capture):
                try:
                    verdict = _verdict(judge(answer))
                except BaseException as error:  # noqa: BLE001 (a judge may be anybody's)
                    self._complain(name, error)
                    evaluation.done(error=error, further=said)
                else:
                    if verdict is not None:
                        evaluation.done(verdict.score, verdict.label, verdict.explanation, further=said)
        finally:
            otel.detach(token)

    def _complain(self, name: str, error: BaseException) -> None:
        """Say once that a judge failed; what it says itself may be content."""
        if name not in self._said:
            self._said.add(name)
            kind = type(error).__qualname__
            logger.warning("the judge %s failed (%s); its failures are counted in %s", name, kind, _COUNTED)

    def _failed(self, error: Exception) -> None:
        self._telemetry.failed("judges", s.EVALUATE, error)

    def settle(self, timeout: float) -> None:
        """Have what waits now judged."""
        if self._worker == get_ident() or (self._queue.empty() and not self._busy.locked()):
            return
        done = Event()
        self._queue.put(done)
        self._wake()
        if not self._busy.locked() and self._busy.acquire(blocking=False):
            self._work(self._queue, self._busy, 0)  # no thread starts any more
        done.wait(timeout)


_COUNTED = s.EVALUATIONS.name
_live: weakref.WeakSet[Judging] = weakref.WeakSet()


def _verdict(said: Any) -> Verdict | None:
    """Read what a judge gives; an awaitable is awaited here, where nobody waits for it."""
    if inspect.isawaitable(said):
        said = asyncio.run(_awaited(said))
    if isinstance(said, Verdict):
        return Verdict(number(said.score), said.label, said.explanation)
    return said if said is None else Verdict(label=said) if isinstance(said, str) else Verdict(number(said))


async def _awaited(said: Any) -> Any:
    return await said


@functools.cache
def _prepare() -> None:
    """Ask to be told of the program's end before the SDK is: what waits is judged, for a while."""
    atexit.register(settle, LAST)


def settle(timeout: float = 10.0) -> None:
    """Have what waits judged, now.

    Args:
        timeout: seconds to wait at most.
    """
    end = monotonic() + timeout
    for judging in list(_live):
        _guard.guarded(judging._failed, judging.settle, max(0.0, end - monotonic()))
