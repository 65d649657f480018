"""Functions of ours that are made to raise, one at a time.

They are found by walking the package, so that a new one is in the tests by being written. One is made to
raise by its code object: whoever holds the function already, a frozen `Operation` or a patched class, holds
the raising one.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import types
from collections.abc import Iterator
from typing import Any

from otel_genai import (
    _bodies,
    _bound,
    _budget,
    _call,
    _context,
    _dimensions,
    _engine,
    _gate,
    _guard,
    _streams,
    _tally,
    _telemetry,
    _upload,
    _whose,
    content,
    masking,
    spec,
    testing,
)

PACKAGE = "otel_genai.providers"
NAMES = (
    "anthropic", "openai", "_chat", "_chat_stream", "_hosts", "_messages", "_messages_stream", "_once",
    "_responses", "_stainless",
)  # fmt: skip
PROVIDERS = [importlib.import_module(f"{PACKAGE}.{name}") for name in NAMES]
"""What the two SDKs of the scenes need."""
MODULES = [
    _engine, _call, _bound, _gate, _budget, masking, _streams, _bodies, _guard, _tally, _dimensions, _whose,
    _upload, _telemetry, _context, spec,
    content, *PROVIDERS,
]  # fmt: skip
"""What is made to fail in calls of those two."""
KINDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
SHAPES = {
    0: ("", ""),
    inspect.CO_GENERATOR: ("", "yield"),
    inspect.CO_COROUTINE: ("async ", ""),
    inspect.CO_ASYNC_GENERATOR: ("async ", "yield"),
}
PARTS = {"<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>"}
"""Code that is part of the function it stands in."""


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """One function of ours, or one that it makes when it runs; made more than once, it is all of them."""

    name: str
    functions: list[Any]
    code: types.CodeType


def inside_of(value: Any) -> list[Any]:
    """Give what a value holds, if it is a class of ours, a table or a declaration."""
    if isinstance(value, property):
        return [value.fget]
    if inspect.isclass(value):
        ours = value.__module__.startswith("otel_genai.") and not getattr(value, "_is_protocol", False)
        return list(vars(value).values()) if ours else []
    if isinstance(value, (dict, types.MappingProxyType)):
        return list(value.values())
    if isinstance(value, (tuple, list)):
        return list(value)
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return []


def held(value: Any, files: set[str]) -> Iterator[Any]:
    """Find the functions of ours, under whatever name, in whatever class or table."""
    value = getattr(value, "__func__", value)
    value = inspect.unwrap(value) if callable(value) else value
    if isinstance(value, types.FunctionType):
        if value.__code__.co_filename in files:  # a table may hold what another module made
            yield value
    else:
        for item in inside_of(value):
            yield from held(item, files)


def within(target: Target, made: set[types.CodeType]) -> Iterator[Target]:
    """Go through a function and those it makes when it runs; what is made already stands for itself."""
    yield target
    for inner in target.code.co_consts:
        if isinstance(inner, types.CodeType) and inner.co_name not in PARTS and inner not in made:
            yield from within(Target(f"{target.name}.{inner.co_name}", target.functions, inner), made)


def walk(modules: list[Any]) -> list[Target]:
    """Find every function of some modules."""
    live: dict[types.CodeType, Target] = {}
    files = {module.__file__ for module in modules}
    for module in modules:
        for function in held([v for v in vars(module).values() if not inspect.ismodule(v)], files):
            name = f"{function.__module__}.{function.__qualname__}".removeprefix("otel_genai.")
            target = live.setdefault(function.__code__, Target(name, [], function.__code__))
            if function not in target.functions:
                target.functions.append(function)
    return [found for target in live.values() for found in within(target, set(live))]


class Probe:
    """Stands in the code of a function as a constant: gives what it raises, and counts."""

    def __init__(self) -> None:
        self.ran = 0

    def error(self) -> RuntimeError:
        """Give the exception to raise."""
        self.ran += 1
        return RuntimeError("injected")


def raising(code: types.CodeType, probe: Probe) -> types.CodeType:
    """Make code of the same colour, with the same free variables, that only raises."""
    prefix, suffix = SHAPES[code.co_flags & KINDS]
    free = "".join(f"{name}, " for name in code.co_freevars)
    source = f"""
def outer({free}):
    {prefix}def injected(*args, **kwargs):
        raise "probe".error()
        ({free or "None"})
        {suffix}
"""
    (outer,) = (const for const in compile(source, "<fault>", "exec").co_consts if _is_code(const))
    (injected,) = (const for const in outer.co_consts if _is_code(const))
    consts = tuple(probe if const == "probe" else const for const in injected.co_consts)
    return injected.replace(co_consts=consts)


def _is_code(value: Any) -> bool:
    return isinstance(value, types.CodeType)


def replaced(code: types.CodeType, wanted: types.CodeType, probe: Probe) -> types.CodeType:
    """Give the code with one part of it raising: all of it, or a function that it makes."""
    if code is wanted:
        return raising(code, probe)
    consts = (replaced(const, wanted, probe) if _is_code(const) else const for const in code.co_consts)
    return code.replace(co_consts=tuple(consts))


def forget() -> None:
    """Have everything that is made once be made again."""
    for cached in (_streams.reading, _bodies._adopted, _upload._part_types, _upload._generic):
        cached.cache_clear()
    _guard._prepare.cache_clear()


CARRIED = "the call or the body passes through it: what it calls is made to fail one by one"
GUARD = "its body is a guard"
ASKED_FOR = "the program calls it itself"
"""Why a fault may be seen."""

COUNTED = "otel_genai.instrumentation.errors"


def counted(seen: testing.Seen) -> int:
    """Give how many failures of ours were counted so far."""
    points = seen.metrics.get(COUNTED, [])
    known = ["gen_ai.operation.name", "gen_ai.provider.name"]
    assert all(sorted(point["attributes"]) == known for point in points)
    return sum(point["value"] for point in points)


@dataclasses.dataclass
class Harm:
    """What a fault did that it must not do."""

    scene: str
    what: str
    seen: Any
