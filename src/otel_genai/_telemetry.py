"""Tracer, instruments and event logger, made once from the settings and the providers at hand."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Mapping
from functools import cached_property, partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, metrics, trace
from opentelemetry._logs import LogRecord, SeverityNumber

from otel_genai import _guard, _tally
from otel_genai import semconv as s
from otel_genai.settings import Settings, from_env

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

    from otel_genai._cost import Costs
    from otel_genai._judging import Judging
    from otel_genai._upload import Uploads

logger = logging.getLogger(__name__)

SCOPE = "otel_genai"
FAILURES = 10
"""How often in a row an operation may fail before it is switched off."""
STRICT = "_OTEL_GENAI_STRICT"
"""Private switch: with 1 in this environment variable our own failures raise. Set by our tests."""


class Telemetry:
    """Everything that the engine emits goes out through here."""

    judging: Judging | None = None
    """Who judges answers, if anybody does."""

    def __init__(
        self,
        settings: Settings,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
    ) -> None:
        """Take the given providers, or the global ones, which may also be set up later."""
        from otel_genai import __version__ as version  # noqa: PLC0415 (the package imports this module)

        self.settings = settings
        self._version, self._schema = version, s.SCHEMA_URLS[settings.semconv]
        self._providers = tracer_provider, meter_provider
        self._events = _logs.get_logger(SCOPE, version, logger_provider, self._schema)
        self._instruments: dict[str, Any] = {}
        self._tallies = _tally.of(meter_provider)
        self.caps = self._tallies.caps
        self.caps.limit = settings.metric_limit
        self._reported: set[tuple[str, str]] = set()
        self.failures: dict[tuple[str, str], int] = {}
        self.off: set[tuple[str, str]] = set()
        self._strict = os.environ.get(STRICT) == "1"
        self.uploads = self._uploaded() if settings.completion_hook is not None else None

    def prepare(self) -> None:
        """Make what the first call would have to wait for, as a program that makes no call need not."""
        _ = self.tracer, self._meter, self.costs

    @cached_property
    def tracer(self) -> Tracer:
        """What makes spans."""
        return trace.get_tracer(SCOPE, self._version, self._providers[0], self._schema, self._edition)

    @cached_property
    def _meter(self) -> Meter:
        return metrics.get_meter(SCOPE, self._version, self._providers[1], self._schema, self._edition)

    @cached_property
    def _edition(self) -> dict[str, str] | None:
        """Say which prices are in use."""
        if not self.settings.is_priced:
            return None
        from otel_genai import _cost  # noqa: PLC0415 (programs without prices need not wait for it)

        return _cost.scope()

    @cached_property
    def costs(self) -> Costs | None:
        """What counts what calls cost; None where they have no prices."""
        if not self.settings.is_priced:
            return None
        from otel_genai import _cost  # noqa: PLC0415 (as above)

        histogram = self.histogram(s.OPERATION_COST) if self.settings.cost_histogram else None
        fail = partial(self.failed, "cost", "price")
        return _cost.start(self.settings.prices, self.tally, histogram, fail, wanted=self.settings.cost)

    def _uploaded(self) -> Uploads:
        from otel_genai import _upload  # noqa: PLC0415 (only programs that ask for it wait for it)

        return _upload.Uploads(self.settings.completion_hook, self._lost)

    def _lost(self, why: str) -> None:
        """Count content that did not reach its store."""
        try:
            self.tally(s.UPLOADS_LOST).add(1, ((s.ERROR_TYPE, why),))
        except Exception as error:  # noqa: BLE001 (it may be the hook's own thread that says so)
            self.failed("content", "upload", error)

    def histogram(self, metric: s.Metric) -> Histogram:
        """Make a metric's histogram, once."""
        if metric.name not in self._instruments:
            self._instruments[metric.name] = self._meter.create_histogram(
                metric.name,
                unit=metric.unit,
                description=metric.description,
                explicit_bucket_boundaries_advisory=metric.buckets,
            )
        histogram: Histogram = self._instruments[metric.name]
        return histogram

    def counter(self, metric: s.Metric) -> Counter:
        """Make a metric's counter, once."""
        if metric.name not in self._instruments:
            self._instruments[metric.name] = self._meter.create_counter(
                metric.name, unit=metric.unit, description=metric.description
            )
        counter: Counter = self._instruments[metric.name]
        return counter

    def tally(self, metric: s.Metric) -> _tally.Tally:
        """Give a metric's counter that is read when metrics are collected: it takes no exemplars."""
        return self._tallies.counter(self._meter, metric)

    def event(self, name: str, attributes: Mapping[str, Any], context: Context) -> LogRecord:
        """Make an event that belongs to the span in `context`."""
        return LogRecord(
            event_name=name,
            attributes=attributes,
            context=context,
            severity_number=SeverityNumber.DEBUG,
            severity_text="DEBUG",
        )

    def emit(self, event: LogRecord) -> None:
        """Send an event on its way."""
        self._events.emit(event)

    def failed(
        self, provider: str, operation: str, error: Exception, *, again: bool = False, private: bool = False
    ) -> None:
        """Keep a failure of ours away from the caller: count it, log the first of its kind.

        One that came `again` in the same call counts no further towards switching off. What a `private` one
        says is not logged: it was given content, and may repeat it.
        """
        if self._strict:
            raise error
        try:
            self.counter(s.INTERNAL_ERRORS).add(1, {s.PROVIDER_NAME: provider, s.OPERATION_NAME: operation})
        except Exception:
            logger.debug("a failure could not be counted", exc_info=True)
        if not again:
            self._count((provider, operation))
        if (provider, operation) not in self._reported:
            self._reported.add((provider, operation))
            where = "".join(traceback.format_tb(error.__traceback__))
            logger.warning(
                "otel-genai failed on %s %s; the call itself is not affected%s",
                provider,
                operation,
                f": {type(error).__qualname__}\n{where}" if private else "",
                exc_info=None if private else error,
            )

    def _count(self, who: tuple[str, str]) -> None:
        """Switch off what fails again and again: the next `instrument()` starts anew."""
        self.failures[who] = self.failures.get(who, 0) + 1
        if self.failures[who] == FAILURES and who not in self.off:
            self.off.add(who)
            logger.warning("otel-genai switches %s %s off, as it failed %d times in a row", *who, FAILURES)


