"""Do no harm: whatever is called, and however it is read, it is the same with us and without us.

Each scenario runs bare, with content off and with content on; what it saw, what went over the wire and
what was left unread must be equal.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from registry import COLOURS, FORMS, KITS, Line, ask, asked, attempt, described, every, sent
from side_by_side import FIRST, WHOLE_OR_STREAM, alike, answer, listed, streamed, table, whole
from ways import each, now

# --- Every way of calling --------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("kit", "way"),
    [pytest.param(kit, way, id=f"{kit.name}-{way.name}") for kit in KITS.values() for way in kit.ways],
)
def test_every_way_of_calling_is_the_same(*, kit, way, colour):
    """Each way of calling sends the same bytes and gives the same, content off and on."""

    async def scenario() -> Any:
        wire = kit.wire(way)
        seen = []

        def handle(request: Any) -> Any:
            seen.append(sent(request))
            return wire.handle(request)

        return [await way(kit.client(handle, colour)), seen]

    alike(kit, colour, scenario)


@WHOLE_OR_STREAM
@pytest.mark.parametrize("form", FORMS)
@table(every())
def test_an_answer_looks_the_same(*, kit, endpoint, colour, form, stream):
    """Types, attributes, helper methods, headers and values of every form of an answer are the same."""
    if stream and not endpoint.streamed:
        pytest.skip(f"{endpoint.name} has no streams")

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=stream)])
        log = []
        async with asked(kit.client(line.handle, colour), endpoint, form, stream=stream) as got:
            log += [described(got), line.taken, isinstance(got, kit.streams[colour])]
            parsed = await now(got.parse()) if form in ("raw", "streaming") else got
            log += [described(parsed), line.taken]
            if stream:
                log += [(described(event), line.taken) async for event in each(parsed)]
        return [log, line.requests, line.taken]

    alike(kit, colour, scenario)


@table(every())
def test_every_sample_is_given_as_it_is(*, kit, endpoint, colour):
    """Each sample, whole or streamed, odd ones included, gives the same values or the same exception."""

    async def scenario() -> Any:
        log = []
        for body in endpoint.bodies:
            line = Line([whole(kit, body)])
            log += [await attempt(ask, kit.client(line.handle, colour), endpoint), line.taken]
        for body in endpoint.streams:
            line = Line([streamed(kit, body)])
            stream = await now(ask(kit.client(line.handle, colour), endpoint, stream=True))
            log += [await attempt(listed, stream), line.taken]
        return log

    alike(kit, colour, scenario, calls=len(endpoint.bodies) + len(endpoint.streams))


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def _copies() -> Iterator[Any]:
    """Give form, whether it is a stream, and how it is copied."""
    for form in ("plain", "raw", "streaming"):
        for stream in (False, True):
            for duplicate in (copy.copy, copy.deepcopy, _pickled):
                name = f"{form}-{'stream' if stream else 'whole'}-{duplicate.__name__}"
                yield pytest.param(form, stream, duplicate, id=name)


@pytest.mark.parametrize(("form", "stream", "duplicate"), list(_copies()))
@table(FIRST)
def test_an_answer_may_be_copied(*, kit, endpoint, colour, form, stream, duplicate):
    """Copies and pickles of answers, and of the HTTP responses below them, are made or refused alike."""

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=stream)])
        log = []
        async with asked(kit.client(line.handle, colour), endpoint, form, stream=stream) as got:
            log.append(_copied(duplicate, got))
            below = getattr(got, "http_response", None) or getattr(got, "response", None)
            if below is not None:
                log.append(_copied(duplicate, below))
            if stream and form == "plain":
                log.append(await attempt(listed, got))
        return [log, line.taken]

    alike(kit, colour, scenario)


def _copied(duplicate: Any, value: Any) -> Any:
    """Say what became of a copy; which part of a value cannot be copied is found in no order."""
    try:
        got = duplicate(value)
    except (TypeError, pickle.PicklingError) as error:
        return type(error).__name__
    return [type(got).__name__, getattr(got, "status_code", None), isinstance(got, type(value).__mro__[-2])]


# --- Clients of one's own --------------------------------------------------------------------------------


def _own_http(kit: Any, line: Line, colour: str) -> Any:
    """An HTTP client that is a subclass, with hooks and a response class of its own."""
    base = kit.http.AsyncClient if colour == "async" else kit.http.Client
    plain = kit.http.Response

    class Response(plain):  # type: ignore[misc,valid-type]
        """A response of the caller's own."""

        def note(self) -> str:
            """Say something of its own."""
            return f"{type(self).__name__} {self.status_code}"

    class Own(base):  # type: ignore[misc,valid-type]
        """An HTTP client of the caller's own."""

        def send(self, request: Any, **options: Any) -> Any:
            request.headers["x-own"] = "yes"
            return super().send(request, **options)

    def handle(request: Any) -> Any:
        response = line.handle(request)
        response.__class__ = Response
        return response

    return kit.client(handle, colour, http_client=kit.http_client(handle, colour, cls=Own))


def _subclass(kit: Any, line: Line, colour: str) -> Any:
    """A client whose class overrides what all calls pass through."""
    base = kit.clients[colour]

    class Own(base):  # type: ignore[misc,valid-type]
        """A client of the caller's own."""

        def request(self, *args: Any, **kwargs: Any) -> Any:
            """Change nothing, in a function that is not asynchronous."""
            self.noted = sorted(kwargs)
            return super().request(*args, **kwargs)

        @property
        def default_headers(self) -> Any:
            """Add a header."""
            return {**super().default_headers, "x-own": "yes"}

    return kit.client(line.handle, colour, cls=Own)


CLIENTS: dict[str, Callable[[Any, Line, str], Any]] = {
    "plain": lambda kit, line, colour: kit.client(line.handle, colour),
    "own http client": _own_http,
    "subclass": _subclass,
    "with_options": lambda kit, line, colour: kit.client(line.handle, colour).with_options(
        timeout=3, max_retries=1, default_headers={"x-own": "yes"}
    ),
    "copy": lambda kit, line, colour: kit.client(line.handle, colour).copy(default_query={"a": "b"}),
    "shallow copy": lambda kit, line, colour: copy.copy(kit.client(line.handle, colour)),
    "strict": lambda kit, line, colour: kit.client(
        line.handle, colour, _strict_response_validation=True
    ),
    "headers": lambda kit, line, colour: kit.client(
        line.handle, colour, default_headers={"x-own": "yes"}, timeout=None
    ),
    "other address": lambda kit, line, colour: kit.client(
        line.handle, colour, base_url="http://user:pass@[::1]:8080/a/b/?c=d"
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", CLIENTS)
@WHOLE_OR_STREAM
@pytest.mark.parametrize("form", ["plain", "streaming"])
@table(FIRST)
def test_a_client_of_ones_own_behaves_the_same(*, kit, endpoint, colour, make, stream, form):
    """Own HTTP clients, subclasses, copies and changed options send and give the same."""

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=stream)])
        client = CLIENTS[make](kit, line, colour)
        log = [sorted(vars(client)), type(client).__name__]
        async with asked(client, endpoint, form, stream=stream) as got:
            log.append(described(got))
            parsed = got
            if form in ("raw", "streaming"):
                log.append(getattr(got.http_response, "note", str)())
                parsed = await now(got.parse())
            if stream:
                log.append(getattr(parsed.response, "note", str)())
                log.append(described(await listed(parsed)))
                log.append(getattr(parsed.response, "note", str)())
        return [log, getattr(client, "noted", None), line.requests, line.taken]

    alike(kit, colour, scenario)
