"""The vocabulary a provider is written in: what its calls are, where they pass, how to read them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from otel_genai.content import Message, Part
from otel_genai.semconv import Metric, Signals

Attributes = dict[str, Any]
"""Attribute -> value; a None is dropped by the engine: unknown stays unknown."""
Body = Mapping[str, Any]
Row = str | tuple[str, Callable[[Any], Any]]


class Fold(Protocol):
    """Adds a stream's events up to something that the operation's readers can read."""

    def __init__(self, *, content: bool) -> None:
        """Start empty; `content` says whether the text itself will be wanted."""

    def add(self, event: Any) -> bool:
        """Take one event in; True if it carried output."""

    @property
    def answer(self) -> Any:
        """What has been received so far."""

    # `complete: bool` may say whether the stream's own last event has come; a fold without it is believed.


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One kind of call: its name, its request as a table, and pure functions that read the rest.

    Each function is a group of its own: what a body does not give is absent, the other groups stay.

    Args:
        name: value of `gen_ai.operation.name`.
        request: key of the request's body -> attribute, or (attribute, conversion).
        constants: attributes that every call of this kind has.
        derived: request attributes that a table cannot say, from the body.
        response: readers of the answer, one per group of attributes.
        instructions, inputs, tools: content of the request, from the body.
        outputs: content of the answer.
        contents: further content of the request: attribute -> reader of the body; of a prompt's variables, it
            gives their values by name.
        results: further content of the answer: attribute -> reader of it.
        fold: adds a stream's events up to an answer.
        asks: what to add to the body of a stream's request to be told its usage; None where that was said.
        is_usage: whether an event is there for that alone.
        fault: the error code of an answer that is itself a failure, or None.
        error: what an exception of the SDK tells beyond its class: a better `error.type`, the HTTP status.
        signals: how it is measured where it is none of GenAI's operations: no attribute has its name then.
        is_served: whether this process is the one that is asked.
    """

    name: str
    request: Mapping[str, Row] = field(default_factory=dict)
    constants: Attributes = field(default_factory=dict)
    derived: Callable[[Body], Attributes] | None = None
    response: tuple[Callable[[Any], Attributes], ...] = ()
    instructions: Callable[[Body], list[Part]] | None = None
    inputs: Callable[[Body], list[Message]] | None = None
    tools: Callable[[Body], list[dict[str, Any]]] | None = None
    outputs: Callable[[Any], list[Message]] | None = None
    contents: Mapping[str, Callable[[Body], Any]] = field(default_factory=dict)
    results: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    fold: type[Fold] | None = None
    asks: Callable[[Body], Body | None] | None = None
    is_usage: Callable[[Any], bool] | None = None
    fault: Callable[[Any], str | None] | None = None
    error: Callable[[Any], Attributes] | None = None
    signals: Signals | None = None
    is_served: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """Who answers: the conventions' provider name, empty where it is none of GenAI; host and port."""

    provider: str
    address: str | None = None
    port: int | None = None


@dataclass(slots=True)
class Request:
    """One call as its hook understood it, and the arguments to go on with."""

    operation: Operation
    body: Body
    server: Server
    stream: bool
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    parsed: Any = None
    """The answer, where the SDK can raise after it has read it."""
    carrier: dict[str, str] | None = None
    """The request's headers, where the SDK itself would send the trace context in them."""
    parent: Mapping[str, str] | None = None
    """What came along with a request to this process: the trace context of who asks, if it is there."""
    rootless: bool = True
    """Whether it would do so without a span around the call."""
    is_beneath: bool = False
    """Whether it is no call where another call of the same SDK goes on: that one is told already."""
    failures: tuple[Exception, ...] = ()
    """What went wrong in reading the body, but for what is wrong with the body."""


