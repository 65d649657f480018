"""Whose call it was: what `context()` is given, as attributes that every exporter can send."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from otel_genai import content
from otel_genai import semconv as s

Value = str | int | float | bool
"""What an attribute of a context may be."""

_MOST = 32
"""Variables of a prompt that are told at most: a span has room for 128 attributes of all kinds."""
_HASH = re.compile(r"[0-9a-f]{64}")
_LONG = 2**63
"""The first integer that is too long for an attribute."""


def attributes(named: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Value]:
    """Name the attributes; what is None is left out."""
    given = {s.CONTEXT[name]: value for name, value in named.items()}
    name, version = _prompt(given[s.PROMPT_NAME])
    given |= {s.PROMPT_NAME: name, s.PROMPT_VERSION: version, **further}
    return {key: _value(key, value) for key, value in given.items() if value is not None}


def variables(prompt: object, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Name the attributes of a prompt's variables; None leaves those around, which another prompt has not."""
    if given is None:
        return None if prompt is None else {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError('context(prompt_variables=...): give values by their names: {"language": "French"}')
    return {
        f"{s.PROMPT_VARIABLE}.{content.sendable(name)}": value for name, value in islice(given.items(), _MOST)
    }


def hidden(known: Mapping[str, Value], secret: str | None, *, sent: bool = False) -> Mapping[str, Value]:
    """Put its keyed hash in the place of a user's id, where there is a key to do it with.

    What was `sent` by another process may be one already.
    """
    if secret is None or s.USER_ID not in known or (sent and _HASH.fullmatch(str(known[s.USER_ID]))):
        return known
    import hashlib  # noqa: PLC0415 (a program without a key need not wait for these)
    import hmac  # noqa: PLC0415

    digest = hmac.new(secret.encode(), str(known[s.USER_ID]).encode(), hashlib.sha256).hexdigest()
    return {**known, s.USER_ID: digest}


def key(name: str) -> str:
    """Give the attribute that is meant by the name of one, or by the word that `context()` has for it."""
    return s.CONTEXT.get(name, name)


def _prompt(prompt: Any) -> tuple[Any, str | None]:
    """Part a prompt's name from its version, which is a string by the convention."""
    if isinstance(prompt, (tuple, list)):
        if len(prompt) != 2:  # noqa: PLR2004 (a pair)
            msg = f'context(prompt={prompt!r}): give "name", "name@version" or ("name", version)'
            raise TypeError(msg)
        name, version = prompt
        return name, None if version is None else str(version)
    name, _, version = prompt.rpartition("@") if isinstance(prompt, str) else ("", "", "")
    return (name, version) if name and version else (prompt, None)


def _value(key: str, value: Any) -> Value:
    """Bring a value into what can be sent, or say what is accepted."""
    if isinstance(value, str):
        return content.sendable(str.__str__(value))  # of an enum, its value
    if isinstance(value, int):
        return value if -_LONG <= value < _LONG else str(value)
    if isinstance(value, float):
        return value
    msg = f"context(): {key} is a {type(value).__name__}; give a string, a number, True or False: str(...)"
    raise TypeError(msg)
