"""Programs of their own, with the toy SDK and the others of this folder at hand; their own failures raise."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(Path(__file__).parent),
    "_OTEL_GENAI_STRICT": "1",
    "OTEL_GENAI_COST": "false",
}


def program(code, *arguments, launcher=(), status=0, timeout=60, **environment):
    """Run a program to the end it must come to, and give what it printed."""
    done = subprocess.run(
        [*launcher, sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done
