"""What a call within another one is to it: the same thing told twice, or a call of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from otel_genai import semconv as s
from otel_genai import semconv_mcp as mcp

if TYPE_CHECKING:
    from otel_genai._bound import Bound
    from otel_genai._call import Call
    from otel_genai._context import Scope
    from otel_genai.spec import Attributes

_TOLD_TWICE = {s.EXECUTE_TOOL: s.EXECUTE_TOOL, s.RETRIEVAL: s.RETRIEVAL, mcp.TOOLS_CALL: s.EXECUTE_TOOL}
"""What a framework does by way of another library, so that both may tell it -> what it calls that."""


class Asked(Protocol):
    """What a framework has said it will ask of a model: the call that comes is what answers it."""

    def claim(self) -> None:
        """Take note that a model is asked."""


def outer(around: Scope, bound: Bound, attributes: Attributes) -> Call | None:
    """Find the call within which another one for the same thing is no second one.

    Only model calls are looked through: what a tool or an agent asks a model is a call of its own. A model
    that a framework has said it will ask is asked now.
    """
    operation = bound.operation.name
    if around.asked is not None and operation in s.INFERENCE:
        around.asked.claim()
    found = around.call
    if found is not None and operation in _TOLD_TWICE:
        return found if _is_same(found, bound, attributes) else None
    while found is not None and operation in s.MODEL_CALLS:
        name = found.bound.operation.name
        if found.open and (name == operation or {name, operation} <= s.INFERENCE):
            return found
        if name not in s.MODEL_CALLS:
            return None
        found = found.scope.parent.call if found.scope.parent else None
    return None


def _is_same(found: Call, bound: Bound, attributes: Attributes) -> bool:
    """Whether another library has begun to tell the very same tool or search."""
    return (
        bool(found.open)
        and not bound.operation.is_served
        and found.bound.operation.name == _TOLD_TWICE[bound.operation.name]
        and found.bound.who[0] != bound.who[0]
        and found.attributes.get(s.TOOL_NAME) == attributes.get(s.TOOL_NAME)
    )
