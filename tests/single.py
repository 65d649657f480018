"""Programs of the back end one by one, each on free ports: started, killed, asked, and sent OTLP."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from programs import BIN, COLLECTOR
from stack import DIRECT, Ports, Program
from typing_extensions import Self

from e2e.backends import OWN_METRIC, Counts, get

HOST = "127.0.0.1"
SECOND = 1_000_000_000
NAME = "otel-gateway"
PATHS = {
    ExportTraceServiceRequest: "/v1/traces",
    ExportMetricsServiceRequest: "/v1/metrics",
    ExportLogsServiceRequest: "/v1/logs",
}
PROTOBUF = "application/x-protobuf"
LARGEST = 64 * 1024 * 1024


class Single(Program):
    """One program; its place in the file system is its own."""

    def __init__(
        self, name: str, root: Path, command: Iterable[str], ready: str, env: Mapping[str, str]
    ) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        super().__init__(name, tuple(command), ready, root / name, inherited | dict(env))

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        self.start()
        self.wait_ready(time.monotonic() + 60)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill(self) -> None:
        """End it as a crash would: at once, with no chance to write anything."""
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGKILL)
        self._child.wait()


class Collector(Single):
    """A Collector with one of the project's files, or a changed one."""

    def __init__(self, root: Path, file: str | Path, name: str = "", **env: str) -> None:
        self.ports = Ports.free()
        config = COLLECTOR / file  # an absolute one stays what it is
        place = root / (name or Path(file).stem)
        super().__init__(
            place.name,
            root,
            (str(BIN / "otelcol"), f"--config={config}"),
            f"http://{HOST}:{self.ports.collector_health}/",
            {
                **self.ports.env(),
                "COLLECTOR_QUEUE": str(place / "queue"),
                "COLLECTOR_EVENTS_FILE": str(place / "events.jsonl"),
                "GATEWAY_CONTENT": str(place / "content"),
                **env,
            },
        )

    @property
    def grpc(self) -> str:
        """Where it takes OTLP over gRPC."""
        return f"{HOST}:{self.ports.collector_grpc}"

    def counts(self) -> Counts:
        """Ask for its own metrics, summed by name."""
        sums: Counts = {}
        for name, value in OWN_METRIC.findall(get(f"http://{HOST}:{self.ports.collector_metrics}/metrics")):
            sums[name] = sums.get(name, 0.0) + float(value)
        return sums

    def send(self, message: Message, *, authority: Path | None = None, token: str = "") -> int:
        """Send one export over HTTP and give the answer's status."""
        return self.post(PATHS[type(message)], message.SerializeToString(), authority=authority, token=token)

    def post(
        self, path: str, body: bytes, kind: str = PROTOBUF, *, authority: Path | None = None, token: str = ""
    ) -> int:
        """Send anything over HTTP and give the answer's status; 0 where none came."""
        headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})
        place = f"{HOST}:{self.ports.collector_http}{path}"
        opener = DIRECT
        if authority:
            context = ssl.create_default_context(cafile=authority)
            context.check_hostname = False  # the certificate is for the gateways' name
            secure = urllib.request.HTTPSHandler(context=context)
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), secure)
        url = f"{'https' if authority else 'http'}://{place}"
        try:
            with opener.open(urllib.request.Request(url, body, headers), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def send_grpc(self, message: Message, *, authority: Path | None = None, token: str = "") -> str:
        """Send one export of spans over gRPC and give the name of the answer's status."""
        options = [
            ("grpc.max_send_message_length", LARGEST),
            ("grpc.enable_http_proxy", 0),
            ("grpc.ssl_target_name_override", NAME),
        ]
        if authority:
            credentials = grpc.ssl_channel_credentials(authority.read_bytes())
            channel = grpc.secure_channel(self.grpc, credentials, options)
        else:
            channel = grpc.insecure_channel(self.grpc, options[:2])
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        with channel:
            try:
                TraceServiceStub(channel).Export(message, timeout=30, metadata=metadata)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"


class Jaeger(Single):
    """The project's Jaeger."""

    def __init__(self, root: Path) -> None:
        self.ports = Ports.free()
        super().__init__(
            "jaeger",
            root,
            (str(BIN / "jaeger"), f"--config=file:{COLLECTOR / 'jaeger.yaml'}"),
            f"http://{HOST}:{self.ports.jaeger_health}/status",
            {
                **self.ports.env(),
                "JAEGER_DATA": str(root / "jaeger" / "data"),
                "OTEL_TRACES_SAMPLER": "always_off",
            },
        )

    @property
    def otlp(self) -> str:
        """Where it takes what the Collector has."""
        return f"{HOST}:{self.ports.jaeger_otlp}"

    def spans(self, service: str) -> list[dict[str, Any]]:
        """Give all spans of a service, in OTLP's JSON."""
        text = get(
            f"http://{HOST}:{self.ports.jaeger_ui}/api/v3/traces",
            **{
                "query.service_name": service,
                "query.start_time_min": "2020-01-01T00:00:00Z",
                "query.start_time_max": "2100-01-01T00:00:00Z",
                "query.num_traces": "100000",
            },
        )
        groups = json.loads(text)["result"]["resourceSpans"] if text else []
        return [span for group in groups for scoped in group["scopeSpans"] for span in scoped["spans"]]

    def ids(self, service: str) -> set[str]:
        """Give the id of every span of a service."""
        return {span["spanId"] for span in self.spans(service)}


class Prometheus(Single):
    """A Prometheus that takes OTLP, and nothing else."""

    def __init__(self, root: Path) -> None:
        self.port = Ports.free().prometheus
        config = root / "prometheus.yaml"
        config.write_text("storage: {tsdb: {out_of_order_time_window: 2h}}\n")
        super().__init__(
            "prometheus",
            root,
            (
                str(BIN / "prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={root / 'prometheus' / 'data'}",
                f"--web.listen-address={HOST}:{self.port}",
                "--web.enable-otlp-receiver",
            ),
            f"http://{HOST}:{self.port}/-/ready",
            {},
        )

    @property
    def otlp(self) -> str:
        """Where it takes what the Collector has."""
        return f"http://{HOST}:{self.port}/api/v1/otlp"

    def value(self, query: str) -> float:
        """Ask for one number; nothing found is 0."""
        found = json.loads(get(f"http://{HOST}:{self.port}/api/v1/query", query=query))["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0


# --- What is sent ----------------------------------------------------------------------------------------


def value(plain: Any) -> AnyValue:
    """Spell a value as OTLP does."""
    if isinstance(plain, str):
        return AnyValue(string_value=plain)
    if isinstance(plain, bool):
        return AnyValue(bool_value=plain)
    if isinstance(plain, int):
        return AnyValue(int_value=plain)
    if isinstance(plain, float):
        return AnyValue(double_value=plain)
    found = AnyValue()
    if isinstance(plain, dict):
        found.kvlist_value.values.extend(attributes(plain))
    else:
        found.array_value.values.extend(value(one) for one in plain)
    return found


def attributes(plain: Mapping[str, Any]) -> list[KeyValue]:
    """Spell attributes as OTLP does."""
    return [KeyValue(key=key, value=value(one)) for key, one in plain.items()]


def span(number: int, seconds: float = 0.01, parent: int = 0, trace: int = 0, **more: Any) -> Span:
    """Make a span that ended now; its id is the number, and its trace's unless told."""
    end = time.time_ns()
    return Span(
        trace_id=(trace or number).to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=more.pop("name", "chat gpt-4o"),
        start_time_unix_nano=end - int(seconds * SECOND),
        end_time_unix_nano=end,
        **more,
    )


def traces(service: str, spans: Iterable[Span]) -> ExportTraceServiceRequest:
    """Put spans into one export."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(attributes({"service.name": service}))
    group.scope_spans.add().spans.extend(spans)
    return request


def ids(spans: Iterable[Span]) -> set[str]:
    """Give the ids as Jaeger spells them."""
    return {one.span_id.hex() for one in spans}


# --- Files -----------------------------------------------------------------------------------------------


def switched_on(file: str, place: Path) -> Path:
    """Write a file of the project with the lines switched on that begin with `#:`."""
    changed = place / file
    text = (COLLECTOR / file).read_text()
    assert "#: " in text
    changed.write_text(re.sub(r"^( *)#: ", r"\1", text, flags=re.MULTILINE))
    return changed


@functools.cache
def certificate(place: Path) -> dict[str, str]:
    """Make a certificate for the gateways' name, signed by its own key, and a file with a token."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"),
            *("-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    (place / "token").write_text("right-token\n")
    return {
        "COLLECTOR_CERT_FILE": str(place / "cert.pem"),
        "COLLECTOR_KEY_FILE": str(place / "key.pem"),
        "COLLECTOR_TOKEN_FILE": str(place / "token"),
        "GATEWAY_CA_FILE": str(place / "cert.pem"),
        "GATEWAY_TOKEN_FILE": str(place / "token"),
    }


@contextlib.contextmanager
def all_of(*programs: Single) -> Iterator[None]:
    """Run several programs."""
    with contextlib.ExitStack() as stack:
        for program in programs:
            stack.enter_context(program)
        yield
