"""Google's Interactions API: a model's answer or an agent's work, told in steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers._google_genai_content import INTERACTION_DETAILS, add_details, fields, total, word
from otel_genai.providers._google_genai_steps import Fold, parts_of, step_parts
from otel_genai.spec import Attributes, Body, Operation, Row

if TYPE_CHECKING:
    from google.genai.interactions import Interaction

# --- The request -----------------------------------------------------------------------------------------


def laid_open(given: Body) -> Body:
    """Put the body, which may be given as one request, and its configuration beside each other."""
    body = {**given, **fields(fields(given.get("request")).get("body"))}
    return {**fields(body.get("generation_config")), **body}


def operation(given: Body) -> Operation:
    """Tell a hosted agent's work from a model's answer."""
    return AGENT if _given(given, "agent") else INTERACTION


def is_stream(given: Body) -> bool:
    """Whether the answer comes in pieces."""
    return _given(given, "stream") is True


def _given(given: Body, name: str) -> Any:
    """Give one argument; what the SDK has in place of what was not given is no string and no bool."""
    request = given.get("request")
    value = (fields(fields(request).get("body")) if request else given).get(name)
    return value if isinstance(value, (str, bool)) else None


REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "agent": s.AGENT_NAME,
    "previous_interaction_id": s.REQUEST_PREVIOUS_RESPONSE_ID,
    "max_output_tokens": s.REQUEST_MAX_TOKENS,
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "top_p": (s.REQUEST_TOP_P, float),
    "seed": s.REQUEST_SEED,
    "stop_sequences": s.REQUEST_STOP_SEQUENCES,
    "thinking_level": s.REQUEST_REASONING_LEVEL,
}
FETCH_REQUEST: Mapping[str, Row] = {"id": s.RESPONSE_ID, "last_event_id": s.REQUEST_STREAM_CURSOR}
_FORMATS = {"text": s.OUTPUT_TEXT, "image": s.OUTPUT_IMAGE, "audio": s.OUTPUT_SPEECH}


def output_type(body: Body) -> Attributes:
    """Say what kind of output was asked for, where it was one."""
    formats = body.get("response_format")
    asked = [fields(one) for one in (formats if isinstance(formats, list) else [formats])]
    if len(asked) != 1 or not asked[0]:
        return {}
    json = asked[0].get("mime_type") == "application/json" or asked[0].get("type") == "object"
    return {s.OUTPUT_TYPE: s.OUTPUT_JSON if json else _FORMATS.get(str(asked[0].get("type")))}


# --- The answer ------------------------------------------------------------------------------------------

_WAITING = ("in_progress", "queued")
_FINISH = {
    "completed": "stop",
    "requires_action": "tool_call",
    "incomplete": "length",
    "budget_exceeded": "length",
    "requires_continuation": "length",
    "failed": s.FINISH_ERROR,
    "cancelled": s.FINISH_ERROR,
}
_STATUS = {
    "requires_action": "completed",
    "budget_exceeded": "incomplete",
    "requires_continuation": "incomplete",
}


def response(r: Interaction) -> Attributes:
    """Say what the answer is called; one that is not stored has an empty id."""
    return {s.RESPONSE_ID: r.id or None, s.RESPONSE_MODEL: r.model}


def finish(r: Interaction) -> Attributes:
    """Say why it ended: the API has a status alone; what goes on in the background has not ended."""
    status = word(r.status)
    return {} if status in _WAITING else {s.RESPONSE_FINISH_REASONS: [_FINISH.get(status)]}


def status(r: Interaction) -> Attributes:
    """Say how far a stored answer is."""
    return {s.RESPONSE_STATUS: _STATUS.get(word(r.status), r.status)}


def usage(r: Interaction) -> Attributes:
    """Count tokens: the input's include cached ones; results of tools and thoughts are counted apart.

    The total is the sum of all four: https://ai.google.dev/api/interactions-api#Resource:Interaction
    """
    u: Any = r.usage
    if u is None:
        return {}
    thought = getattr(u, "total_thought_tokens", None)  # another name before google-genai 1.56
    found = {
        s.USAGE_INPUT_TOKENS: total(u.total_input_tokens, u.total_tool_use_tokens),
        s.USAGE_OUTPUT_TOKENS: total(u.total_output_tokens, thought),
        s.USAGE_CACHE_READ_INPUT_TOKENS: u.total_cached_tokens,
        s.USAGE_REASONING_OUTPUT_TOKENS: thought,
    }
    for name, attributes in INTERACTION_DETAILS.items():
        add_details(found, getattr(u, name), attributes, "tokens")
    return found


def tier(r: Interaction) -> Attributes:
    """Name what has another price than the standard one."""
    served = getattr(r, "service_tier", None)  # absent before google-genai 2.0
    return {s.SERVICE_TIER: served if served != "standard" else None}


def fault(r: Any) -> str | None:
    """Say that the interaction failed; its codes are not documented."""
    failed = word(r.status or "") == "failed" or getattr(r, "error", None) is not None
    return s.ERROR_OTHER if failed else None


def error(raised: Any) -> Attributes:
    """Read exceptions of the SDK, whose classes say what was wrong."""
    code = getattr(raised, "status_code", None)
    return {s.HTTP_STATUS_CODE: code if isinstance(code, int) and code >= 400 else None}  # noqa: PLR2004 (HTTP's)


# --- Content ---------------------------------------------------------------------------------------------

_ROLES = {"user_input": "user", "user": "user", "function_result": "tool"}


def instructions(body: Body) -> list[content.Part]:
    """Read the system prompt."""
    return parts_of(body.get("system_instruction"))


def inputs(body: Body) -> list[content.Message]:
    """Read what was sent: a string, content, or the steps so far."""
    found: list[content.Message] = []
    loose: list[content.Part] = []
    given = body.get("input")
    for item in given if isinstance(given, (list, tuple)) else [given]:
        inside = {} if item is None or isinstance(item, str) else fields(item)
        kind = inside.get("role") or inside.get("type")
        if "role" not in inside and not _is_step(str(kind)):
            loose += parts_of(item)
            continue
        parts = parts_of(inside.get("content")) if "role" in inside else step_parts(inside)
        found.append(content.message(_ROLES.get(str(kind), "assistant"), parts))
    return [content.message("user", loose), *found] if loose else found


def _is_step(kind: str) -> bool:
    return kind in ("user_input", "model_output", "thought") or kind.endswith(("_call", "_result"))


def tools(body: Body) -> list[dict[str, Any]]:
    """Read the definitions of the tools offered."""
    return [_definition(fields(tool)) for tool in body.get("tools") or ()]


def _definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool.get("type")
    about = {key: tool.get(key) for key in ("description", "parameters") if tool.get(key) is not None}
    return {"type": kind, "name": tool.get("name") or kind, **about}


def outputs(r: Interaction) -> list[content.Message]:
    """Read the steps of the answer as one message; what was sent may stand among them."""
    steps = [fields(step) for step in r.steps or ()]
    parts = [part for step in steps if step.get("type") != "user_input" for part in step_parts(step)]
    why = _FINISH.get(word(r.status or ""))
    return [content.message("assistant", parts, None, why)] if parts else []


# --- The declaration -------------------------------------------------------------------------------------

_CREATE: dict[str, Any] = {
    "request": REQUEST,
    "derived": output_type,
    "response": (response, finish, usage, tier),
    "instructions": instructions,
    "inputs": inputs,
    "tools": tools,
    "outputs": outputs,
    "fold": Fold,
    "fault": fault,
    "error": error,
}
INTERACTION = Operation(name=s.GENERATE_CONTENT, **_CREATE)
AGENT = Operation(name=s.INVOKE_AGENT, **_CREATE)
FETCH = Operation(
    name=s.FETCH_RESPONSE,
    request=FETCH_REQUEST,
    response=(response, finish, status),
    outputs=outputs,
    fold=Fold,
    error=error,
)
