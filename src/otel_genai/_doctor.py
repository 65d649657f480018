"""`otel-genai doctor`: why do I see nothing? Looks at this environment, and tries what it can."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any

from opentelemetry import trace
from packaging.requirements import Requirement

from otel_genai import _emitters, _prices, instrumentor
from otel_genai.providers import SDK_MODULES
from otel_genai.settings import VARIABLES, Capture, Settings, from_env

TIMEOUT = 3
"""Seconds to wait for an endpoint."""

_PACKAGES = (
    "otel-genai",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp",
    "opentelemetry-instrumentation",
    "opentelemetry-distro",
    "wrapt",
)
_EXPORTERS = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
}
_EXPORTER_CLASSES = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report, and what to do about it if it is a problem."""

    subject: str
    text: str
    advice: str = ""


def main() -> int:
    """Print the report; 0 when nothing stands in the way, 2 when the user has to do something."""
    findings = list(report())
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        sys.stdout.write(f"{'!' if finding.advice else ' '} {finding.subject:<{width}}  {finding.text}\n")
    todo = [finding.advice for finding in findings if finding.advice]
    sys.stdout.write("\n" + ("To do:\n" if todo else "Nothing stands in the way.\n"))
    for number, advice in enumerate(dict.fromkeys(todo), 1):
        sys.stdout.write(f"  {number}. {advice}\n")
    return 2 if todo else 0


def report() -> Iterator[Finding]:
    """Look at everything in the order in which a call passes it."""
    warnings: list[str] = []
    with _listening("otel_genai.settings", warnings.append):
        settings = from_env()
    yield from _versions()
    yield from _set_up()
    yield from _providers(settings)
    yield from _others()
    yield from _native()
    yield from _settings(settings, warnings)
    yield from _service()
    yield from _exports()


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _versions() -> Iterator[Finding]:
    yield Finding("python", f"{platform.python_version()} at {sys.executable}")
    for package in _PACKAGES:
        found = _installed(package)
        if found is not None or package != "opentelemetry-distro":
            yield Finding(package, found or "not installed")


def _set_up() -> Iterator[Finding]:
    """Whether anything would set up an SDK for a program of this environment."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield Finding("SDK", "disabled", "unset OTEL_SDK_DISABLED: it switches all telemetry off")
    elif not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        yield Finding("SDK", f"set up: {type(trace.get_tracer_provider()).__qualname__}")
    elif entry_points(group="opentelemetry_configurator"):
        yield Finding("SDK", "to be set up by opentelemetry-instrument or otel_genai.configure()")
    else:
        yield Finding(
            "SDK",
            "opentelemetry-instrument finds no distro, so it sets up nothing",
            "pip install 'otel-genai[distro]', or call otel_genai.configure() in the program",
        )
    names = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if "otel_genai" in [name.strip() for name in names.split(",")]:
        yield Finding(
            "otel_genai",
            "left out by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
            "take otel_genai out of OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
        )


def _providers(settings: Settings) -> Iterator[Finding]:
    """Import the SDKs that are installed, and see which hooks fit."""
    with _listening("otel_genai", lambda _: None):  # what it warns of is found out below
        instrumentor.instrument(settings=Settings())
        problems = {name: _import(modules) for name, modules in SDK_MODULES.items()}
    for name, problem in problems.items():
        if problem:
            yield Finding(name, f"cannot be imported: {problem}", f"repair the installation of {name}")
    for status in instrumentor.providers():
        if status.name in settings.disabled:
            yield Finding(status.name, f"{status.version or ''} left out by OTEL_GENAI_DISABLED".strip())
        elif status.state == "patched":
            yield Finding(status.name, f"{status.version} patched: {', '.join(status.targets)}")
        elif status.state == "not installed":
            yield Finding(status.name, "not installed")
        else:
            advice = f"{status.name} {status.version or ''} cannot be traced: {status.reason or status.state}"
            yield Finding(status.name, f"{status.version} {status.state}: {status.reason}", advice)


def _import(modules: tuple[str, ...]) -> str:
    """Import an SDK if it is installed; say what went wrong."""
    return next(filter(None, map(_import_one, modules)), "")


def _import_one(module: str) -> str:
    """Import one module; not every version of an SDK has every one."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        return "" if f"{module}.".startswith(f"{error.name}.") else repr(error)
    except Exception as error:  # noqa: BLE001 (an SDK that cannot be imported is a finding)
        return repr(error)
    return ""


def _others() -> Iterator[Finding]:
    """Other instrumentations that would make second spans of the same calls."""
    for entry in entry_points(group="opentelemetry_instrumentor"):
        sdk = next((name for name in SDK_MODULES if name in entry.name.lower()), None)
        if sdk and entry.name != "otel_genai" and _installed(sdk):
            package = entry.dist.name if entry.dist else entry.value
            yield Finding(
                "also there",
                f"{package} instruments {sdk} too: two spans for every call",
                f"set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={entry.name}, or OTEL_GENAI_DISABLED={sdk}",
            )


