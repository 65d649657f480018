"""Content elsewhere instead of inline: what passed the gate is handed to the official completion hook.

The hook, such as the upload to a store that `opentelemetry-util-genai` brings, is loaded in the background:
a store that does not answer delays nobody. What it says in its log of content that it lost is counted.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from keyword import iskeyword
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

from opentelemetry.util._importlib_metadata import entry_points

from otel_genai import _guard, content
from otel_genai import semconv as s

logger = logging.getLogger(__name__)

_GROUP = "opentelemetry_genai_completion_hook"
_BASE_PATH = "OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH"
_PATIENCE = 1.0
"""Seconds that `instrument()` waits for the hook at most."""
_RETRY = 30.0
"""Seconds until a hook that could not be made is tried again."""
_LOGGERS = (
    "opentelemetry.util.genai.completion_hook",
    "opentelemetry.util.genai._upload",
    "opentelemetry.util.genai._upload.completion_hook",
)
"""Where the official hooks say what they lost: nobody else is told."""

Lost = Callable[[str], None]


def checked(value: object) -> Any:
    """Give a hook, or the name of one that is installed.

    Raises:
        ValueError: there is none of this name, or what it needs is missing; the message says what to do.
    """
    if value is None or hasattr(value, "on_completion"):
        return value
    if not isinstance(value, str):
        msg = f"{value!r} is neither the name of a completion hook nor an object with on_completion()"
        raise ValueError(msg)  # noqa: TRY004 (one kind of error for every bad setting)
    name = value.strip()
    if importlib.util.find_spec("opentelemetry.util.genai") is None:
        msg = f"{name!r} needs opentelemetry-util-genai: pip install 'otel-genai[upload]'"
        raise ValueError(msg)
    known = sorted({entry.name for entry in entry_points(group=_GROUP)})
    if name not in known:
        msg = f"{name!r} is no completion hook; installed are {', '.join(known)}"
        raise ValueError(msg)
    if name == "upload":
        _check_store()
    return name


def _check_store() -> None:
    if not os.environ.get(_BASE_PATH):
        msg = f"'upload' needs {_BASE_PATH}: a folder or a URL that fsspec knows, such as s3://bucket/prompts"
        raise ValueError(msg)
    if importlib.util.find_spec("fsspec") is None:
        msg = "'upload' needs fsspec: pip install 'otel-genai[upload]'"
        raise ValueError(msg)


class Uploads:
    """One completion hook: what a call said is handed to it just before its span ends."""

    def __init__(self, chosen: Any, lost: Lost) -> None:
        """Load the hook in the background; one that is ready soon is waited for.

        Args:
            chosen: a hook, or the name of one.
            lost: told why content did not reach its store: `loading`, `failed` or `dropped`.
        """
        self._chosen = chosen
        self._lost = lost
        self._begin()
        _LISTENER.lost = lost
        _guard.forked(self)
        if self._load():
            self._loaded.wait(_PATIENCE)

    def _begin(self) -> None:
        self._hook: Any = None
        self._loaded = Event()
        self._again = 0.0
        self._lock = Lock()

    def forget(self) -> None:
        """Load the hook anew, in a process that was forked: its threads are the parent's."""
        self._begin()
        _made.cache_clear()

    def tell(self, said: Mapping[str, Any], span: Any, record: Any) -> None:
        """Hand over one call's content, and have the hook put its references on the span and the event."""
        if self._hook is None:
            self._load()
            self._lost("loading")
            return
        from opentelemetry.util.genai import types  # noqa: PLC0415 (loaded with the hook)

        self._hook.on_completion(
            inputs=[_message(types.InputMessage, turn) for turn in said.get(s.INPUT_MESSAGES, ())],
            outputs=[_message(types.OutputMessage, turn) for turn in said.get(s.OUTPUT_MESSAGES, ())],
            system_instruction=[_part(part) for part in said.get(s.SYSTEM_INSTRUCTIONS, ())],
            tool_definitions=[_tool(tool) for tool in said.get(s.TOOL_DEFINITIONS, ())] or None,
            span=span,
            log_record=record,
        )

    def _load(self) -> bool:
        """Have another thread load the hook, unless that was tried just now."""
        with self._lock:
            if monotonic() < self._again:
                return False
            self._again = monotonic() + _RETRY
        try:
            Thread(target=self._make, name="otel-genai-upload", daemon=True).start()
        except RuntimeError:  # Python starts no thread when it is about to end
            return False
        return True

    def _make(self) -> None:
        loaded = self._loaded
        try:
            is_named = isinstance(self._chosen, str)
            hook = _made(self._chosen, os.environ.get(_BASE_PATH)) if is_named else self._chosen
            import opentelemetry.util.genai.types  # noqa: F401, PLC0415 (what is handed over is made of it)

            self._hook = hook
        except Exception as error:  # noqa: BLE001 (a hook may be anybody's)
            logger.warning("content is not uploaded: the completion hook cannot be made: %s", error)
            self._lost("failed")
        finally:
            loaded.set()


