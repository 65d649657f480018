"""`make bench-stack`, for a second: what it counts adds up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from programs import COLLECTOR

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROW = re.compile(
    r"^\| (\w[\w ]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", re.MULTILINE
)


def test_all_that_is_sent_is_stored(root: Path) -> None:
    """Spans with and without content, points: none is refused, and the stores count what was sent."""
    results = root / "STACK.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.stack", "--seconds", "1", "--to", results],
        cwd=COLLECTOR.parent,
        env=os.environ | {"PYTHONPATH": str(COLLECTOR)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    rows = {
        name: [int(number.replace(",", "")) for number in numbers]
        for name, *numbers in ROW.findall(results.read_text())
    }
    assert rows.keys() == {"spans without content", "spans with 8 KiB of content", "points"}
    for size, _, sent, stored, refused in rows.values():
        assert size > 0
        assert sent == stored > 0
        assert refused == 0
    assert rows["spans with 8 KiB of content"][0] > 8192 > rows["spans without content"][0]
