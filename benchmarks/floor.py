"""The floor: the telemetry of these calls as one would write it by hand, with the OpenTelemetry SDK alone.

Only what these calls need, in the order it is needed: no settings, no tables, no other operation. It emits
the span, the attributes and the metrics that otel-genai emits for them; the driver checks that.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from time import perf_counter
from typing import Any

from opentelemetry.context import attach, detach
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import SpanKind, StatusCode, TracerProvider, set_span_in_context

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4**n for n in range(14))
_PREFIX = "gen_ai.client.operation"

Attributes = dict[str, Any]


class Floor:
    """What both SDKs have in common: one span, its metrics, and nothing to choose."""

    def __init__(
        self, traces: TracerProvider, metrics: MeterProvider, *, content: bool, gaps: int | None
    ) -> None:
        """Make the tracer and the instruments."""
        meter = metrics.get_meter("floor")
        self.tracer = traces.get_tracer("floor")
        self.content = content
        self.gaps = gaps
        buckets = (*_SECONDS, 163.84, 327.68)
        self.duration = meter.create_histogram(
            f"{_PREFIX}.duration", "s", explicit_bucket_boundaries_advisory=buckets
        )
        self.first, self.gap = (
            meter.create_histogram(f"{_PREFIX}.{name}", "s", explicit_bucket_boundaries_advisory=_SECONDS)
            for name in ("time_to_first_chunk", "time_per_output_chunk")
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", explicit_bucket_boundaries_advisory=_TOKENS
        )

    def asked(self, request: Any) -> Attributes:
        """Give the attributes of a request."""
        raise NotImplementedError

    def answered(self, answer: Any) -> Attributes:
        """Give the attributes of an answer."""
        raise NotImplementedError

    def said(self, answer: Any) -> list[Attributes]:
        """Give the messages of an answer."""
        raise NotImplementedError

    def read(self, events: Any, begun: Any, asked: Attributes, started: float) -> Iterator[Any]:
        """Pass a stream's events on, and end its span."""
        raise NotImplementedError

    def begin(self, request: Any) -> tuple[Any, Attributes]:
        """Start the span of a call."""
        asked = self.asked(request)
        if self.content:
            messages = [
                {"role": message["role"], "parts": [{"type": "text", "content": message["content"]}]}
                for message in request["messages"]
            ]
            asked["gen_ai.input.messages"] = json.dumps(messages, ensure_ascii=False)
        name = f"chat {request['model']}"
        return self.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=asked), asked

    def done(self, span: Any, asked: Attributes, found: Attributes, started: float) -> Attributes:
        """Set what was answered, and record the three metrics; the span is current."""
        seconds = perf_counter() - started
        span.set_attributes(found)
        measured = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": asked["gen_ai.provider.name"],
            "gen_ai.request.model": asked["gen_ai.request.model"],
            "gen_ai.response.model": found["gen_ai.response.model"],
            "server.address": asked["server.address"],
            "server.port": asked["server.port"],
        }
        self.duration.record(seconds, measured)
        for kind in ("input", "output"):
            count = found[f"gen_ai.usage.{kind}_tokens"]
            self.tokens.record(count, {**measured, "gen_ai.token.type": kind})
        return measured

    def streamed(
        self, begun: Any, asked: Attributes, found: Attributes, started: float, times: list[float]
    ) -> None:
        """End the span of a stream."""
        span, context = begun
        gaps = [after - before for before, after in pairwise(times)]
        found["gen_ai.response.time_to_first_chunk"] = first = times[0] - started
        found["otel_genai.longest_gap"] = max(gaps)
        token = attach(context)
        try:
            measured = self.done(span, asked, found, started)
            self.first.record(first, measured)
            if self.gaps is not None and self.gaps < len(gaps):
                gaps = random.sample(gaps, self.gaps)
            for gap in gaps:
                self.gap.record(gap, measured)
        finally:
            detach(token)
            span.end()

    def failed(self, span: Any, asked: Attributes, error: BaseException, started: float) -> None:
        """Mark the span as an error."""
        kind = type(error).__qualname__
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR)
        self.duration.record(perf_counter() - started, {**asked, "error.type": kind})

    def ended(self, span: Any, asked: Attributes, answer: Any, started: float) -> None:
        """Say what was answered."""
        found = self.answered(answer)
        if self.content:
            found["gen_ai.output.messages"] = json.dumps(self.said(answer), ensure_ascii=False)
        self.done(span, asked, found, started)

    def around(self, create: Callable[..., Any], acreate: Callable[..., Any]) -> tuple[Any, Any, Any]:
        """Give the SDK's functions with telemetry around: a call, a stream, an asynchronous call."""

        def call(**request: Any) -> Any:
            started = perf_counter()
            span, asked = self.begin(request)
            token = attach(set_span_in_context(span))
            try:
                answer = create(**request)
                self.ended(span, asked, answer, started)
            except BaseException as error:
                self.failed(span, asked, error, started)
                raise
            finally:
                detach(token)
                span.end()
            return answer

        def stream(**request: Any) -> Iterator[Any]:
            started = perf_counter()
            span, asked = self.begin(request)
            context = set_span_in_context(span)
            token = attach(context)
            try:
                events = create(**request)
            except BaseException as error:
                self.failed(span, asked, error, started)
                span.end()
                raise
            finally:
                detach(token)
            return self.read(events, (span, context), asked, started)

        async def acall(**request: Any) -> Any:
            started = perf_counter()
            span, asked = self.begin(request)
            token = attach(set_span_in_context(span))
            try:
                answer = await acreate(**request)
                self.ended(span, asked, answer, started)
            except BaseException as error:
                self.failed(span, asked, error, started)
                raise
            finally:
                detach(token)
                span.end()
            return answer

        return call, stream, acall