_COUNTED = (s.PROVIDER_NAME, s.REQUEST_MODEL, s.JUDGE)
_PLAIN = (str, int, type(None))
_KNOWN = 1000
"""How many time series are remembered, so that a call need not put their attributes together again."""


def _sorted(dimensions: dict[str, Any]) -> dict[str, Any]:
    """Put attributes in the order that the SDK puts them in for every point."""
    return dict(sorted(dimensions.items()))


class Series:
    """The attributes that a call has on its metrics; they are shared, so nobody may change them."""

    __slots__ = ("dimensions", "ended", "input", "output")

    def __init__(self, dimensions: dict[str, Any]) -> None:
        """Put together what the metrics of such calls carry."""
        self.dimensions = _sorted(dimensions)
        self.input = _sorted({**dimensions, s.TOKEN_TYPE: "input"})
        self.output = _sorted({**dimensions, s.TOKEN_TYPE: "output"})
        self.ended: dict[str, _tally.Key] = {}
        """Outcome -> what the counter of calls has."""

    def end(self, outcome: str) -> _tally.Key:
        """Put together what the counter of calls has where they ended so."""
        who = [(key, self.dimensions[key]) for key in _COUNTED if key in self.dimensions]
        key = self.ended[outcome] = ((s.OUTCOME, outcome), *who)
        return key


