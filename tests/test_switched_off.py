"""What fails ten times in a row is switched off, and nothing else is."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest

import otel_genai
import toy
from otel_genai import _telemetry, testing
from otel_genai.spec import Provider
from toy import Client, ask, drain


@pytest.fixture
def lenient(monkeypatch):
    """Behave as for users: failures of ours do not raise."""
    monkeypatch.delenv(_telemetry.STRICT)


def counted(seen: testing.Seen) -> int:
    """Give how many failures of ours were counted so far."""
    return sum(point["value"] for point in seen.metrics.get("otel_genai.instrumentation.errors", []))


class Bug(toy.Hook):
    """A hook that can be broken and mended."""

    def __init__(self, where: str) -> None:
        """Know where."""
        self.where = where
        self.asked = 0
        self.broken = True

    def request(self, client, args, kwargs):
        """Fail here, or there."""
        self.asked += 1
        self._fail("request")
        return super().request(client, args, kwargs)

    def unread(self, result):
        """Fail here, or there."""
        self._fail("unread")
        return super().unread(result)

    def _fail(self, where: str) -> None:
        if self.broken and where == self.where:
            raise RuntimeError("injected")


@pytest.fixture
def flaw(where, lenient):
    """Give a hook that fails."""
    return Bug(where)


anywhere = pytest.mark.parametrize("where", ["request", "unread"])


def provider(hook: Any) -> Provider:
    """Put the hook in the toy's provider."""
    return Provider("toy", requires="toy-sdk", hooks=dict.fromkeys(toy.PROVIDER.hooks, hook))


def messages(caplog: Any) -> list[str]:
    """Give what was said."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@anywhere
async def test_what_fails_ten_times_in_a_row_is_switched_off(flaw, caplog):
    """It is said once more; after that none of our code runs, and nothing is emitted."""
    with testing.capture(provider(flaw)) as seen:
        for _ in range(10):
            assert (await ask(Client()))._json is toy.ANSWER
        first, last = messages(caplog)
        assert "the call itself is not affected" in first
        assert "10 times" in last
        asked, spans, errors = flaw.asked, len(seen.spans), counted(seen)
        assert errors == 10
        flaw.broken = False
        for stream in (False, True):
            answer = await ask(Client(), stream=stream)
            assert len(await drain(answer)) == len(toy.EVENTS) if stream else answer._json is toy.ANSWER
    assert (len(seen.spans), counted(seen), len(messages(caplog))) == (spans, errors, 2)
    if flaw.where == "request":
        assert flaw.asked == asked


async def test_what_is_switched_off_leaves_the_others_on(lenient):
    """Embeddings and blocks by hand go on while chats are off."""
    flaw = Bug("unread")
    with testing.capture(provider(flaw)) as seen:
        for _ in range(11):
            await ask(Client())
        flaw.broken = False
        Client().embed()
        with otel_genai.inference("m", provider="toy"):
            Client().chat()
    assert [span["name"] for span in seen.spans[-2:]] == ["embeddings toy-e", "chat m"]


@anywhere
async def test_instrumenting_again_switches_on_again(flaw):
    """A new beginning, with ten failures of its own."""
    for _ in range(2):
        with testing.capture(provider(flaw)) as seen:
            for _ in range(12):
                await ask(Client())
        assert counted(seen) == 10
    flaw.broken = False
    with testing.capture(provider(flaw)) as seen:
        await ask(Client())
    assert len(seen.spans) == 1


@anywhere
async def test_nine_failures_and_a_success_are_not_ten_in_a_row(flaw, caplog):
    """What works now and then stays on."""
    with testing.capture(provider(flaw)) as seen:
        for _ in range(3):
            flaw.broken = True
            for _ in range(9):
                await ask(Client())
            flaw.broken = False
            await ask(Client())
    assert counted(seen) == 27
    assert len(messages(caplog)) == 1


class BrokenFold(toy.Fold):
    """A fold that fails at every event."""

    def add(self, event):
        """Fail."""
        raise RuntimeError("injected")


async def test_a_fold_that_fails_in_ten_streams_is_switched_off(lenient, caplog):
    """A failure in the middle of a call counts for the call, though its end goes well."""
    operation = dataclasses.replace(toy.CHAT, fold=BrokenFold)

    class Hook(toy.Hook):
        """Give that operation."""

        def request(self, client, args, kwargs):
            found = super().request(client, args, kwargs)
            found.operation = operation
            return found

    with testing.capture(provider(Hook())) as seen:
        for _ in range(12):
            assert len(await drain(await ask(Client(), stream=True))) == len(toy.EVENTS)
    assert len(messages(caplog)) == 2
    assert len(seen.spans) == 10
