"""A program whose long conversations fill the budget for content, and leave it in one export.

Makes as many calls as it is told, and prints as JSON what the exporter was given: how many spans each time,
the bytes of each request, what became of it, and each trace's content.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from openai import OpenAI, _base_client
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

import otel_genai

http: Any = getattr(_base_client, "httpx2", None) or _base_client.httpx  # openai 3 moved to httpx2
PACKAGES = {"grpc": "grpc", "http/protobuf": "http"}
CONTENT = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions")
TURN = 'Grüße aus dem Schwarzwald 🙂, wo der Himmel "blau" und\nder Weg weit ist. ' * 20
"""Bytes, characters and JSON's escapes are not of the same number here."""


def conversation(number: int) -> list[dict[str, str]]:
    """Say far more than fits, and nothing that is said in another call."""
    turns = [("user", "assistant")[turn % 2] for turn in range(13)]
    said = [{"role": role, "content": f"{number}/{turn}: {TURN}"} for turn, role in enumerate(turns)]
    return [{"role": "system", "content": f"{number}: be kind"}, *said]


def answer(request: Any) -> Any:
    """Answer as OpenAI would, at length."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [{
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": TURN},
        }],
        "usage": {"prompt_tokens": 9000, "completion_tokens": 500, "total_tokens": 9500},
    }  # fmt: skip
    return http.Response(200, json=body)


def watch() -> dict[str, Any]:
    """Note what the exporter is given from now on."""
    given: dict[str, Any] = {"spans": [], "bytes": [], "results": [], "content": {}}
    package = PACKAGES[os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"]]
    exporter = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{package}.trace_exporter")
    export = exporter.OTLPSpanExporter.export

    def watched(self: Any, spans: Sequence[Any]) -> Any:
        result = export(self, spans)
        given["spans"].append(len(spans))
        given["bytes"].append(encode_spans(spans).ByteSize())
        given["results"].append(result.name)
        for span in spans:
            content = {key: span.attributes[key] for key in CONTENT if key in span.attributes}
            given["content"][f"{span.context.trace_id:032x}"] = content
        return result

    exporter.OTLPSpanExporter.export = watched
    return given


def main() -> None:
    """Make the calls, and tell what was exported of them."""
    given = watch()
    otel_genai.configure()
    http_client = http.Client(transport=http.MockTransport(answer))
    with OpenAI(api_key="sk-nobody", http_client=http_client) as client:
        for number in range(int(sys.argv[1])):
            client.chat.completions.create(model="gpt-4o-mini", messages=conversation(number))  # type: ignore[arg-type]
    assert otel_genai.flush()
    print(json.dumps(given))  # noqa: T201 (what it is asked for)


if __name__ == "__main__":
    main()
