"""What the README tells people to install, resolved by plain pip in a clean environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from packaging.version import Version

CHECKOUT = Path(__file__).parent.parent
LINES = set(re.findall(r"pip install \"otel-genai\[([\w,]+)\]\"", (CHECKOUT / "README.md").read_text()))
EXTRAS = ["distro"] + [
    pytest.param(extra, marks=pytest.mark.soak) for extra in sorted((LINES | {"demo"}) - {"distro"})
]
SILENT = (
    "No matching distribution found",
    "Could not find a version",
    "Max retries exceeded",
    "NewConnectionError",
)
"""What pip says when the package index does not answer."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def pip(tmp_path_factory):
    """Make a clean environment, and give its pip, as it comes with Python."""
    home = tmp_path_factory.mktemp("clean")
    venv.create(home, with_pip=True)
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    return [str(python), "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, pip):
    """Build the wheel that people would get."""
    folder = tmp_path_factory.mktemp("wheel")
    run(pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT))
    return next(folder.glob("*.whl"))


def run(pip, *arguments):
    """Run pip; where the index does not answer, skip and say so, which with CI=true is a failure."""
    done = subprocess.run([*pip, *arguments], capture_output=True, text=True, check=False)
    if done.returncode and any(words in done.stderr for words in SILENT) and os.environ.get("CI") != "true":
        pytest.skip(f"the package index did not answer: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_says_how_to_install():
    """The line that all begins with."""
    assert "distro" in LINES


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_install_line_finds_packages_that_belong_together(pip, checkout, extra):
    """OpenTelemetry 1.45 or newer, all of one release, and no LLM SDK but in the demo."""
    report = run(
        pip, "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-", f"{checkout}[{extra}]"
    )
    metadata = [item["metadata"] for item in json.loads(report)["install"]]
    found = {item["name"]: Version(item["version"]) for item in metadata}
    assert found["opentelemetry-api"] >= Version("1.45")
    core = ("api", "sdk", "exporter-otlp", "exporter-otlp-proto-grpc", "exporter-otlp-proto-http", "proto")
    assert {found[f"opentelemetry-{name}"] for name in core} == {found["opentelemetry-api"]}
    beta = found["opentelemetry-semantic-conventions"]  # which the SDK pins to the same release
    assert found["opentelemetry-instrumentation"] == beta
    named = {"distro": "opentelemetry-distro", "http": "opentelemetry-instrumentation-httpx", "view": "rich"}
    for part in extra.split(","):
        if part in named:
            assert named[part] in found
    if "demo" in extra or "distro" in extra:
        assert found["opentelemetry-distro"] == beta
    assert ("openai" in found) is ("demo" in extra)
    assert "wrapt" in found


def test_the_types_and_the_licence_are_in_the_wheel(checkout):
    """What a wheel must carry beside the code."""
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(checkout)], capture_output=True, text=True, check=True
    ).stdout
    assert "otel_genai/py.typed" in names
    assert "licenses/LICENSE" in names
    assert "otel_genai/demo/standin.py" in names
    assert "tests/" not in names
