"""A program in the background that outlives whoever started it, and can be found again."""

from __future__ import annotations

import fcntl
import http.client
import os
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from programs import StackError

# How long a program may take to end once told to.
STOPPED_WITHIN = 20.0
POLL_EVERY = 0.05

# A proxy of the user's is not for loopback.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Program:
    """One program in the background.

    It inherits a locked file and so holds the lock for as long as it lives: whoever finds the file
    locked may trust the process id in it, whichever process started the program.
    """

    name: str
    command: tuple[str, ...]
    ready_url: str
    home: Path
    env: dict[str, str]
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """What the program printed."""
        return self.home / "logs" / f"{self.name}.log"

    @property
    def _lock(self) -> Path:
        return self.home / "run" / f"{self.name}.pid"

    def start(self) -> None:
        """Start it, unless it runs already."""
        for place in (self.log.parent, self._lock.parent):
            place.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a+") as lock, self.log.open("ab") as log:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if self.ready():
                msg = f"cannot start {self.name}: another program answers at {self.ready_url}"
                raise StackError(msg)
            self._child = subprocess.Popen(
                self.command,
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # outlives the terminal and its Ctrl-C
                pass_fds=[lock.fileno()],
            )
            lock.truncate(0)
            lock.write(str(self._child.pid))

    def running(self) -> bool:
        """Tell whether it lives, whoever started it."""
        try:
            with self._lock.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def ready(self) -> bool:
        """Tell whether it says of itself that it is ready."""
        try:
            with DIRECT.open(self.ready_url, timeout=2):  # raises on anything but success
                return True
        except (OSError, http.client.HTTPException):
            return False

    def wait_ready(self, deadline: float) -> None:
        """Wait until it is ready; say what it printed last if it never is."""
        while not self.ready():
            if not self.running():
                msg = f"{self.name} ended at once; the end of {self.log}:\n{self._last_words()}"
                raise StackError(msg)
            if time.monotonic() > deadline:
                msg = f"{self.name} is not ready; the end of {self.log}:\n{self._last_words()}"
                raise StackError(msg)
            time.sleep(POLL_EVERY)

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    def stop(self) -> None:
        """End it: politely, so that it writes out what it holds, then for good."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.running():
                break
            os.kill(int(self._lock.read_text()), number)
            self._wait_gone(time.monotonic() + STOPPED_WITHIN)
        if self._child is not None:
            self._child.wait()
            self._child = None
        self._lock.unlink(missing_ok=True)

    def _wait_gone(self, deadline: float) -> None:
        while self.running() and time.monotonic() < deadline:
            time.sleep(POLL_EVERY)
