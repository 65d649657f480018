"""The images that docker-compose.yml names: pulled, or stood in for by the programs built here.

A stand-in has the name and tag of the image, its user, its directories and their owners, and the
commands that docker-compose.yml calls in it. It goes when the last test that needs it is done, so
that nobody's `docker compose up` finds it later. Grafana cannot be built here: what stands in for it
reads the files that are mounted into it and answers /api/health and /metrics, and no more.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import yaml
from programs import BIN, COLLECTOR

COMPOSE = COLLECTOR.parent / "docker-compose.yml"
LABEL = "otel-genai.stand-in"
LOCK = Path(tempfile.gettempdir()) / f"otel-genai-images-{os.getuid()}.lock"
PULLED_WITHIN = 300

BUSYBOX = Path("/bin/busybox")
APPLETS = ("cat", "chown", "httpd", "ls", "sh", "touch", "wget")
NOBODY, GRAFANA = 65534, 472
TEMPLATES = Path("/usr/share/prometheus/alertmanager")  # Debian keeps them outside of the program
ACCOUNTS = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\ngrafana:x:472:0::/:/bin/false\n"

GRAFANA_SCRIPT = """#!/bin/sh
set -e
for file in "$GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH" \\
    /etc/grafana/provisioning/datasources/*.yaml /etc/grafana/provisioning/dashboards/*.yaml; do
    cat "$file" > /dev/null
done
touch /var/lib/grafana/grafana.db
trap 'exit 0' TERM
httpd -f -p 3000 -h /srv -c /etc/httpd.conf &
wait
"""


@dataclass(frozen=True)
class StandIn:
    """What an image holds and how it starts."""

    program: Path | str
    """The program, or the text of a script."""
    at: str
    user: str
    applets: bool = True
    owned: Mapping[str, int] = field(default_factory=dict)
    """Directories and whose they are."""
    volumes: tuple[str, ...] = ()
    files: Mapping[str, Path | str] = field(default_factory=dict)

    def missing(self) -> list[Path]:
        """Name what it is made of and is not here."""
        needed = [self.program] if isinstance(self.program, Path) else []
        return [path for path in (*needed, *([BUSYBOX] if self.applets else ())) if not path.exists()]

    def changes(self) -> Iterator[str]:
        """Say how it is run, as a Dockerfile does."""
        yield f"LABEL {LABEL}=true"
        yield f"USER {self.user}"
        yield f'ENTRYPOINT ["{self.at}"]'
        yield "ENV PATH=/bin"
        for volume in self.volumes:
            yield f'VOLUME ["{volume}"]'

    def write(self, archive: tarfile.TarFile) -> None:
        """Write its file system."""
        _directory(archive, "/tmp", 0o1777)
        for place, owner in self.owned.items():
            _directory(archive, place, 0o755, owner)
        _add(archive, self.at, self.program)
        for library in _libraries(self.program):
            _add(archive, str(library), library)
        for place, content in self.files.items():
            _add(archive, place, content)
        if self.applets:
            _add(archive, "/etc/passwd", ACCOUNTS)
            _add(archive, "/bin/busybox", BUSYBOX)
            for name in APPLETS:
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)


def _directory(archive: tarfile.TarFile, place: str, mode: int, owner: int = 0) -> None:
    entry = tarfile.TarInfo(place.lstrip("/"))
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
    archive.addfile(entry)


def _add(archive: tarfile.TarFile, place: str, content: Path | str) -> None:
    data = content.read_bytes() if isinstance(content, Path) else content.encode()
    entry = tarfile.TarInfo(place.lstrip("/"))
    entry.size, entry.mode = len(data), 0o755
    archive.addfile(entry, io.BytesIO(data))


def _libraries(program: Path | str) -> list[Path]:
    """Name what a program of the distribution is linked to; ours are linked to nothing."""
    if isinstance(program, str):
        return []
    asked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return [Path(one) for one in re.findall(r"(/\S+) \(0x", asked.stdout)]


STAND_INS = {
    "opentelemetry-collector-contrib": StandIn(BIN / "otelcol", "/otelcol-contrib", "10001", applets=False),
    "jaeger": StandIn(BIN / "jaeger", "/cmd/jaeger/jaeger-linux", "10001", volumes=("/tmp",)),
    "prometheus": StandIn(
        BIN / "prometheus", "/bin/prometheus", "nobody", True, {"/prometheus": NOBODY}, ("/prometheus",)
    ),
    "alertmanager": StandIn(
        Path(shutil.which("prometheus-alertmanager") or "prometheus-alertmanager"),
        "/bin/alertmanager",
        "nobody",
        owned={"/alertmanager": NOBODY},
        volumes=("/alertmanager",),
        files={str(path): path for path in TEMPLATES.glob("*.tmpl")},
    ),
    "grafana": StandIn(
        GRAFANA_SCRIPT,
        "/run.sh",
        "472",
        owned={"/var/lib/grafana": GRAFANA},
        files={
            "/srv/api/health": '{"database": "ok"}\n',
            "/srv/metrics/index.txt": "grafana_stand_in 1\n",
            "/etc/httpd.conf": "I:index.txt\n",
        },
    ),
}


def docker(*arguments: str, within: float | None = None) -> str:
    """Run `docker`; its complaint is the error's."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=within)
    if done.returncode:
        msg = f"docker {arguments[0]}: {done.stderr.strip()[-500:]}"
        raise OSError(msg)
    return done.stdout


@functools.cache
def named() -> list[str]:
    """Name the images."""
    return sorted({service["image"] for service in yaml.safe_load(COMPOSE.read_text())["services"].values()})


@contextlib.contextmanager
def images() -> Iterator[str]:
    """Have all of them for as long as this lasts, whoever else needs them; give why not, if so."""
    with LOCK.open("a") as lock:
        if _alone(lock):
            _forget()  # a run that was killed has left them
            _fetch()
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits for whoever fetches them
        try:
            yield "; ".join(f"{image}: {_obstacle(image)}" for image in _absent())
        finally:
            if _alone(lock):
                _forget()


def _alone(lock: TextIO) -> bool:
    """Tell whether nobody else has or fetches them; then nobody else can until the lock is given up."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _absent() -> list[str]:
    here = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    return [image for image in named() if image not in here]


def _stand_in(image: str) -> StandIn | None:
    return STAND_INS.get(image.rpartition("/")[2].partition(":")[0])


def _obstacle(image: str) -> str:
    stand_in = _stand_in(image)
    missing = ", ".join(map(str, stand_in.missing())) if stand_in else "something that stands in for it"
    return f"cannot be pulled, and there is no {missing}"


def _fetch() -> None:
    """Pull what is not here, and stand in for what cannot be pulled."""
    ends = time.monotonic() + PULLED_WITHIN
    for image in _absent():
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            docker("pull", "--quiet", image, within=max(1.0, ends - time.monotonic()))
    for image in _absent():
        stand_in = _stand_in(image)
        if stand_in and not stand_in.missing():
            _import(image, stand_in)


def _import(image: str, stand_in: StandIn) -> None:
    """Make an image of a file system, which needs no Dockerfile and nothing to build with."""
    changes = [word for change in stand_in.changes() for word in ("--change", change)]
    command = ["docker", "import", *changes, "-", image]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as importing:
        with tarfile.open(fileobj=importing.stdin, mode="w|") as archive:
            stand_in.write(archive)
        importing.stdin.close()
    assert importing.returncode == 0


def _forget() -> None:
    """Delete all that stands in for an image."""
    stand_ins = docker("images", "--quiet", "--filter", f"label={LABEL}").split()
    if stand_ins:
        docker("rmi", "--force", *sorted(set(stand_ins)))