class OpenAI(Floor):
    """Chat completions."""

    def asked(self, request: Any) -> Attributes:
        """Give the attributes of a request."""
        asked = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "openai.api.type": "chat_completions",
            "gen_ai.request.model": request["model"],
            "gen_ai.request.temperature": float(request["temperature"]),
            "gen_ai.request.top_p": float(request["top_p"]),
            "gen_ai.request.max_tokens": request["max_tokens"],
            "server.address": "api.openai.com",
            "server.port": 443,
        }
        if request.get("stream"):
            asked["gen_ai.request.stream"] = True
        return asked

    def answered(self, answer: Any) -> Attributes:
        """Give the attributes of an answer, or of a stream's last chunk but for its finish reasons."""
        usage = answer.usage
        return {
            "gen_ai.response.id": answer.id,
            "gen_ai.response.model": answer.model,
            "gen_ai.response.finish_reasons": [choice.finish_reason for choice in answer.choices],
            "openai.response.service_tier": answer.service_tier,
            "openai.response.system_fingerprint": answer.system_fingerprint,
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.prompt_tokens_details.cached_tokens,
            "gen_ai.usage.audio.input_tokens": usage.prompt_tokens_details.audio_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.completion_tokens_details.reasoning_tokens,
            "gen_ai.usage.audio.output_tokens": usage.completion_tokens_details.audio_tokens,
        }

    def said(self, answer: Any) -> list[Attributes]:
        """Give the messages of an answer."""
        return [
            {
                "role": choice.message.role,
                "parts": [{"type": "text", "content": choice.message.content}],
                "finish_reason": choice.finish_reason,
            }
            for choice in answer.choices
        ]

    def read(self, events: Any, begun: Any, asked: Attributes, started: float) -> Iterator[Any]:
        """Pass a stream's chunks on, and end its span."""
        times: list[float] = []
        reasons = []
        chunk = None
        try:
            for chunk in events:
                for choice in chunk.choices:
                    if choice.delta.content:
                        times.append(perf_counter())
                    if choice.finish_reason is not None:
                        reasons.append(choice.finish_reason)
                yield chunk
        except BaseException as error:
            self.failed(begun[0], asked, error, started)
            begun[0].end()
            raise
        found = {**self.answered(chunk), "gen_ai.response.finish_reasons": reasons}
        self.streamed(begun, asked, found, started, times)


class Anthropic(Floor):
    """Messages."""

    def asked(self, request: Any) -> Attributes:
        """Give the attributes of a request."""
        asked = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": request["model"],
            "gen_ai.request.max_tokens": request["max_tokens"],
            "gen_ai.request.stop_sequences": request["stop_sequences"],
            "server.address": "api.anthropic.com",
            "server.port": 443,
        }
        if request.get("stream"):
            asked["gen_ai.request.stream"] = True
        return asked

    def answered(self, answer: Any) -> Attributes:
        """Give the attributes of an answer."""
        usage = answer.usage
        read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
        return {
            "gen_ai.response.id": answer.id,
            "gen_ai.response.model": answer.model,
            "gen_ai.response.finish_reasons": [answer.stop_reason],
            "gen_ai.usage.input_tokens": usage.input_tokens + (read or 0) + (written or 0),
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": read,
            "gen_ai.usage.cache_write.input_tokens": written,
        }

    def said(self, answer: Any) -> list[Attributes]:
        """Give the messages of an answer."""
        parts = [{"type": "text", "content": block.text} for block in answer.content]
        return [{"role": "assistant", "parts": parts, "finish_reason": "stop"}]

    def read(self, events: Any, begun: Any, asked: Attributes, started: float) -> Iterator[Any]:
        """Pass a stream's events on, and end its span."""
        times: list[float] = []
        message = last = None
        try:
            for event in events:
                kind = event.type
                if kind == "content_block_delta":
                    times.append(perf_counter())
                elif kind == "message_start":
                    message = event.message
                elif kind == "message_delta":
                    last = event
                yield event
        except BaseException as error:
            self.failed(begun[0], asked, error, started)
            begun[0].end()
            raise
        found = {
            **self.answered(message),
            "gen_ai.response.finish_reasons": [last.delta.stop_reason] if last else [],
            "gen_ai.usage.output_tokens": last.usage.output_tokens if last else None,
        }
        self.streamed(begun, asked, found, started, times)


FLOORS = {"openai": OpenAI, "anthropic": Anthropic}
