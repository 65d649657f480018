"""The configuration files of the back end, read without running it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import BIN, COLLECTOR, built
from stack import PROMETHEUS_FLAGS, Ports

ROOT = COLLECTOR.parent
FILES = sorted([*COLLECTOR.glob("*.yaml"), ROOT / "docker-compose.yml"])
KINDS = ("receivers", "processors", "exporters", "extensions", "connectors")
# Where a component's name is not that of its Go module without underscores.
MODULES = {"otlp_grpcexporter": "otlpexporter", "file_storageextension": "filestorage"}
COLLECTORS = ("config.yaml", "agent.yaml", "gateway.yaml")


def read(path: Path) -> Any:
    """Parse a file."""
    return yaml.safe_load(path.read_text())


CONFIG = read(COLLECTOR / "config.yaml")
MANIFEST = read(COLLECTOR / "builder.yaml")
COMPOSE = read(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def used(config: dict[str, Any], kind: str) -> set[str]:
    """Name the components that a Collector's pipelines use."""
    service = config["service"]
    if kind == "extensions":
        return set(service["extensions"])
    named = {
        one: {name for pipeline in service["pipelines"].values() for name in pipeline.get(one, ())}
        for one in KINDS
    }
    connectors = named["exporters"] & named["receivers"]
    return connectors if kind == "connectors" else named[kind] - connectors


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_parse(path: Path) -> None:
    """Each file is YAML and says something."""
    assert read(path)


