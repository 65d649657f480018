"""The public face: what is exported, documented, typed and shipped."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.resources
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import otel_genai
from otel_genai import _context, _manual, _patching
from otel_genai.providers import REGISTRY, SDK_MODULES

CHECKOUT = Path(__file__).parent.parent
PUBLIC = [getattr(otel_genai, name) for name in otel_genai.__all__]
GIVEN = [*vars(_manual).values(), _context.Block, _patching.Status]
"""Where the classes are whose objects the functions give."""
METHODS = [
    method
    for cls in (*PUBLIC, *GIVEN)
    if inspect.isclass(cls) and cls.__module__.startswith("otel_genai")
    for name, method in vars(cls).items()
    if inspect.isfunction(method) and not name.startswith("_")
]


def fresh(code):
    """Run a program of its own, and give what it printed."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_all_is_sorted_and_complete():
    """What is not a module and has no underscore is exported, and is there before it is imported."""
    names = [name for name in dir(otel_genai) if name[0] != "_" and name != "TYPE_CHECKING"]
    names = [name for name in names if not inspect.ismodule(getattr(otel_genai, name))]
    assert otel_genai.__all__ == sorted(names)
    done = fresh("from otel_genai import *; print(*sorted(n for n in dir() if n[0] != '_'))")
    assert done.split() == otel_genai.__all__


def test_what_is_imported_later_looks_as_if_it_were_there():
    """A program that asks for a name or a module of ours gets it, and a slip is told as everywhere."""
    ways = """
import otel_genai
assert {"agent", "Provider"} <= set(dir(otel_genai)) and "agent" not in vars(otel_genai)
assert otel_genai.agent is otel_genai.agent is vars(otel_genai)["agent"]
assert otel_genai.spec.Provider is otel_genai.Provider
try:
    otel_genai.agents
except AttributeError as error:
    print(error)
"""
    assert fresh(ways) == "module 'otel_genai' has no attribute 'agents'\n"


@pytest.mark.parametrize("thing", PUBLIC + METHODS, ids=lambda thing: thing.__qualname__)
def test_everything_public_is_documented(thing):
    """A sentence each, and every parameter of an exported function is explained."""
    text = inspect.getdoc(thing)
    assert text
    assert re.match(r"[A-Z].*[.:]", text, re.DOTALL)
    if thing not in PUBLIC or isinstance(thing, type(otel_genai.Capture)):
        return
    parameters = [name for name in inspect.signature(thing).parameters if name not in ("self", "cls")]
    described = text.partition("Args:")[2]
    assert [name for name in parameters if not re.search(rf"\b{name}\b.*:", described)] == []


def test_the_types_are_shipped():
    """Type checkers of users look at our annotations."""
    assert importlib.resources.files("otel_genai").joinpath("py.typed").is_file()


def test_the_version_is_the_distribution_s():
    """One number, kept in one place."""
    assert importlib.metadata.version("otel-genai") == otel_genai.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", otel_genai.__version__)


def test_there_is_one_entry_point():
    """Its name clashes with none of the official packages' instrumentors."""
    points = importlib.metadata.distribution("otel-genai").entry_points.select(
        group="opentelemetry_instrumentor"
    )
    assert [(point.name, point.value) for point in points] == [
        ("otel_genai", "otel_genai.instrumentor:Instrumentor")
    ]


@pytest.mark.parametrize("name", REGISTRY)
def test_what_is_waited_for_is_what_is_hooked(name):
    """The modules that a provider's hooks stand in are those whose import we wait for."""
    provider = importlib.import_module(REGISTRY[name]).PROVIDER
    assert provider.name == name
    assert provider.modules == set(SDK_MODULES[name])
    assert REGISTRY.keys() == SDK_MODULES.keys()


def test_users_code_passes_the_type_checker():
    """mypy, as strict as it gets, takes the API as users write it, and finds their slips."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", "tests/typing/api.py"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "Success: no issues found in 1 source file\n"
