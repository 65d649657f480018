"""Uses the public API as its users do. Checked by mypy, never run."""  # noqa: INP001 (never imported)

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

import otel_genai
from otel_genai import Capture, Operation, Provider, Settings, judges, testing
from otel_genai.spec import Request, Server

otel_genai.instrument()
otel_genai.instrument("openai", capture="SPAN_ONLY", semconv="both", stream_gaps=None)
otel_genai.instrument(settings=Settings(capture=Capture.SPAN_AND_EVENT, disabled=frozenset({"openai"})))
otel_genai.instrument(tracer_provider=TracerProvider())
otel_genai.configure("openai", emit_event=True)
sent: bool = otel_genai.flush(timeout=2.5)
otel_genai.uninstrument("openai")
otel_genai.uninstrument()

for status in otel_genai.providers():
    line: str = (
        f"{status.name} {status.state} {status.version or '-'} {', '.join(status.targets)} {status.reason}"
    )

with otel_genai.context(conversation_id="c-1", tenant="acme"), otel_genai.suppress():
    pass

with otel_genai.inference("llama-3", provider="vllm", temperature=0.5, server=("gpu-1", 8000)) as call:
    call.chunk()
    call.answer("so", model="llama-3-8b", id="r-1", finish_reasons=["stop"])
    call.usage(input_tokens=12, output_tokens=4, reasoning_output_tokens=1)
    call.set("app.tenant", "acme")

kept: str = otel_genai.reference()
otel_genai.evaluate(
    "relevance", score=1, label="relevant", explanation="it is", of=kept, model="m", suite="a"
)
otel_genai.evaluate("relevance", error=TimeoutError(), of=call)
otel_genai.feedback("up", comment="so it is", of={"traceparent": kept})
otel_genai.feedback(0.5, of="chatcmpl-1", name="stars")


def helpful(answer: judges.Answer) -> judges.Verdict | None:
    """Judge."""
    return judges.Verdict(score=len(answer.text) / 100, label="fair") if answer.question else None


async def later(answer: judges.Answer) -> float:
    """Judge, where it takes waiting."""
    return float(answer.attributes["app.weight"])


own = judges.llm(lambda prompt: prompt[:2], name="own", prompt="{answer}")
otel_genai.instrument(judges=["length", judges.length(most=5), helpful, later, own], judge_sample=0.1)

with otel_genai.embeddings("e5", provider="vllm", dimensions=8, encoding_formats=["float"]) as embedding:
    embedding.usage(input_tokens=3)

with otel_genai.retrieval("docs", query="why?", top_k=5) as search:
    search.documents([{"id": "d-1", "score": 0.5}])

with otel_genai.workflow("answer") as run, otel_genai.agent("planner", instructions="be brief") as agent:
    agent.answer({"role": "assistant", "parts": []})
    run.answer("there")

with otel_genai.tool("search", call_id="c-1", arguments={"query": "why?"}) as execution:
    execution.result({"found": 1})


@otel_genai.tool()
def plain(query: str, limit: int = 3) -> list[str]:
    """Search."""
    return [query] * limit


@otel_genai.workflow("answer")
@otel_genai.context(conversation_id="c-1")
async def coroutine(query: str) -> int:
    """Search and count."""
    return len(plain(query))


@otel_genai.agent("planner")
def generator() -> Iterator[str]:
    """Give items."""
    yield "x"


@otel_genai.inference("llama-3", provider="vllm", stream=True)
async def async_generator() -> AsyncIterator[str]:
    """Give items, where it takes waiting."""
    yield "x"


async def main() -> None:
    """Keep the types of what is decorated."""
    found: list[str] = plain("x", limit=2)
    count: int = await coroutine("x")
    items: list[str] = [*generator(), *found, str(count)]
    items.extend([item async for item in async_generator()])
    async with otel_genai.inference("llama-3", provider="vllm") as awaited:
        awaited.usage(output_tokens=1)
    plain(3)  # type: ignore[arg-type]
    await coroutine()  # type: ignore[call-arg]
    otel_genai.inference("llama-3")  # type: ignore[call-arg]
    otel_genai.retrieval(3)  # type: ignore[arg-type]


class Hook:
    """Knows the seam of an SDK of one's own."""

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say which operation it is."""
        return Request(
            ASK, kwargs, Server("mine", "api.mine.test", 443), stream=False, args=args, kwargs=kwargs
        )

    def hold(self, request: Request) -> None:
        """Nothing of a body can be read only once."""

    def ask(self, request: Request) -> bool:
        """It has no streams."""
        return False

    def stream_class(self, request: Request) -> type[Any] | None:
        """It has no streams."""

    def with_stream_class(self, request: Request, cls: type[Any]) -> None:
        """It has no streams."""

    def stream(self, request: Request, result: Any) -> Any:
        """It has no streams."""

    def unread(self, result: Any) -> Any:
        """It has no raw answers."""

    def answer(self, request: Request, result: Any) -> Any:
        """Give the answer."""
        return result


ASK = Operation(
    name="chat",
    request={"model": "gen_ai.request.model", "stop": ("gen_ai.request.stop_sequences", list)},
    response=(lambda answer: {"gen_ai.response.id": answer.id},),
)
otel_genai.instrument(Provider("mine", requires="mine >= 1", hooks={"mine:Client.ask": Hook()}))

with testing.capture("openai", capture="SPAN_ONLY") as seen:
    names: list[str] = [span["name"] for span in seen.spans]
    totals: dict[str, float] = {name: points[0]["sum"] for name, points in seen.metrics.items()}
