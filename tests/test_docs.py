"""The README's code runs as it is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from otel_genai._receiver import Receiver
from otel_genai.demo.standin import StandIn
from otel_genai.settings import VARIABLES

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=[block.split("\n", 1)[0] for block in BLOCKS])
def test_python_runs(code):
    """Each Python block runs by itself, and where it configures export, its spans arrive."""
    with StandIn() as api, Receiver() as receiver:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        environment |= {
            "OPENAI_BASE_URL": api.url,
            "OPENAI_API_KEY": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint,
        }
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
        if "configure()" in code:
            assert [span.name for span in receiver.spans] == ["chat gpt-4o-mini"]


def test_settings_table_is_complete():
    """Every setting stands in the README's table with its variable."""
    rows = re.findall(r"^\| `(OTEL_[A-Z_]+)` \| `(\w+)` \|", README, re.MULTILINE)
    assert {name: variable for variable, name in rows} == VARIABLES


def test_links_lead_somewhere():
    """Every relative link in the README names a file that is there."""
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (Path(__file__).parent.parent / link).exists()] == []
