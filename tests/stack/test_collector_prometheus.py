"""An agent and a Prometheus that asks who is there, with the real programs: TLS, certificates, passwords."""

from __future__ import annotations

import base64
import json
import re
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from programs import COLLECTOR

from e2e.backends import eventually
from single import HOST, Collector, Prometheus, Single, all_of, switched_on

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

METRIC = "pushed"
USER, PASSWORD = "agent", "right-password"
HASH = "$2b$04$abcdefghijklmnopqrstuuS80hwFD6gSIL20SCUGvmL7S939BjOHW"
"""The password as Prometheus has it."""


@dataclass(frozen=True)
class Identity:
    """A certificate that is signed by its own key, and so its own authority."""

    place: Path
    name: str

    def __post_init__(self) -> None:
        """Make it."""
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-nodes", "-days", "2", "-subj", f"/CN={self.name}"),
                *("-addext", f"subjectAltName=IP:{HOST}", "-keyout", self.key, "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )

    @property
    def certificate(self) -> str:
        """The file of the certificate."""
        return str(self.place / f"{self.name}.cert.pem")

    @property
    def key(self) -> str:
        """The file of its key."""
        return str(self.place / f"{self.name}.key.pem")


class Fleet:
    """What a test needs: who is who, a Prometheus that asks, and agents."""

    def __init__(self, root: Path, keys: dict[str, str]) -> None:
        """Make the certificates; nothing runs yet."""
        self.root, self.keys = root, keys
        self.server, self.agent, self.stranger = (
            Identity(root, name) for name in ("prometheus", "agent", "stranger")
        )

    def guarded(self, **web: Any) -> Guarded:
        """Give the Prometheus, with what is to stand in its web configuration besides."""
        tls = {"cert_file": self.server.certificate, "key_file": self.server.key, **web.pop("tls", {})}
        return Guarded(self.root, {"tls_server_config": tls, **web}, self)

    def sender(self, endpoint: str, file: str | Path = "agent.yaml", **env: str) -> Collector:
        """Give an agent, which has the queue of those before it."""
        known = {"PROMETHEUS_OTLP_ENDPOINT": endpoint, "PROMETHEUS_CA_FILE": self.server.certificate}
        return Collector(self.root, file, name="agent", **{**self.keys, **known, **env})


class Guarded(Prometheus):
    """A Prometheus with TLS, that is asked as somebody who is let in."""

    def __init__(self, root: Path, web: dict[str, Any], fleet: Fleet) -> None:
        super().__init__(root)
        config = root / "web.yaml"
        config.write_text(yaml.safe_dump(web))
        self.command += (f"--web.config.file={config}",)
        context = ssl.create_default_context(cafile=fleet.server.certificate)
        context.load_cert_chain(fleet.agent.certificate, fleet.agent.key)
        secure = urllib.request.HTTPSHandler(context=context)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), secure)
        self._opener.addheaders = [("Authorization", f"Basic {spelt(PASSWORD)}")]

    @property
    def otlp(self) -> str:
        """Where it takes what the Collector has."""
        return super().otlp.replace("http:", "https:")

    def ask(self, path: str) -> str:
        """Fetch a text."""
        with self._opener.open(f"https://{HOST}:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def ready(self) -> bool:
        """Tell whether it says of itself that it is ready."""
        try:
            return bool(self.ask("/-/ready"))
        except OSError:
            return False

    def value(self, query: str) -> float:
        """Ask for one number; nothing found is 0."""
        found = json.loads(self.ask(f"/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
        return sum(float(one["value"][1]) for one in found["data"]["result"])


def spelt(password: str) -> str:
    """Spell the user and a password as they are shown."""
    return base64.b64encode(f"{USER}:{password}".encode()).decode()


def number(value: int) -> ExportMetricsServiceRequest:
    """Make an export of one number."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=METRIC)
    metric.gauge.data_points.add(as_int=value, time_unix_nano=time.time_ns())
    return request


def lost(agent: Collector) -> float:
    """Give how many numbers the agent has dropped."""
    counts = agent.counts()
    return sum(counts.get(f"exporter_{what}_failed_metric_points", 0.0) for what in ("send", "enqueue"))


@pytest.fixture
def fleet(root: Path, keys: dict[str, str]) -> Fleet:
    """Give who is who."""
    return Fleet(root, keys)


def with_token(root: Path) -> Path:
    """Write agent.yaml with the lines switched on that begin with `#p:`."""
    text, count = re.subn(r"^( *)#p: ", r"\1", (COLLECTOR / "agent.yaml").read_text(), flags=re.MULTILINE)
    assert count
    changed = root / "agent.yaml"
    changed.write_text(text)
    return changed


def arrived(prometheus: Prometheus, value: int) -> None:
    """Assert that Prometheus has the number."""
    assert prometheus.value(METRIC) == value


def wrong(case: str, fleet: Fleet) -> dict[str, str]:
    """Give the environment of an agent that is not let in, or that lets Prometheus not in."""
    if case == "no-certificate":
        return {}
    who = fleet.stranger if case == "certificate-of-a-stranger" else fleet.agent
    env = {"PROMETHEUS_CERT_FILE": who.certificate, "PROMETHEUS_KEY_FILE": who.key}
    return env | ({"PROMETHEUS_CA_FILE": fleet.stranger.certificate} if case == "another-authority" else {})


@pytest.mark.parametrize("case", ["no-certificate", "certificate-of-a-stranger", "another-authority"])
def test_a_wrong_certificate_waits(fleet: Fleet, case: str) -> None:
    """With a wrong certificate nothing passes and nothing is lost: it arrives once the right one is there."""
    asked = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": fleet.agent.certificate}
    with fleet.guarded(tls=asked) as prometheus:
        with fleet.sender(prometheus.otlp, **wrong(case, fleet)) as agent:
            assert agent.send(number(7)) == 200
            eventually(lambda: _said(agent, "Exporting failed. Will retry"))
            eventually(lambda: _said(prometheus, "TLS handshake error"))
            assert lost(agent) == 0
            assert prometheus.value(METRIC) == 0
        right = {
            "PROMETHEUS_CERT_FILE": fleet.agent.certificate,
            "PROMETHEUS_KEY_FILE": fleet.agent.key,
        }
        with fleet.sender(prometheus.otlp, **right) as agent:
            eventually(lambda: arrived(prometheus, 7))
            assert agent.send(number(8)) == 200
            eventually(lambda: arrived(prometheus, 8))
            assert lost(agent) == 0


def _said(program: Single, text: str) -> None:
    assert text in program.log.read_text()


def test_a_password(fleet: Fleet, root: Path) -> None:
    """With the right password metrics arrive; with a wrong one they are refused, and counted as lost."""
    token = root / "password"
    token.write_text(spelt("wrong-password"))
    with all_of(
        prometheus := fleet.guarded(basic_auth_users={USER: HASH}),
        agent := fleet.sender(prometheus.otlp, with_token(root), PROMETHEUS_TOKEN_FILE=str(token)),
    ):
        assert agent.send(number(7)) == 200
        eventually(lambda: _lost_one(agent))
        eventually(lambda: _said(agent, "HTTP Status Code 401"))
        assert prometheus.value(METRIC) == 0
        token.write_text(spelt(PASSWORD))
        eventually(lambda: _said(agent, "refresh token"))
        assert agent.send(number(8)) == 200
        eventually(lambda: arrived(prometheus, 8))
        assert lost(agent) == 1


def _lost_one(agent: Collector) -> None:
    assert lost(agent) == 1


def test_a_bearer_token(fleet: Fleet, root: Path) -> None:
    """What stands before Prometheus may ask for a token instead: here, another Collector does."""
    secure = {"COLLECTOR_CERT_FILE": fleet.server.certificate, "COLLECTOR_KEY_FILE": fleet.server.key}
    before = Collector(root, switched_on("config.yaml", root), name="before", **fleet.keys | secure)
    token = {
        "PROMETHEUS_TOKEN_FILE": fleet.keys["COLLECTOR_TOKEN_FILE"],
        "PROMETHEUS_AUTH_SCHEME": "Bearer",
    }
    endpoint = f"https://{HOST}:{before.ports.collector_http}"
    with all_of(before, agent := fleet.sender(endpoint, with_token(root), **token)):
        assert agent.send(number(7)) == 200
        eventually(lambda: _took_one(before))
        assert lost(agent) == 0


def _took_one(collector: Collector) -> None:
    assert collector.counts().get("receiver_accepted_metric_points") == 1
