"""The programs of the back end, built from source: Collector, Jaeger, Prometheus, promtool.

Each comes from a Go module below native/, whose go.mod and go.sum are committed: they pin and
verify every dependency. The programs go to `.stack/bin`, which is not committed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COLLECTOR = Path(__file__).resolve().parent
HOME = COLLECTOR.parent / ".stack"
BIN = HOME / "bin"

OLDEST_GO = (1, 25, 8)
INSTALL_GO = "install Go {}.{}.{} or newer and put it on PATH".format(*OLDEST_GO)


class StackError(Exception):
    """Something the user can act on: a missing tool, a failed build, a program that won't start."""


@dataclass(frozen=True)
class Build:
    """One Go module below native/ and the programs made from it."""

    name: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    flags: tuple[str, ...] = ()

    @property
    def source(self) -> Path:
        """The directory of go.mod and go.sum, which pin and verify every dependency."""
        return COLLECTOR / "native" / self.name

    def stamp(self) -> str:
        """Name what the programs are made of, so that a change of it is seen."""
        inputs = [self.source / "go.mod", self.source / "go.sum"]
        if self.name == "collector":
            inputs += [COLLECTOR / "builder.yaml", BUILDER.source / "go.mod"]
        digest = hashlib.sha256(repr(self).encode())
        for path in inputs:
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def fresh(self) -> bool:
        """Tell whether the programs are there and made of what is there now."""
        stamp = BIN / f"{self.name}.stamp"
        if not stamp.exists() or stamp.read_text() != self.stamp():
            return False
        return all((BIN / program).exists() for program in self.programs)


BUILDER = Build("builder", ("go.opentelemetry.io/collector/cmd/builder",), ("builder",))
OTELCOL = Build("collector", (".",), ("otelcol",))
JAEGER = Build("jaeger", ("github.com/jaegertracing/jaeger/cmd/jaeger",), ("jaeger",))
PROMETHEUS = Build(
    "prometheus",
    (
        "github.com/prometheus/prometheus/cmd/prometheus",
        "github.com/prometheus/prometheus/cmd/promtool",
    ),
    ("prometheus", "promtool"),
    ("-tags", "remove_all_sd"),  # the clouds' service discoveries: most of the dependencies
)
# The builder writes the Collector's Go source and leaves go.mod and go.sum alone.
SOURCE_ONLY = ("--skip-get-modules", "--skip-compilation")
BUILDS = (BUILDER, OTELCOL, PROMETHEUS, JAEGER)  # in this order


def built() -> bool:
    """Tell whether every program is there and up to date."""
    return all(build.fresh() for build in BUILDS)


def _say(text: str) -> None:
    print(text, flush=True)


def build_all(say: Callable[[str], object] = _say) -> None:
    """Build what is missing or out of date, telling `say` of each."""
    stale = [build for build in BUILDS if not build.fresh()]
    if not stale:
        return
    go = _find_go()
    BIN.mkdir(parents=True, exist_ok=True)
    (HOME / ".gitignore").write_text("*\n")
    for build in stale:
        say(f"building {' and '.join(build.programs)} (the first time takes minutes)")
        _build(build, go)


def _find_go() -> str:
    go = shutil.which("go")
    if go is None:
        msg = f"no `go` here, and the programs are built from source: {INSTALL_GO}"
        raise StackError(msg)
    version = _run([go, "env", "GOVERSION"], COLLECTOR)
    numbers = re.findall(r"\d+", version)[:3]
    if tuple(int(number) for number in numbers) < OLDEST_GO:
        msg = f"{go} is {version.strip()}, which is too old: {INSTALL_GO}"
        raise StackError(msg)
    return go


def _build(build: Build, go: str) -> None:
    """Build in a copy, so that no tool can touch the committed go.mod and go.sum."""
    place = HOME / "build" / build.name
    place.mkdir(parents=True, exist_ok=True)
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(build.source / name, place / name)
    if build is OTELCOL:
        manifest = str(COLLECTOR / "builder.yaml")
        _run([str(BIN / "builder"), "--config", manifest, *SOURCE_ONLY], place)
    output = f"{BIN}{os.sep}" if len(build.programs) > 1 else str(BIN / build.programs[0])
    strip = ("-trimpath", "-ldflags=-s -w")
    _run([go, "build", *strip, *build.flags, "-o", output, *build.packages], place)
    (BIN / f"{build.name}.stamp").write_text(build.stamp())


def _run(command: Sequence[str], place: Path) -> str:
    """Run a build step. Modules are read-only, so go.sum verifies each of them."""
    env = os.environ | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"`{' '.join(command)}` failed:\n{done.stderr[-4000:]}"
        raise StackError(msg)
    return done.stdout
