"""A framework, the SDK beneath it, and the SDK's own spans, each told or not: one call is one span.

The SDK is Anthropic's, which has spans of its own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest

import otel_genai
from otel_genai import semconv as s
from otel_genai import testing

pytest.importorskip("langchain_core", reason="needs LangChain: pip install 'otel-genai[frameworks]'")
anthropic_ways = pytest.importorskip("anthropic_ways", reason="pip install anthropic")

from langchain_core.language_models import BaseChatModel  # noqa: E402 (it may not be installed)
from langchain_core.messages import AIMessage, AIMessageChunk  # noqa: E402 (as above)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult  # noqa: E402 (as above)
from langchain_core.runnables import RunnableLambda  # noqa: E402 (as above)

pytestmark = pytest.mark.skipif(
    not hasattr(anthropic_ways.anthropic.Anthropic, "open_telemetry"),
    reason="this anthropic makes no spans: pip install 'anthropic >= 1.17'",
)
MODEL = "claude-opus-5-5"
ASKED = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "When does it open?"}]}
PRICES = [{"model": "*", "input": 1, "output": 2}]


def usage(message):
    """Give counts as LangChain wants them, all that was read included."""
    u = message.usage
    given = u.input_tokens + (u.cache_read_input_tokens or 0) + (u.cache_creation_input_tokens or 0)
    return {"input_tokens": given, "output_tokens": u.output_tokens, "total_tokens": given + u.output_tokens}


class Claude(BaseChatModel):
    """A model of LangChain that asks Anthropic's SDK, as a program may write one."""

    client: object
    aclient: object

    @property
    def _llm_type(self):
        return "claude"

    @property
    def _identifying_params(self):
        return {"model": MODEL}

    def _get_ls_params(self, **_):
        return {"ls_provider": "anthropic", "ls_model_name": MODEL, "ls_model_type": "chat"}

    def _generate(self, messages, stop=None, run_manager=None, **_):
        return self._result(self.client.messages.create(**ASKED))

    async def _agenerate(self, messages, stop=None, run_manager=None, **_):
        return self._result(await self.aclient.messages.create(**ASKED))

    def _result(self, told):
        said = AIMessage(
            told.content[0].text, usage_metadata=usage(told), response_metadata={"model_name": told.model}
        )
        return ChatResult(generations=[ChatGeneration(message=said)])

    def _stream(self, messages, stop=None, run_manager=None, **_):
        with self.client.messages.stream(**ASKED) as stream:
            for text in stream.text_stream:
                yield ChatGenerationChunk(message=AIMessageChunk(text))
            told = stream.get_final_message()
        last = AIMessageChunk("", usage_metadata=usage(told), response_metadata={"model_name": told.model})
        yield ChatGenerationChunk(message=last)


def invoked(chain):
    """Have the chain answer at once."""
    return chain.invoke("x")


def awaited(chain):
    """Have the chain answer at once, in a task."""
    return asyncio.run(chain.ainvoke("x"))


def streamed(chain):
    """Have the chain answer in pieces."""
    return list(chain.stream("x"))


def run(seen, way, *, native):
    """Ask a chain whose model asks the SDK."""
    telemetry = {"tracer_provider": seen.tracer_provider} if native else {"enabled": False}
    client, aclient = (
        anthropic_ways.client(anthropic_ways.Wire(["messages"]), colour, open_telemetry=telemetry)
        for colour in (anthropic_ways.anthropic.Anthropic, anthropic_ways.anthropic.AsyncAnthropic)
    )
    model = Claude(client=client, aclient=aclient)
    return way(RunnableLambda(lambda _: "When does it open?") | model)


WHO = ("framework", "sdk", "native")
TABLE = list(itertools.product([True, False], repeat=len(WHO)))


@pytest.mark.parametrize("way", [invoked, awaited, streamed])
@pytest.mark.parametrize(
    WHO, TABLE, ids=["-".join(itertools.compress(WHO, row)) or "nobody" for row in TABLE]
)
def test_one_call_is_one_span_and_counted_once(way, framework, sdk, native):
    """Whoever tells it: one span, below the framework's where that is told, and one count, one cost."""
    off = [name for name, on in (("langchain", framework), ("anthropic", sdk)) if not on]
    with testing.capture("langchain", "anthropic", disabled=",".join(off), prices=PRICES, cost=True) as seen:
        seen.tracer_provider.add_span_processor(otel_genai.ContextProcessor())
        assert run(seen, way, native=native)
        spans, metrics = seen.spans, seen.metrics
    expected = 1 if framework or sdk or native else 0
    chats = [span for span in spans if span["attributes"].get(s.OPERATION_NAME) == s.CHAT]
    assert len(chats) == expected
    assert len(spans) == expected + framework
    assert [span["parent"] for span in chats] == ["invoke_workflow" if framework else None] * expected
    totals = Counter()
    for point in metrics.get(s.TOKEN_USAGE.name, ()):
        totals[point["attributes"][s.TOKEN_TYPE]] += point["sum"]
    counted = (
        {kind: chats[0]["attributes"][f"gen_ai.usage.{kind}_tokens"] for kind in ("input", "output")}
        if chats
        else {}
    )
    assert totals == counted
    assert sum(point["value"] for point in metrics.get(s.CALLS.name, ())) == expected
    cost = sum(point["value"] for point in metrics.get(s.COST.name, ()))
    assert cost == pytest.approx((counted.get("input", 0) + 2 * counted.get("output", 0)) / 1e6)
