"""Nothing is left of a call: a hundred thousand of them, a third unread, take no more memory than a few."""

from __future__ import annotations

import json

import pytest

from child import program

CALLS = 100_000
PROGRAM = """
import asyncio, gc, json, sys
from collections import Counter
import otel_genai, toy, ways
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from otel_genai import _bodies, _call, _context, _guard, _streams
from otel_genai.spec import Request

CALLS = int(sys.argv[1])
WINDOWS = 5

class Count(SpanProcessor):
    ended = 0
    def on_end(self, span):
        self.ended += 1

count = Count()
tracer_provider = TracerProvider(shutdown_on_exit=False)
tracer_provider.add_span_processor(count)
metrics = InMemoryMetricReader()
otel_genai.instrument(
    toy.PROVIDER, "openai", capture="SPAN_ONLY",
    tracer_provider=tracer_provider, meter_provider=MeterProvider([metrics], shutdown_on_exit=False),
)

sync, later = toy.Client(), toy.AsyncClient()
openai = ways.client(ways.Wire(["chat"]))

async def awaited():
    return await later.chat()

async def left():
    async for event in await later.chat(stream=True):
        break

def run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value

def refused():
    try:
        toy.Client(lambda body: 1 / 0).chat()
    except ZeroDivisionError:
        pass

def nested():
    with otel_genai.context(conversation_id="c-1"), otel_genai.inference("m", provider="p"):
        sync.chat()

READ = [
    sync.chat,
    lambda: list(sync.chat(stream=True)),
    lambda: run(awaited()),
    lambda: list(sync.chat(stream=True, raw=True).iter_raw()),
    refused,
    nested,
    sync.embed,
    lambda: list(sync.chat(stream=True)),
]
LEFT = [
    lambda: sync.chat(stream=True),
    lambda: next(sync.chat(stream=True)),
    lambda: next(iter(sync.chat(stream=True))),
    lambda: next(sync.chat(stream=True, raw=True).iter_raw()),
    lambda: sync.chat(raw=True),
    lambda: sync.chat(stream=True).close(),
    lambda: run(left()),
    lambda: run(later.chat(stream=True)),
]

def real(index):
    openai._client._transport.handler.__self__.requests.clear()
    if index % 3:
        openai.chat.completions.create(**ways.CHAT)
    else:
        next(openai.chat.completions.create(**ways.CHAT, stream=True))

def call(index):
    if index % 20 == 7:
        real(index // 20)
    elif index % 3:
        READ[index // 3 % len(READ)]()
    else:
        LEFT[index // 3 % len(LEFT)]()

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

blocks, sizes = [], []
for window in range(WINDOWS):
    for index in range(CALLS // WINDOWS):
        call(index)
    metrics.get_metrics_data()
    gc.collect()
    _guard.settle()
    gc.collect()
    blocks.append(sys.getallocatedblocks())
    sizes.append(resident() if sys.platform == "linux" else 0)

_guard.settle()
gc.collect()
OURS = {_call.Call, _context.Scope, otel_genai.context().__class__, _streams.Reading, _bodies.Tee, Request}
left_over = Counter(type(thing).__qualname__ for thing in gc.get_objects() if type(thing) in OURS)
print(json.dumps({"ended": count.ended, "blocks": blocks, "sizes": sizes, "left": left_over}))
"""


LOCKED = """
import faulthandler, gc
import toy
from opentelemetry.sdk.metrics._internal.exemplar import exemplar_reservoir as reservoirs
from otel_genai import testing

faulthandler.dump_traceback_later(10, exit=True)
gc.disable()
def collect_first(method):
    def collecting(*args, **kwargs):
        gc.collect()  # Python may do so at any time, such as here, where the SDK holds its lock
        return method(*args, **kwargs)
    return collecting

class Circle:
    pass

def left_in_a_circle():
    circle = Circle()
    circle.itself, circle.stream = circle, toy.Client().chat(stream=True)

with testing.capture(toy.PROVIDER) as seen:
    toy.Client().chat()
    left_in_a_circle()
    for name in ("SimpleFixedSizeExemplarReservoir", "AlignedHistogramBucketExemplarReservoir"):
        cls = getattr(reservoirs, name)
        cls._find_bucket_index = collect_first(cls._find_bucket_index)
    toy.Client().chat(stream=True).close()
    toy.Client().chat()
print(len(seen.spans))
"""


def test_garbage_collected_while_the_sdk_holds_a_lock_blocks_nothing():
    """A dropped stream in a circle is told when it is safe to, not from within the SDK's own recording."""
    assert ran(LOCKED, timeout=30) == "4\n"


def measured(calls):
    """Make the calls in a program of their own."""
    return json.loads(ran(PROGRAM, str(calls), timeout=1000))


def ran(code, *arguments, timeout):
    """Run a program of its own that complains of nothing, and give what it printed."""
    done = program(code, *arguments, timeout=timeout)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    "calls",
    [pytest.param(CALLS // 10, id="a tenth"), pytest.param(CALLS, id="all", marks=pytest.mark.soak)],
)
@pytest.mark.timeout(1000)
def test_memory_is_flat_however_calls_end(calls):
    """Each call gave its span, none of our objects is left, and the last window holds what the first did."""
    found = measured(calls)
    assert found["ended"] == calls
    assert found["left"] == {}
    first, *_, last = found["blocks"]
    assert last - first < max(2500, calls // 20), found["blocks"]  # not one in four calls leaves anything
    _, second, *_, last = found["sizes"]
    assert last - second < 4 * 1024 * 1024, found["sizes"]
