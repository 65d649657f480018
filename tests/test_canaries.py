"""Canaries in every text of every request and answer: none sings with content off, nor one that is masked."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import pytest
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor

import otel_genai
from otel_genai import testing
from registry import KITS, Line, asked, events
from ways import each, now, run

CANARY = "CANARY-7f3a"
INSTRUMENTORS = {"httpx": HTTPXClientInstrumentor, "httpx2": HTTPX2ClientInstrumentor}
NAMES = {
    "type", "role", "object", "model", "id", "finish_reason", "stop_reason", "status", "service_tier", "url",
    "system_fingerprint", "encoding_format", "index", "name", "call_id", "tool_call_id", "tool_use_id",
    "item_id",
    "media_type", "mime_type", "effort", "code", "stop", "stop_sequences", "obfuscation", "reason",
}  # fmt: skip
"""What a provider or a program names things by: of these, the conventions have some recorded."""


def sung(value: Any, key: str = "") -> Any:
    """Put a canary into every text but those that name things."""
    if isinstance(value, str):
        if key in NAMES:
            return value
        return json.dumps({"x": CANARY}) if value[:1] in ("{", "[") else f"{CANARY} {value}"
    if isinstance(value, dict):
        return {name: sung(item, name) for name, item in value.items()}
    return [sung(item, key) for item in value] if isinstance(value, list) else value


def sung_event(event: bytes) -> bytes:
    """Put canaries into one event of a stream."""
    lines = [
        b"data: " + json.dumps(sung(json.loads(line[5:]))).encode() if line.startswith(b"data: {") else line
        for line in event.splitlines()
    ]
    return b"\n".join(lines) + b"\n\n"


def answers(kit: Any, endpoint: Any) -> dict[str, tuple[bool, Any]]:
    """Give what the server does: whether a stream is asked for, and the answer."""
    found = {
        f"body {number}": (False, lambda body=body: kit.response(json.dumps(sung(json.loads(body))).encode()))
        for number, body in enumerate(endpoint.bodies)
    }
    for number, stream in enumerate(endpoint.streams):
        pieces = [sung_event(event) for event in events(stream)]
        cut = [*pieces[: len(pieces) // 2], kit.http.ReadError(CANARY)]
        found[f"stream {number}"] = (True, lambda pieces=pieces: kit.response(pieces, kind="sse"))
        found[f"cut {number}"] = (True, lambda cut=cut: kit.response(cut, kind="sse"))
    for status, body in kit.refusals.items():
        said = json.dumps(sung(json.loads(body))).encode()
        found[f"refusal {status}"] = (
            False,
            lambda status=status, said=said: kit.response(said, status=status),
        )
    found["timeout"] = (False, kit.http.ReadTimeout(f"{CANARY} took too long"))
    return found


CASES = [
    pytest.param(kit, endpoint, name, id=f"{kit.name}-{endpoint.name}-{name}")
    for kit in KITS.values()
    for endpoint in kit.endpoints.values()
    for name in answers(kit, endpoint)
]


async def called(kit: Any, endpoint: Any, name: str, form: str, colour: str, *, provider: Any) -> None:
    """Call with canaries, and read whatever comes."""
    stream, answer = answers(kit, endpoint)[name]
    http_client = kit.http_client(Line([answer]).handle, colour)
    INSTRUMENTORS[kit.http.__name__].instrument_client(http_client, tracer_provider=provider)
    query = {"api-key": CANARY}
    client = kit.client(None, colour, http_client=http_client, default_query=query)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(endpoint.__dict__, "body", sung(endpoint.body))
        try:
            async with asked(client, endpoint, form, stream=stream) as given:
                got = await now(given.parse()) if form == "raw" else given
                if form == "streaming":
                    _ = [piece async for piece in each(got.iter_bytes())]
                elif stream:
                    _ = [event async for event in each(got)]
        except kit.sdk.APIError as error:  # the caller sees everything
            seen = repr([error, error.__cause__])
            assert CANARY in seen
        except kit.http.HTTPError as error:
            assert CANARY in str(error)  # noqa: PT017


def without_fault(span: dict[str, Any]) -> dict[str, Any]:
    """Leave out how HTTP's instrumentation tells its transport's failure, which no provider has written."""
    return {**span, "description": None, "events": [event["name"] for event in span["events"]]}


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("form", ["plain", "raw", "streaming", "post"])
@pytest.mark.parametrize(("kit", "endpoint", "name"), CASES)
def test_no_canary_sings(*, kit, endpoint, name, form, colour, caplog):
    """Not on spans, not on HTTP's, events, metrics, in logs or warnings: off, and on with a mask."""
    caplog.set_level(logging.DEBUG, "otel_genai")
    for settings in ({"emit_event": True}, {"capture": "SPAN_AND_EVENT", "mask_pattern": CANARY}):
        with testing.capture(kit.name, **settings) as seen, warnings.catch_warnings(record=True) as warned:
            seen.tracer_provider.add_span_processor(otel_genai.ContextProcessor())
            call = called(kit, endpoint, name, form, colour, provider=seen.tracer_provider)
            with otel_genai.context(conversation_id="c-1"):
                run(call, asynchronous=colour == "async")
        ours = [record.getMessage() for record in caplog.records if record.name.startswith("otel_genai")]
        spans = [*map(without_fault, seen.spans[:-1]), seen.spans[-1]] if name == "timeout" else seen.spans
        told = json.dumps([spans, seen.events, seen.metrics, ours, [str(one.message) for one in warned]])
        assert CANARY not in told
        assert [span["parent"] is None for span in seen.spans] == [False, True]  # HTTP's, and ours
        if "capture" in settings and name.startswith("body") and "messages" in told:
            assert "[masked]" in told