class Hook(Protocol):
    """Knows one seam of an SDK: which call passes, and what in its result is the answer."""

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say which operation this call is; None for calls that are not ours."""

    def hold(self, request: Request) -> None:
        """Keep what of the body can be read only once, so that it can be read and still be sent."""

    def ask(self, request: Request) -> bool:
        """Ask for the usage of a stream that the caller did not ask for; say whether that was done."""

    def stream_class(self, request: Request) -> type[Any] | None:
        """Say which class the SDK would make the stream of, where the caller may choose it."""

    def with_stream_class(self, request: Request, cls: type[Any]) -> None:
        """Have the SDK make the stream of `cls`."""

    def stream(self, request: Request, result: Any) -> Any:
        """Give the stream that an SDK made on its own, if there is one in the result."""

    def unread(self, result: Any) -> Any:
        """Give the HTTP response, or the file, whose body the caller reads on their own, if there is one."""

    def answer(self, request: Request, result: Any) -> Any:
        """Give what in the result is the answer."""


@dataclass(slots=True, kw_only=True)
class Run:
    """Something that a framework says has begun.

    Args:
        operation: what it is; None for a step that has no span of its own.
        body: what its tables and readers read.
        server: who is asked, if that is known.
        stream: whether a model is asked for a stream.
        shared: attributes of the run and of all that runs within; a None: what holds around does not here.
        is_remote: whether it is run elsewhere, so that the span is a client's.
        size: how many models are asked together.
        sdk: the provider whose SDK asks the model: where others tell of that, it is told already.
        note: whatever the provider wants to find again, at what runs within.
        keeper: what the framework lets go of when the run is over: where nobody has told of its end by then,
            it was cancelled.
    """

    operation: Operation | None = None
    body: Body = field(default_factory=dict)
    server: Server = Server("")
    stream: bool = False
    shared: Attributes = field(default_factory=dict)
    is_remote: bool = False
    size: int = 1
    sdk: str | None = None
    note: Any = None
    keeper: Any = None


class Runs(Protocol):
    """Where a framework's callbacks tell of runs, each by an id of the framework's."""

    through: frozenset[str]
    """The modules by way of which a callback is called: the framework's own are to be added."""
    strict: bool
    """Whether failures of ours are to be raised, as in our tests."""

    def safely(self, what: Callable[..., None], *args: Any) -> None:
        """Do what is ours in the midst of what is the caller's."""

    def note(self, run: Any) -> Any:
        """Give what was noted of a run; None for one that nobody has told of."""

    def teller(self, modules: str) -> Any:
        """Give the object whose method tells of a run, if that method is of these modules; None if not.

        Args:
            modules: what the names of the modules begin with.
        """

    def manager(self, modules: str, functions: frozenset[str]) -> Any:
        """Give the object whose method has called back, if a function of these has called that method."""

    def begin(self, run: Any, parent: Any, what: Run) -> None:
        """Begin a run, and make it current for what runs within; a model's waits for the call of its SDK."""

    def heard(self, run: Any) -> None:
        """Take note that a model's answer has begun to come, or goes on."""

    def done(self, run: Any, answer: Any = None, *, is_known: bool = False) -> None:
        """End a run; of a model whose answer `is_known` beforehand nobody has asked anything."""

    def failed(self, run: Any, error: BaseException, answer: Any = None) -> None:
        """End a run that raised."""

    def stopped(self, run: Any) -> None:
        """End a run that was broken off on purpose."""

    def over(self, run: Any, error: BaseException | None = None) -> None:
        """See that a run which has ended is left, where telling its end has failed."""

    def measure(self, metric: Metric, keys: Sequence[str], seconds: float, found: Attributes) -> None:
        """Record how long something took that has no span: of its attributes, those of the keys."""


Attach = Callable[[Any, Runs], Callable[[], None]]
"""Given a module, and where to tell what is heard of it; gives what undoes that."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An SDK: its name, the versions it is tested with, and where its calls pass.

    Args:
        name: the name users write in settings.
        requires: the SDK's distribution and versions, as in a dependency list.
        hooks: `module:Class.method` -> what is known about that seam.
        optional: hooks that not every supported version of the SDK has.
        attach: module -> what has a framework's callbacks tell of its runs, and gives what undoes that.
        native: the versions that make spans of their own, which are adopted: they need no hooks.
        beside: module -> what has measured what those versions have no spans of, and gives what undoes that.
    """

    name: str
    requires: str
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    attach: Mapping[str, Attach] = field(default_factory=dict)
    native: str = ""
    beside: Mapping[str, Attach] = field(default_factory=dict)

    @property
    def modules(self) -> frozenset[str]:
        """The modules whose import brings the hooks."""
        return frozenset(target.partition(":")[0] for target in (*self.hooks, *self.attach, *self.beside))


class Json:
    """A decoded JSON object whose keys read as attributes; what is missing reads as None.

    Stands in for the SDK's own types where a caller asked for raw bodies, so that the readers need no
    second way of reading.
    """

    __slots__ = ("_json",)

    def __init__(self, value: Mapping[str, Any]) -> None:
        """Wrap one JSON object."""
        self._json = value

    def __getattr__(self, name: str) -> Any:
        """Read a key."""
        return view(self._json.get(name))


def view(value: Any) -> Any:
    """Make decoded JSON readable by attribute."""
    if isinstance(value, dict):
        return Json(value)
    return [view(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """Undo `view`, and bring an SDK's model into plain data."""
    if isinstance(value, Json):
        return value._json
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, warnings=False)
    return value


def items(value: Any) -> Iterator[Any]:
    """Go through a list as plain data; a one-shot iterator is the caller's, and is left alone."""
    given = value if isinstance(value, (list, tuple)) else ()
    return iter([item if type(item) is dict else plain(item) for item in given])


def from_text(body: str | bytes) -> Any:
    """Read a body of JSON text; what is not JSON is no answer."""
    try:
        return view(json.loads(body))
    except (ValueError, RecursionError):
        return None
