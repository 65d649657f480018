"""The recorded exchanges (VCR cassettes) and the conventions' schemas that may lie beside the checkout."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

SHARED = Path(__file__).resolve().parents[2] / "shared"
RECORDINGS = SHARED / "recordings"
SCHEMAS = SHARED / "semconv" / "model" / "gen-ai"
MISSING = "needs the recordings: put them at ../shared/recordings, beside the checkout"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Exchange:
    """One request and what was answered."""

    name: str
    method: str
    url: str
    request: Any
    status: int
    sse: bool
    body: str

    @property
    def answer(self) -> Any:
        """What was answered, decoded: one document, or the events of a stream."""
        if not self.sse:
            return json.loads(self.body)
        lines = [line[5:].strip() for line in self.body.splitlines() if line.startswith("data:")]
        return [json.loads(line) for line in lines if line != "[DONE]"]


def exchanges(host: str) -> Iterator[Exchange]:
    """Read every exchange with a host out of every recording; none where there are no recordings."""
    for cassette in sorted(RECORDINGS.glob("*/*.yaml")):
        text = cassette.read_text(encoding="utf-8")
        if host not in text:
            continue
        for number, interaction in enumerate(yaml.load(text, _LOADER)["interactions"]):
            if f"//{host}/" in interaction["request"]["uri"]:
                yield _exchange(f"{cassette.parent.name}/{cassette.stem}#{number}", interaction)


@functools.cache
def _validator(key: str) -> Any:
    """Read the schema of one attribute, if it is at hand."""
    schema = SCHEMAS / f"{key.replace('gen_ai', 'gen-ai').replace('.', '-').replace('_', '-')}.json"
    if not schema.exists():
        return None
    known = json.loads(schema.read_text(encoding="utf-8"))
    return jsonschema.validators.validator_for(known)(known)


def misshapen(found: dict[str, Any]) -> list[str]:
    """Say what in the content among `found` is not of the conventions' shape."""
    keys = ("system_instructions", "input.messages", "output.messages", "tool.definitions")
    content = {key: found[f"gen_ai.{key}"] for key in keys if f"gen_ai.{key}" in found}
    validators = ((value, _validator(f"gen_ai.{key}")) for key, value in content.items())
    return [error.message for value, known in validators if known for error in known.iter_errors(value)]


def _exchange(name: str, interaction: dict[str, Any]) -> Exchange:
    request, response = interaction["request"], interaction["response"]
    body = (response.get("body") or {}).get("string") or ""
    body = body.decode() if isinstance(body, bytes) else body
    asked = json.loads(request["body"]) if request["body"] else None
    sse = body.startswith(("data:", "event:"))
    return Exchange(name, request["method"], request["uri"], asked, response["status"]["code"], sse, body)
