"""The code in the documents runs as it is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from otel_genai._receiver import Receiver
from otel_genai.demo.standin import StandIn
from otel_genai.settings import VARIABLES

HOME = Path(__file__).parent.parent
README = (HOME / "README.md").read_text()
DOCUMENTS = [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{path.stem} {number}")
    for path in DOCUMENTS
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("code", BLOCKS)
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


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    """Every relative link names a file that is there."""
    links = re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
    assert links or path.name != "README.md"
