"""Switching on and off: `instrument()`, `uninstrument()`, `configure()`, and the one entry point."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable, Collection
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from otel_genai import _emitters, _patching, _telemetry
from otel_genai._processor import ContextProcessor
from otel_genai.providers import REGISTRY
from otel_genai.settings import VARIABLES, Settings, from_env

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from otel_genai.spec import Provider

logger = logging.getLogger(__name__)

_said: set[str] = set()


def instrument(
    *providers: str | Provider,
    settings: Settings | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    **overrides: Any,
) -> None:
    """See every LLM call from now on. No SDK is imported; each is patched when the program imports it.

    Args:
        providers: names (`"openai"`) or a `Provider` of your own; none means all we know.
        settings: the settings as one object, instead of the environment.
        tracer_provider: used instead of the global one.
        meter_provider: used instead of the global one.
        logger_provider: used instead of the global one.
        overrides: single settings, such as `capture="SPAN_ONLY"`, over the environment.

    Raises:
        ValueError: a provider or a setting's value is not known; the message says what is.
        TypeError: a setting is not known.
    """
    if settings is not None and overrides:
        msg = f"instrument() takes settings or single ones, not both: leave out {', '.join(overrides)}"
        raise TypeError(msg)
    chosen = settings if settings is not None else from_env(**overrides)
    _check_disabled(chosen, strict=settings is not None or "disabled" in overrides)
    wanted = {_name(provider): provider for provider in providers or REGISTRY}
    _carry(chosen)
    telemetry = _telemetry.Telemetry(chosen, tracer_provider, meter_provider, logger_provider)
    if chosen.judges:
        from otel_genai import _judging  # noqa: PLC0415 (only programs that ask for it wait for it)

        telemetry.judging = _judging.Judging(telemetry)
    _telemetry.use(telemetry)
    _emitters.stopped = False
    for name, provider in wanted.items():
        if name in chosen.disabled:
            _patching.remove(name)
        else:
            _patching.install(name, telemetry, None if isinstance(provider, str) else provider)
    if tracer_provider is None:
        _say_if_nothing_is_set_up()


def _name(provider: str | Provider) -> str:
    if isinstance(provider, str) and provider in REGISTRY:
        return provider
    from otel_genai.spec import Provider  # noqa: PLC0415 (slow to import, and few have one of their own)

    if isinstance(provider, Provider):
        return provider.name
    msg = f"no provider {provider!r}; known are {', '.join(REGISTRY)}"
    raise ValueError(msg)


def _carry(settings: Settings) -> None:
    """Have the context go along as the settings say; what nobody has asked for is not imported."""
    if settings.threads:
        from otel_genai import _threads  # noqa: PLC0415 (only programs that ask for it wait for it)

        _threads.install()
    else:
        _stop("_threads")
    if settings.baggage:
        from otel_genai import _outgoing  # noqa: PLC0415 (as above)

        _outgoing.install(settings.baggage, settings.baggage_hosts)
    else:
        _stop("_outgoing")


def _stop(module: str) -> None:
    """Undo what a module of ours has done, if anybody ever imported it."""
    if f"otel_genai.{module}" in sys.modules:
        importlib.import_module(f"otel_genai.{module}").remove()


def _check_disabled(settings: Settings, *, strict: bool) -> None:
    """Say that what is to be left alone is nothing that we know."""
    unknown = {name for name in settings.disabled - set(REGISTRY) if _emitters.known(name) is None}
    if unknown:
        where = "disabled" if strict else VARIABLES["disabled"]
        scopes = ", ".join(scope for one in _emitters.EMITTERS for scope in one.scopes)
        msg = f"{where}: no provider, nor a library's scope: {', '.join(sorted(unknown))}; "
        msg += f"providers are {', '.join(REGISTRY)}; scopes are {scopes}"
        if strict:
            raise ValueError(msg)
        logger.warning("%s", msg)


def _say_if_nothing_is_set_up() -> None:
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider) and "no sdk" not in _said:
        _said.add("no sdk")
        logger.warning(
            "No OpenTelemetry SDK is set up, so nothing will be exported until one is: start the program "
            "under opentelemetry-instrument (pip install 'otel-genai[distro]'), call otel_genai.configure() "
            "instead of instrument(), or set a TracerProvider of your own."
        )


def uninstrument(*providers: str | Provider) -> None:
    """Take the hooks away, and leave every SDK as it was.

    Args:
        providers: names, or a `Provider` of your own; none means all.
    """
    for name in [_name(provider) for provider in providers] or _patching.installed():
        _patching.remove(name)
    if not providers:
        _stop("_threads")
        _stop("_outgoing")
        _emitters.stopped = True


def providers() -> list[_patching.Status]:
    """Say of every provider whether it is patched, and if not, why.

    Libraries whose own spans are adopted are none of them: `otel-genai doctor` names those.
    """
    return _patching.statuses(_telemetry.active().settings.disabled)


def configure(*providers: str | Provider, **overrides: Any) -> None:
    """Set up the OpenTelemetry SDK with OTLP export from the standard variables, then instrument.

    For notebooks and scripts that are not started under `opentelemetry-instrument`. A provider that is
    already set up is used as it is. Call `flush()` before reading the results elsewhere.

    Args:
        providers: as for `instrument()`.
        overrides: as for `instrument()`.
    """
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # noqa: PLC0415 (slow to import)

        for signal in ("TRACES", "METRICS", "LOGS"):
            os.environ.setdefault(f"OTEL_{signal}_EXPORTER", "otlp")
        _OTelSDKConfigurator().configure()  # type: ignore[no-untyped-call]  # the SDK lacks the types
        _tell_others()
    else:
        logger.info("an OpenTelemetry SDK is already set up; configure() uses it as it is")
    instrument(*providers, **overrides)


def _tell_others() -> None:
    """Have spans of others say whose call it was, too."""
    provider: Any = trace.get_tracer_provider()
    if hasattr(provider, "add_span_processor"):
        provider.add_span_processor(ContextProcessor())


def flush(timeout: float = 10.0) -> bool:
    """Send what has been recorded so far.

    Args:
        timeout: seconds to wait at most.

    Returns:
        Whether the SDK was done in time. What a back end did not take is in the SDK's log.
    """
    deadline = monotonic() + timeout
    _telemetry.settle(timeout)
    done: list[bool] = []

    def send(force_flush: Callable[[int], Any]) -> None:
        try:
            done.append(force_flush(int(timeout * 1000)) is not False)
        except Exception as error:  # noqa: BLE001 (the SDK raises what it could not do in time)
            logger.warning("not everything was sent: %s", error)

    # The SDK's own limits hold for one attempt, not for all of them, so the waiting is done here.
    everybody = (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider())
    able = [provider.force_flush for provider in everybody if hasattr(provider, "force_flush")]
    threads = [Thread(target=send, args=(force_flush,), daemon=True) for force_flush in able]
    for thread in threads:
        _start(thread)
    for thread in threads:
        if thread.is_alive():
            thread.join(max(0.0, deadline - monotonic()))
    return len(done) == len(able) and all(done)


def _start(thread: Thread) -> None:
    try:
        thread.start()
    except RuntimeError:  # from 3.12 on, Python starts no more threads when it is about to end
        thread.run()


class Instrumentor(BaseInstrumentor):  # type: ignore[misc]
    """What `opentelemetry-instrument` finds under the entry point `otel_genai`."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Ask for nothing: hooks wait for whichever SDK is imported."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        given = ("tracer_provider", "meter_provider", "logger_provider")
        instrument(**{name: kwargs[name] for name in given if kwargs.get(name) is not None})
        _tell_others()

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002 (the base class's signature)
        uninstrument()
