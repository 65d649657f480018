"""`make stack` and `make stack-down`, elsewhere: what is started, and that nothing is left of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from programs import COLLECTOR
from stack import HOST, Ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PROGRAMS = {"collector", "jaeger", "prometheus"}


def stack(root: Path, ports: Ports, *arguments: str) -> tuple[int, str]:
    """Run stack.py as `make` does; give its exit status and what it printed."""
    done = subprocess.run(
        [sys.executable, COLLECTOR / "stack.py", "--root", root, *arguments],
        env=os.environ | ports.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout


def listening(ports: Ports) -> list[str]:
    """Name the ports on which somebody answers."""
    found = []
    for name, port in vars(ports).items():
        with socket.socket() as one:
            found += [name] * (one.connect_ex((HOST, port)) == 0)
    return found


def lives(pid: int) -> bool:
    """Tell whether a process is there, and more than an entry that nobody has asked for yet."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc").exists()  # there is none on macOS, where no such entries stay
    return not state.startswith("Z")


def test_what_is_started_is_gone_afterwards(root: Path) -> None:
    """All programs run after `up`; after `down` no process and no listener, and with --purge no file."""
    ports = Ports.free()
    try:
        started, said = stack(root, ports, "up")
        assert (started, stack(root, ports, "status")[0]) == (0, 0), said
        pids = {file.stem: int(file.read_text()) for file in (root / "run").glob("*.pid")}
        assert pids.keys() - {"alertmanager"} == PROGRAMS
        assert all(map(lives, pids.values()))
        stopped, said = stack(root, ports, "down")
        assert (stopped, stack(root, ports, "status")[0]) == (0, 1)
        assert str(root) in said
        assert ([name for name, pid in pids.items() if lives(pid)], listening(ports)) == ([], [])
        assert not list((root / "run").glob("*.pid"))
    finally:
        purged, said = stack(root, ports, "down", "--purge")
    assert (purged, said, list(root.iterdir())) == (0, "", [])