def _native() -> Iterator[Finding]:
    """Libraries that make GenAI spans of their own."""
    told = {"on": "on by default", "off": "off by default", "private": "sent to a provider of its own"}
    for emitter in _emitters.EMITTERS:
        needed = Requirement(emitter.requires)
        found = _installed(needed.name)
        if found is not None and needed.specifier.contains(found, prereleases=True):
            how = f"{told[emitter.default]}; those that reach this program's provider are adopted"
            yield Finding(f"{needed.name} itself", f"{found} makes GenAI spans, {how}")


def _settings(settings: Settings, warnings: list[str]) -> Iterator[Finding]:
    yield from (Finding("settings", warning, f"correct it: {warning}") for warning in warnings)
    where = {
        Capture.NO_CONTENT: "no content is recorded",
        Capture.SPAN_ONLY: "messages are recorded on spans",
        Capture.EVENT_ONLY: "messages are recorded in events, which are logs",
        Capture.SPAN_AND_EVENT: "messages are recorded on spans and in events",
    }
    yield Finding("content", f"{settings.capture.value}: {where[settings.capture]} ({VARIABLES['capture']})")
    if settings.capture is not Capture.NO_CONTENT or settings.completion_hook is not None:
        names = [os.environ.get(VARIABLES[name], "").strip() for name in ("mask", "mask_pattern")]
        told = " and ".join(name for name in names if name) or "nothing is"
        yield Finding("masked", f"{told} ({VARIABLES['mask']}, {VARIABLES['mask_pattern']})")
    if settings.completion_hook is not None:
        yield Finding(
            "elsewhere", f"content goes to {settings.completion_hook} ({VARIABLES['completion_hook']})"
        )
    yield Finding("prices", _prices_of(settings))
    yield Finding("conventions", f"{settings.semconv} ({VARIABLES['semconv']})")


def _prices_of(settings: Settings) -> str:
    """Say by what calls are priced."""
    if not settings.is_priced:
        off = f"{VARIABLES['cost']}=false" if settings.cost is False else "pip install 'otel-genai[cost]'"
        return f"calls are not priced ({off}, {VARIABLES['prices']})"
    table = _prices.edition()
    own = [f"{len(settings.prices)} of your own"] if settings.prices else []
    listed = [f"{_prices.PACKAGE} {table.version}, the newest of {table.date}"] if table else []
    return "; ".join([*own, *listed]) + f" ({VARIABLES['prices']})"


def _service() -> Iterator[Finding]:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 (slow to import)

    name = str(Resource.create().attributes.get("service.name", ""))
    unnamed = name.startswith("unknown_service")
    yield Finding(
        "service.name", name, "set OTEL_SERVICE_NAME, by which back ends find the program" if unnamed else ""
    )


def _exports() -> Iterator[Finding]:
    """Send nothing, by the very exporters that a program would use."""
    for signal in _EXPORTER_CLASSES:
        upper = signal.upper()
        exporter = os.environ.get(f"OTEL_{upper}_EXPORTER", "otlp").strip()
        protocol = (
            os.environ.get(f"OTEL_EXPORTER_OTLP_{upper}_PROTOCOL")
            or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
            or "grpc"
        )
        if exporter == "none":
            advice = f"unset OTEL_{upper}_EXPORTER=none" if signal != "logs" else ""
            yield Finding(signal, "not exported", advice)
        elif exporter not in ("otlp", "otlp_proto_grpc", "otlp_proto_http"):
            yield Finding(signal, f"exporter {exporter}, not tried")
        else:
            protocol = {"otlp_proto_grpc": "grpc", "otlp_proto_http": "http/protobuf"}.get(exporter, protocol)
            yield _try(signal, protocol)


def _try(signal: str, protocol: str) -> Finding:
    if protocol not in _EXPORTERS:
        known = " or ".join(_EXPORTERS)
        return Finding(
            signal, f"protocol {protocol} is not known", f"set OTEL_EXPORTER_OTLP_PROTOCOL to {known}"
        )
    module, name = _EXPORTER_CLASSES[signal]
    exporter = getattr(importlib.import_module(f"{_EXPORTERS[protocol]}.{module}"), name)(timeout=TIMEOUT)
    endpoint = exporter._endpoint
    where = f"{protocol} to {endpoint}"
    said: list[str] = []
    with _listening("opentelemetry", said.append):
        sent = exporter.export(_nothing(signal))
        exporter.shutdown()
    if sent.name == "SUCCESS":
        return Finding(signal, f"{where}: answers")
    reason = max(said, key=len).splitlines()[0] if said else "no answer"
    return Finding(
        signal,
        f"{where}: {reason}",
        f"start a Collector at {endpoint.partition('/v1/')[0]}, or set OTEL_EXPORTER_OTLP_ENDPOINT (and "
        "OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_HEADERS) to one that answers",
    )


def _nothing(signal: str) -> Any:
    if signal != "metrics":
        return []
    from opentelemetry.sdk.metrics.export import MetricsData  # noqa: PLC0415 (slow to import)

    return MetricsData(resource_metrics=[])


@contextlib.contextmanager
def _listening(name: str, hear: Callable[[str], None]) -> Iterator[None]:
    """Hear what a logger says, alone, so that it becomes part of the report."""
    logger, handler = logging.getLogger(name), logging.Handler()
    propagates = logger.propagate
    handler.emit = lambda record: hear(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
