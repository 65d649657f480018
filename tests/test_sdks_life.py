"""Hooks come with the SDK's import, before or after `instrument()`, and go without a trace."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

from otel_genai._patching import sdk_version
from otel_genai.providers import REGISTRY

PROGRAM = """
import importlib, json, sys, warnings
import otel_genai, wrapt
from otel_genai.providers import REGISTRY, SDK_MODULES

warnings.simplefilter("ignore")  # an SDK's own
name, order = sys.argv[1:]
hooks = importlib.import_module(REGISTRY[name]).PROVIDER.hooks


def sdk():
    for module in SDK_MODULES[name]:
        try:
            importlib.import_module(module)
        except ImportError:
            pass  # of another version


def wrapped():
    found = []
    for target in hooks:
        module, _, path = target.partition(":")
        owner = sys.modules.get(module)
        for part in path.split("."):
            owner = getattr(owner, part, None)
        if isinstance(owner, (wrapt.FunctionWrapper, wrapt.BoundFunctionWrapper)):
            found.append(target)
    return found


if order == "after":
    sdk()
theirs = wrapped()
otel_genai.instrument(name)
if order == "before":
    sdk()
[status] = [one for one in otel_genai.providers() if one.name == name]
otel_genai.uninstrument()
left = wrapped()
otel_genai.instrument(name)
[again] = [one for one in otel_genai.providers() if one.name == name]
is_same = sorted(status.targets) == sorted(again.targets)
print(json.dumps([status.state, status.reason, is_same, theirs, left]))
"""


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_hooks_come_and_go_with_the_import(name: str, order: str) -> None:
    """In a program of its own: patched whichever came first, and left as it was."""
    provider = importlib.import_module(REGISTRY[name]).PROVIDER
    found = sdk_version(provider.requires)
    if found is None:
        pytest.skip(f"needs {provider.requires}")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name, order], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    state, reason, is_same, theirs, left = json.loads(done.stdout.splitlines()[-1])
    if state == "skipped":
        pytest.skip(reason)
    assert (state, reason, is_same) == ("patched", "", True)
    assert left == theirs