class Meters:
    """The instruments of one operation, in the generations that the settings ask for."""

    def __init__(
        self,
        telemetry: Telemetry,
        operation: str,
        *,
        remote: bool = True,
        without: frozenset[str] = frozenset(),
        signals: s.Signals | None = None,
    ) -> None:
        """Resolve every instrument now, but for those `without` which somebody else records the same."""
        generation = telemetry.settings.semconv
        inference = operation in s.INFERENCE
        published = generation != "latest"
        latest = generation != "published"
        signals = signals or s.signals(operation, generation, remote=remote)
        self._keys = (*signals.metric_attributes, s.JUDGE)
        # Of one key it would give no tuple.
        self._values = itemgetter(s.OPERATION_NAME, *signals.metric_attributes)
        self._series: dict[tuple[Any, ...], Series] = {}
        self._caps = telemetry.caps
        self._further = telemetry.settings.metric_dimensions
        self._durations = [
            telemetry.histogram(metric) for metric in signals.durations if metric.name not in without
        ]
        self._first: list[Histogram] = []
        self._gaps: list[Histogram] = []
        self._usage = None
        self._calls = telemetry.tally(s.CALLS) if operation in s.MODEL_CALLS else None
        self._totals: dict[str, Histogram] = {}
        self._counters: dict[str, Counter] = {}
        if inference and published and s.TIME_TO_FIRST_CHUNK.name not in without:
            self._first.append(telemetry.histogram(s.TIME_TO_FIRST_CHUNK))
        if inference and published and s.TIME_PER_OUTPUT_CHUNK.name not in without:
            self._gaps.append(telemetry.histogram(s.TIME_PER_OUTPUT_CHUNK))
        if inference and latest:
            self._first.append(telemetry.histogram(s.INFERENCE_TIME_TO_FIRST_CHUNK))
            self._gaps.append(telemetry.histogram(s.INFERENCE_TIME_PER_OUTPUT_CHUNK))
            self._totals = {
                s.USAGE_INPUT_TOKENS: telemetry.histogram(s.INFERENCE_INPUT_TOKENS),
                s.USAGE_OUTPUT_TOKENS: telemetry.histogram(s.INFERENCE_OUTPUT_TOKENS),
            }
            self._counters = {key: telemetry.counter(metric) for key, metric in s.USAGE_COUNTERS.items()}
        if published and (inference or operation == s.EMBEDDINGS) and s.TOKEN_USAGE.name not in without:
            self._usage = telemetry.histogram(s.TOKEN_USAGE)

    def call(self, outcome: str, series: Series, found: Mapping[str, Any]) -> None:
        """Count a call by how it ended."""
        if self._calls is not None:
            key = series.ended.get(outcome) or series.end(outcome)
            self._calls.add(1, (*key, *self._caps.pairs(self._further, found)) if self._further else key)

    def series(self, found: Mapping[str, Any]) -> Series:
        """Give the attributes that the metrics of an operation have."""
        try:
            values = (found.get(s.JUDGE), *self._values(found))  # at the speed of C
        except KeyError:
            values = tuple(map(found.get, self._keys))
        try:
            return self._series[values]
        except (KeyError, TypeError):  # it is new, or has a value that is for the span alone
            series = Series(dict(self._caps.pairs(self._keys, found)))
        if len(self._series) >= _KNOWN:
            self._series.clear()
        if all(type(value) in _PLAIN for value in values):
            self._series[values] = series
        return series

    def further(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Give the attributes that counters have besides, as the settings say."""
        return dict(self._caps.pairs(self._further, found))

    def failure(self, error: str) -> dict[str, Any]:
        """Give the attribute that says what went wrong: capped, as a provider may have written it."""
        return {s.ERROR_TYPE: self._caps.keep(s.ERROR_TYPE, error)}

    def duration(self, seconds: float, attributes: Mapping[str, Any], context: Context) -> None:
        """Record how long the operation took."""
        for histogram in self._durations:
            histogram.record(seconds, attributes, context)

    def first_chunk(self, seconds: float, attributes: Mapping[str, Any], context: Context) -> None:
        """Record the wait for the first chunk of output."""
        for histogram in self._first:
            histogram.record(seconds, attributes, context)

    def gap(self, seconds: float, attributes: Mapping[str, Any], context: Context) -> None:
        """Record the wait from one chunk to the next."""
        for histogram in self._gaps:
            histogram.record(seconds, attributes, context)

    def tokens(self, found: Mapping[str, Any], series: Series, context: Context) -> None:
        """Record the token counts among the attributes found; what is absent is not recorded."""
        attributes = series.dimensions
        if self._usage is not None:
            if s.USAGE_INPUT_TOKENS in found:
                self._usage.record(found[s.USAGE_INPUT_TOKENS], series.input, context)
            if s.USAGE_OUTPUT_TOKENS in found:
                self._usage.record(found[s.USAGE_OUTPUT_TOKENS], series.output, context)
        if not self._totals:
            return
        for key, histogram in self._totals.items():
            if key in found:
                histogram.record(found[key], attributes, context)
        for key, counter in self._counters.items():
            if key in found:
                counted = {**attributes, **self.further(found)}
                for modality, count in _by_modality(key, found).items():
                    counter.add(count, {**counted, s.TOKEN_MODALITY: modality}, context)


def _by_modality(key: str, found: Mapping[str, Any]) -> dict[str, int]:
    """Split a count as far as the provider did; the rest is of unknown modality."""
    known = {modality: found[part] for modality, part in s.MODALITIES.get(key, {}).items() if found.get(part)}
    rest = found[key] - sum(known.values())
    return {**known, s.MODALITY_UNKNOWN: rest} if rest > 0 or not known else known


_active: list[Telemetry] = []


def use(telemetry: Telemetry) -> None:
    """Make this the one that spans by hand go to."""
    _guard.watch()
    _active[:] = [telemetry]


def active() -> Telemetry:
    """Give the one in use; before `instrument()`, one made from the environment."""
    if not _active:
        use(Telemetry(from_env()))
    return _active[0]


def settle(timeout: float = 10.0) -> None:
    """Tell what is late: streams that the garbage collector found, judgements, costs without their prices."""
    _guard.settle(timeout)
    for module in ("_judging", "_cost"):  # imported by those who want judges, or prices
        late = sys.modules.get(f"otel_genai.{module}")
        if late is not None:
            late.settle(timeout)
