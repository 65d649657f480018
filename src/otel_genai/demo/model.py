"""What the models of the stand-in say, before it is put into the shape of one API.

It is made up, and always the same for the same request; so are the token counts.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

MODELS = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "text-embedding-3-small": "text-embedding-3-small",
    "text-embedding-3-large": "text-embedding-3-large",
}
"""The models there are, and the name under which each answers; any other is a 404."""

RATE_LIMITED = "rate-limited"
"""The model whose every call is answered with 429."""

REASONING, REASONING_TOKENS = "gpt-5", 64
ANSWERS = (
    "Start in the old town before the trams fill up, and keep the evening for the viewpoint on the hill.",
    "Two days are enough for the museums and the harbour; leave one afternoon without a plan.",
    "Follow the slow road along the coast: three short stops, one long lunch, and a swim at the end.",
)
AFTER_TOOL = "The answer was {result}. Pack for that, and keep the walks for the dry hours."
DOCUMENT = re.compile(r"<document>\s*(.+?)\s*</document>", re.DOTALL)
AFTER_DOCUMENTS = "As it is written: {document}"
"""A model that is given documents says what the first of them says."""
ARGUMENTS = {"string": "Lisbon", "integer": 2, "number": 0.5, "boolean": True}


class RefusedError(Exception):
    """What the API says no to, with the status and the body that say so."""

    def __init__(
        self, status: HTTPStatus, message: str, kind: str = "invalid_request_error", code: str | None = None
    ) -> None:
        """Put it into the shape of OpenAI's errors."""
        super().__init__(message)
        self.status = status
        self.body: Json = {"error": {"message": message, "type": kind, "param": None, "code": code}}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, or the tool it calls, before that is put into the shape of one API."""

    id: str
    model: str
    text: str
    tool: str
    arguments: str
    prompt: int
    cached: int
    reasoning: int
    completion: int


def tokens(text: str) -> int:
    """Count, roughly as tokenizers do."""
    return len(text) // 4 + 1


def pieces(text: str) -> list[str]:
    """Split as a stream does."""
    return [text[start : start + 5] for start in range(0, len(text), 5)]


def model_of(body: Json) -> str:
    """Say which model answers.

    Raises:
        RefusedError: there is no such model, or it is the one that is rate limited.
    """
    name = str(body.get("model", ""))
    if name == RATE_LIMITED:
        message = f"Rate limit reached for {name}: Limit 3, Used 3, Requested 1. Please try again in 20s."
        raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, message, "requests", "rate_limit_exceeded")
    if name not in MODELS:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise RefusedError(HTTPStatus.NOT_FOUND, message, code="model_not_found")
    return MODELS[name]


def answer_to(body: Json, turns: list[Json], tools: list[Json]) -> Answer:
    """Call the first tool when there are tools and no result yet, else talk."""
    model = model_of(body)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    kinds = [turn.get("type", "message") + str(turn.get("role", "")) for turn in turns]
    text, tool, arguments = ANSWERS[int(digest, 16) % len(ANSWERS)], "", ""
    said = str(turns[-1].get("content", "")) if turns else ""
    if found := DOCUMENT.search(said):
        text = AFTER_DOCUMENTS.format(document=found[1])
    if kinds and kinds[-1] in {"messagetool", "function_call_output"}:
        text = AFTER_TOOL.format(result=turns[-1].get("content", turns[-1].get("output")))
    elif tools:
        text, tool, arguments = "", str(tools[0]["name"]), _arguments(tools[0].get("parameters") or {})
    sizes = [tokens(json.dumps(part)) for part in (*tools, *turns)]
    # The provider has read the conversation before: all that precedes the model's own last turn.
    own = [i for i, kind in enumerate(kinds, len(tools)) if kind in {"messageassistant", "function_call"}]
    reasoning = REASONING_TOKENS if model.startswith(REASONING) else 0
    return Answer(
        id=digest[:24],
        model=model,
        text=text,
        tool=tool,
        arguments=arguments,
        prompt=sum(sizes),
        cached=sum(sizes[: own[-1]]) if own else 0,
        reasoning=reasoning,
        completion=reasoning + tokens(text + tool + arguments),
    )


def _arguments(schema: Json) -> str:
    def example(kind: Json) -> object:
        return kind["enum"][0] if kind.get("enum") else ARGUMENTS.get(str(kind.get("type")))

    return json.dumps({name: example(kind) for name, kind in schema.get("properties", {}).items()})


def vector(text: object, size: int) -> list[float]:
    """Give a vector of length one for a text: the more words two texts share, the nearer they are."""
    words = [_word(word, size) for word in re.findall(r"\w+", str(text).lower()) or [str(text)]]
    numbers = [sum(each) for each in zip(*words, strict=True)]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


@functools.lru_cache(maxsize=1000)
def _word(word: str, size: int) -> list[float]:
    chance = random.Random(word)  # noqa: S311 (no secret)
    return [chance.uniform(-1, 1) for _ in range(size)]
