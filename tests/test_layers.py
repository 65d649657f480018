"""The layers: imports go down only, names live in one table, files stay small enough to read at once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import otel_genai

HOME = Path(otel_genai.__file__).parent
FILES = {str(path.relative_to(HOME).with_suffix("")): path for path in sorted(HOME.rglob("*.py"))}
LAYERS = [
    {"semconv", "content", "masking", "_guard", "_budget", "_servers", "_shared"},
    {"_prices", "_hosts", "_answers", "judges", "semconv_mcp", "semconv_old"},
    {"_pricelist", "_baggage", "_upload", "_emitters"},
    {"settings", "_others", "_hooks", "_dimensions", "_nesting"},
    {"spec", "_tally", "_gate", "_cost", "_whose"},
    {"_telemetry"},
    {"_context", "_bound"},
    {"_bodies", "_veil"},
    {"_bridge"},
    {"_streams", "_call", "_run", "_threads", "_processor", "_outgoing", "_evaluation"},
    {"_passing"},
    {"_engine", "_runs", "_judging"},
    {"_patching", "_manual"},
    {"instrumentor"},
    {
        "__init__",
        "testing",
        "cli",
        "_doctor",
        "_figures",
        "_view",
        "_receiver",
        "_otlp",
        "_report",
        "jsonlog",
    },
]
ABOVE = {"testing", "cli", "_doctor", "_figures", "_view", "_receiver", "_otlp", "_report", "jsonlog"}
"""What is for people, not for programs: they may use one another, and nothing uses them."""
FOR_PROVIDERS = {"semconv", "semconv_mcp", "content", "spec", "_hosts", "providers/surface"}
ENGINE_ROOM = {
    "_others",
    "_tally",
    "_telemetry",
    "_context",
    "_bound",
    "_call",
    "_engine",
    "_evaluation",
    "_judging",
    "_manual",
    "_patching",
    "_run",
    "_runs",
    "_shared",
    "_threads",
    "_processor",
    "_outgoing",
    "_upload",
    "_bodies",
    "_bridge",
    "_veil",
    "_passing",
    "instrumentor",
}


def imports(path):
    """Name every module that a file imports when it runs, and whether that is at the top."""
    tree = ast.parse(path.read_text())
    checked = [node for node in ast.walk(tree) if isinstance(node, ast.If) and _is_type_checking(node.test)]
    unseen = {id(inner) for node in checked for part in node.body for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = node.module in ("otel_genai", "otel_genai.providers")
            yield from (f"{node.module}.{alias.name}" if package else node.module for alias in node.names)


def _is_type_checking(test):
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def ours(path):
    """Name the modules of ours that a file imports."""
    found = {name.removeprefix("otel_genai.").replace(".", "/") for name in imports(path) if _is_ours(name)}
    return {name if name in FILES else name.rsplit("/", 1)[0] for name in found - {"__version__"}}


def _is_ours(name):
    return name.partition(".")[0] == "otel_genai"


def level(name):
    """Say how high a module stands."""
    return next((height for height, layer in enumerate(LAYERS) if name in layer), None)


def test_every_file_has_its_layer():
    """A new file says where it stands."""
    places = {name for name in FILES if "/" not in name}
    assert places == set().union(*LAYERS)


@pytest.mark.parametrize("name", [name for name in FILES if "/" not in name and name not in ABOVE])
def test_imports_go_down_only(name):
    """No module of the machine imports one of its own layer or above."""
    below = {module for module in ours(FILES[name]) if level(module) is not None}
    assert {module for module in below if level(module) >= level(name)} == set()


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("providers/")])
def test_providers_see_the_vocabulary_alone(name):
    """A provider knows its SDK, and of us what it is written in: no OpenTelemetry, no wrapt, no engine."""
    found = ours(FILES[name])
    assert {module for module in found if not module.startswith("providers/_")} <= FOR_PROVIDERS
    packages = {module.partition(".")[0] for module in imports(FILES[name])}
    assert packages & {"opentelemetry", "wrapt", "openai"} == set()


def test_the_engine_knows_no_provider():
    """Providers are loaded by name, and by one module alone."""
    users = {
        name for name, path in FILES.items() if any(module.startswith("providers") for module in ours(path))
    }
    assert {name for name in users if not name.startswith("providers/")} <= {
        "_patching",
        "instrumentor",
        "_doctor",
    }


@pytest.mark.parametrize(
    ("package", "users"),
    [("wrapt", {"_engine", "_patching", "_hooks", "_outgoing"}), ("opentelemetry", ENGINE_ROOM | ABOVE)],
)
def test_packages_stay_in_the_engine_room(package, users):
    """What the library stands on is imported where it is needed, and nowhere else."""
    found = {
        name
        for name, path in FILES.items()
        if any(module.split(".")[0] == package for module in imports(path))
    }
    assert found <= users
    assert found


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("semconv", "semconv_old")])
def test_names_of_the_conventions_live_in_one_table(name):
    """No other file writes `gen_ai.` out, documentation apart."""
    tree = ast.parse(FILES[name].read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    words = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]
    assert [word for word in words if word.startswith("gen_ai.")] == []


@pytest.mark.parametrize("name", FILES)
def test_files_can_be_read_at_once(name):
    """400 lines at most, 300 for a provider; the table of names is looked up in, not read."""
    limit = 300 if name.startswith("providers/") else 550 if name == "semconv" else 400
    assert len(FILES[name].read_text().splitlines()) <= limit