@pytest.mark.parametrize("name", [*COLLECTORS, "jaeger.yaml"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_pipelines_use_is_defined(name: str, kind: str) -> None:
    """Every component in a pipeline is defined, and every one defined is in a pipeline."""
    config = read(COLLECTOR / name)
    assert used(config, kind) == set(config.get(kind, ()))


@pytest.mark.parametrize("name", COLLECTORS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_pipelines_use_is_built_in(name: str, kind: str) -> None:
    """The manifest lists every component that the configuration uses."""
    types = {one.partition("/")[0] + kind.removesuffix("s") for one in used(read(COLLECTOR / name), kind)}
    needed = {MODULES.get(one, one.replace("_", "")) for one in types}
    assert needed <= {one["gomod"].split()[0].rpartition("/")[2] for one in MANIFEST[kind]}


@pytest.mark.parametrize("name", COLLECTORS)
def test_every_pipeline_is_limited_first(name: str) -> None:
    """What takes data in refuses before it runs out of memory, and takes all that OTLP carries."""
    pipelines = read(COLLECTOR / name)["service"]["pipelines"]
    taking = {one: pipeline for one, pipeline in pipelines.items() if "otlp" in pipeline["receivers"]}
    assert {one: pipeline["processors"][0] for one, pipeline in taking.items()} == dict.fromkeys(
        ("traces", "metrics", "logs") if name != "gateway.yaml" else ("traces", "logs"), "memory_limiter"
    )


def test_ports_are_published_on_loopback_only() -> None:
    """Docker opens no port to the network, and each stands where stack.py has it, if it runs that."""
    published = [str(port) for service in SERVICES.values() for port in service.get("ports", ())]
    pattern = re.compile(r"127\.0\.0\.1:\$\{(\w+)_PORT:-(\d+)\}:(\d+)")
    found = [match.groups() for port in published if (match := pattern.fullmatch(port))]
    assert len(found) == len(published)
    known = {"grafana": 3000} | vars(Ports())
    for name, outside, inside in found:
        assert known[name.lower()] == int(outside) == int(inside)
    assert not [name for name, service in SERVICES.items() if service.get("network_mode") == "host"]


@pytest.mark.parametrize("name", ["config.yaml", "jaeger.yaml"])
def test_listeners_stand_on_loopback_by_default(name: str) -> None:
    """Without Docker's environment the programs listen on loopback, at the ports that stack.py knows."""
    text = (COLLECTOR / name).read_text()
    ports = re.findall(r"\$\{env:(\w+)_PORT:-(\d+)\}", text)
    assert {(variable.lower(), int(port)) for variable, port in ports} <= set(vars(Ports()).items())
    hosts = re.findall(r"\$\{env:(?:COLLECTOR_BIND|JAEGER_LISTEN_HOST):-([^}]*)\}", text)
    assert len(hosts) == len(ports)
    assert set(hosts) == {"127.0.0.1"}
    assert "0.0.0.0" not in text


def test_images_are_pinned() -> None:
    """Each image is of one version."""
    for service in SERVICES.values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?", service["image"])


def version(image: str) -> str:
    """Give the version in an image's tag."""
    return image.rpartition(":")[2].removeprefix("v")


def test_the_built_collector_is_the_images() -> None:
    """Image, manifest and every component in it are of the same version."""
    components = [one["gomod"].split()[1] for kind in KINDS for one in MANIFEST[kind]]
    image = version(SERVICES["otel-collector"]["image"])
    assert {image, MANIFEST["dist"]["version"], *(one.removeprefix("v") for one in components)} == {image}
    builder = (COLLECTOR / "native" / "builder" / "go.mod").read_text()
    assert f"go.opentelemetry.io/collector/cmd/builder v{image} " in builder


def test_the_built_prometheus_is_the_images() -> None:
    """Prometheus 3.14.0 is v0.314.0 as a Go module."""
    major, minor, patch = version(SERVICES["prometheus"]["image"]).split(".")
    modules = (COLLECTOR / "native" / "prometheus" / "go.mod").read_text()
    assert f"github.com/prometheus/prometheus v0.{major}{int(minor):02}.{patch} " in modules


def test_prometheus_is_started_alike() -> None:
    """Docker and stack.py give Prometheus the same flags."""
    command = [
        one
        for one in SERVICES["prometheus"]["command"]
        if not re.search(r"\.file=|\.path=|\.external-url=", one)
    ]
    assert command == list(PROMETHEUS_FLAGS)


def test_mounts_exist() -> None:
    """What Docker mounts is of the project, read-only, or a declared volume."""
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    for source, _, target in (mount.partition(":") for mount in mounts):
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert target.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


RUNNING = {name: service for name, service in SERVICES.items() if service.get("restart") != "no"}


@pytest.mark.parametrize("name", RUNNING)
def test_every_service_is_kept_running_within_limits(name: str) -> None:
    """Each comes back by itself, has a bounded memory that its garbage collector knows, and bounded logs."""
    service = RUNNING[name]
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    goal = service.get("environment", {}).get("GOMEMLIMIT")
    assert goal is None or mib(goal) < mib(service["mem_limit"])


def mib(size: str) -> int:
    """Read a size as Docker (512m, 1g) or Go (440MiB) spells it."""
    number, unit = re.fullmatch(r"(\d+)(m|g|MiB)", size).groups()
    return int(number) * (1024 if unit == "g" else 1)


def test_the_collector_refuses_before_it_is_killed() -> None:
    """The memory limiter's limit lies below what its garbage collector aims at, and that below Docker's."""
    limit = int(re.search(r"COLLECTOR_MEMORY_MIB:-(\d+)", (COLLECTOR / "config.yaml").read_text())[1])
    service = SERVICES["otel-collector"]
    assert limit < mib(service["environment"]["GOMEMLIMIT"]) < mib(service["mem_limit"])


def test_health_is_asked_with_what_the_image_has() -> None:
    """Every image but the Collector's, which holds one program only, can ask itself how it is."""
    asked = {
        name: service["healthcheck"]["test"] for name, service in RUNNING.items() if "healthcheck" in service
    }
    assert asked.keys() == RUNNING.keys() - {"otel-collector"}
    inside = {name: [port.rpartition(":")[2] for port in RUNNING[name]["ports"]] for name in asked}
    for name, (*command, url) in asked.items():
        assert command == ["CMD", "wget", "-q", "--spider"]
        port = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/[\w/-]+", url)[1]
        assert port in inside[name] or (name == "jaeger" and int(port) == Ports().jaeger_health)


def test_volumes_belong_to_who_writes_them() -> None:
    """A new volume belongs to root: it is given away, or lies on a directory that the image gave away."""
    owner = SERVICES["volume-owner"]
    given = {mount.partition(":")[0] for mount in owner["volumes"]}
    assert {f"/{name}" for name in given} == set(owner["entrypoint"][2:])
    for service in RUNNING.values():
        for source, _, target in (mount.partition(":") for mount in service["volumes"]):
            if not source.startswith("."):
                assert source in given or target in OWN_DIRECTORIES
                assert source not in given or "volume-owner" in service["depends_on"]


OWN_DIRECTORIES = {"/prometheus", "/alertmanager", "/var/lib/grafana"}


def test_what_is_stored_or_waits_outlives_the_containers() -> None:
    """Every directory that a program writes to is a volume: `docker compose down && up` loses nothing."""
    volumes = {
        name: {mount.partition(":")[2] for mount in service["volumes"] if not mount.startswith(".")}
        for name, service in RUNNING.items()
    }
    environment = SERVICES["otel-collector"]["environment"]
    assert volumes["otel-collector"] == {
        environment["COLLECTOR_QUEUE"],
        environment["COLLECTOR_EVENTS_FILE"].rpartition("/")[0],
    }
    assert volumes["jaeger"] == {SERVICES["jaeger"]["environment"]["JAEGER_DATA"]}
    assert "--storage.tsdb.path=/prometheus" in SERVICES["prometheus"]["command"]
    assert volumes["prometheus"] == {"/prometheus"}
    assert volumes["grafana"] == {"/var/lib/grafana"}
    assert "--storage.path=/alertmanager" in SERVICES["alertmanager"]["command"]
    assert volumes["alertmanager"] == {"/alertmanager"}


def test_prometheus_finds_what_its_file_names() -> None:
    """Rules and the lists of what is scraped and told stand beside the file that names them."""
    inside = {mount.split(":")[1] for mount in SERVICES["prometheus"]["volumes"]}
    (config,) = (one for one in SERVICES["prometheus"]["command"] if one.startswith("--config.file="))
    place = config.partition("=")[2].rpartition("/")[0]
    text = (COLLECTOR / "prometheus.yaml").read_text()
    named = {match.rstrip("/*") for match in re.findall(r"\[(rules/\*|\w+)\.yaml\]", text)}
    mounted = {one.removeprefix(f"{place}/").removesuffix(".yaml") for one in inside if one.startswith(place)}
    assert mounted == named | {"prometheus"}


def test_what_is_scraped_is_a_service() -> None:
    """Every address that Prometheus is given under Docker is that of a service, at the port it listens on."""
    listed = read(COLLECTOR / "targets.yaml") + read(COLLECTOR / "alertmanagers.yaml")
    found = {target for group in listed for target in group["targets"]}
    inside = {
        f"{name}:{port.rpartition(':')[2]}" for name, service in RUNNING.items() for port in service["ports"]
    }
    own = {f"otel-collector:{Ports().collector_metrics}", f"jaeger:{Ports().jaeger_metrics}"}
    assert found == own | {
        one for one in inside if one.partition(":")[0] in ("prometheus", "alertmanager", "grafana")
    }


def test_every_variable_is_in_the_example() -> None:
    """`.env.example` names what docker-compose.yml reads, with the same defaults, and sets nothing."""
    text = (ROOT / "docker-compose.yml").read_text()
    lines = (ROOT / ".env.example").read_text().splitlines()
    read_by_compose = {(name, default) for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", text)}
    example = {tuple(line[1:].split("=", 1)) for line in lines if re.match(r"#[A-Z_]+=", line)}
    opposite = {("GRAFANA_NO_ADMIN", "true")}
    assert read_by_compose - opposite == example - {("GRAFANA_NO_ADMIN", "false")}
    assert all(line.startswith("#") or not line for line in lines)


def test_grafana_shows_all_and_lets_nobody_in() -> None:
    """Whoever is on this machine may look; there is no administrator with a password everybody knows."""
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "${GRAFANA_NO_ADMIN:-true}"
    assert environment["GF_SECURITY_ADMIN_PASSWORD"] == "${GRAFANA_ADMIN_PASSWORD:-}"


@pytest.mark.skipif(not built(), reason="the programs are not built: `make stack` builds them")
@pytest.mark.parametrize(
    "command",
    [
        ("otelcol", "validate", "--config", "config.yaml"),
        ("jaeger", "validate", "--config", "file:jaeger.yaml"),
        ("promtool", "check", "config", "--lint=all", "--lint-fatal", "prometheus.yaml"),
    ],
    ids=lambda command: command[0],
)
def test_programs_accept_their_files(command: tuple[str, ...]) -> None:
    """Each program, asked to check its configuration file, has nothing to say against it."""
    program, *arguments = command
    done = subprocess.run(
        [BIN / program, *arguments], cwd=COLLECTOR, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
