"""Thread pools, when asked: what is submitted runs in the context of whoever submitted it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from opentelemetry import context as otel
from opentelemetry.context import Context

from otel_genai import _context, _others
from otel_genai._hooks import Hook
from otel_genai._telemetry import active

logger = logging.getLogger(__name__)

_hooks: list[Hook] = []


def install() -> None:
    """Have every thread pool carry the context along, unless another instrumentation already does."""
    if _hooks:
        return
    if _others.at_work("threading"):
        logger.info("opentelemetry-instrumentation-threading carries the context into thread pools")
        return
    _hooks.append(Hook(ThreadPoolExecutor, "submit", _submit))


def remove() -> None:
    """Leave thread pools as they were."""
    while _hooks:
        _hooks.pop().remove()


def _submit(
    submit: Callable[..., Any], _: ThreadPoolExecutor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        args = _carrying(args)
    except Exception as error:  # noqa: BLE001 (the guard)
        active().failed("threads", "submit", error)
    return submit(*args, **kwargs)


def _carrying(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Have the function, which comes first, take along the context, if there is any."""
    here = otel.get_current()
    if not here or not args:
        return args
    return (partial(_run, here, _context.current(here), args[0]), *args[1:])


def _run(
    here: Context, around: _context.Scope | None, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Run in the submitter's context, which may have left its blocks by now: in here they still hold."""
    scope = None if around is None else _context.Scope(around)
    token = otel.attach(here if scope is None else otel.set_value(_context.KEY, scope, here))
    before, _context.lent.scope = _context.lent.scope, around
    try:
        return function(*args, **kwargs)
    finally:
        _context.lent.scope = before
        otel.detach(token)
        if scope is not None:
            scope.close()