@functools.lru_cache(maxsize=1)
def _made(name: str, _: str | None) -> Any:
    """Make the hook, once for each store: it has threads of its own."""
    [entry, *_others] = entry_points(group=_GROUP, name=name)
    return entry.load()()


class _Listener(logging.Filter):
    """Counts what hooks say in their log that they lost, and lets the first of each kind be read."""

    lost: Lost = staticmethod(lambda _: None)

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        self.lost("failed" if record.exc_info else "dropped")
        is_new = record.msg not in self._said
        self._said.add(record.msg)
        return is_new


_LISTENER = _Listener()
for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_LISTENER)


# --- The official types ----------------------------------------------------------------------------------


def _message(cls: Any, turn: Any) -> Any:
    """Make a message of the hook's own type."""
    turn = turn if isinstance(turn, dict) else {"parts": [turn]}
    parts = turn.get("parts")
    known = {field.name for field in dataclasses.fields(cls)}
    return cls(
        role=turn.get("role"),
        parts=[_part(part) for part in (parts if isinstance(parts, list) else [])],
        **{key: turn[key] for key in ("name", "finish_reason") if key in turn and key in known},
    )


@functools.cache
def _part_types() -> dict[str, tuple[Any, frozenset[str]]]:
    from opentelemetry.util.genai import types  # noqa: PLC0415 (loaded with the hook)

    classes = (
        types.TextPart,
        types.ReasoningPart,
        types.ToolCallRequestPart,
        types.ToolCallResponsePart,
        types.ServerToolCallPart,
        types.ServerToolCallResponsePart,
        types.FilePart,
        types.UriPart,
    )
    found = {}
    for cls in classes:
        fields = dataclasses.fields(cls)
        kind = next(field.default for field in fields if field.name == "type")
        found[str(kind)] = cls, frozenset(field.name for field in fields)
    return found


def _part(part: Any) -> Any:
    """Make a part of the hook's own type, or one that says the same where it has none."""
    from opentelemetry.util.genai import types  # noqa: PLC0415 (loaded with the hook)

    if not isinstance(part, dict):
        return types.TextPart(content=part)
    cls, fields = _part_types().get(str(part.get("type")), (None, frozenset[str]()))
    if cls is not None and part.keys() <= fields:
        return cls(**{name: part.get(name) for name in fields})
    names = tuple(sorted(part.keys() - {"type"}, key=str))
    if all(isinstance(name, str) and name.isidentifier() and not iskeyword(name) for name in names):
        return _generic(names)(**{"type": None, **part})
    return types.TextPart(content=content.to_json(part))


@functools.lru_cache(maxsize=64)
def _generic(names: tuple[str, ...]) -> Any:
    """Make the type of parts that have these keys."""
    from opentelemetry.util.genai.types import GenericPart  # noqa: PLC0415 (loaded with the hook)

    return dataclasses.make_dataclass("Part", [(name, Any, None) for name in names], bases=(GenericPart,))


def _tool(tool: Any) -> Any:
    from opentelemetry.util.genai import types  # noqa: PLC0415 (loaded with the hook)

    about: Any = tool if isinstance(tool, dict) else {"type": "function", "name": str(tool)}
    if about.get("type", "function") == "function":
        return types.FunctionToolDefinition(
            name=about.get("name"), description=about.get("description"), parameters=about.get("parameters")
        )
    return types.GenericToolDefinition(name=about.get("name"), type=about.get("type"))
