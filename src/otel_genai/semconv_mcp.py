"""The names of the conventions for the Model Context Protocol: attributes, metrics and buckets."""

from __future__ import annotations

from otel_genai import semconv as s

METHOD_NAME = "mcp.method.name"
PROTOCOL_VERSION = "mcp.protocol.version"
SESSION_ID = "mcp.session.id"
RESOURCE_URI = "mcp.resource.uri"
REQUEST_ID = "jsonrpc.request.id"
JSONRPC_VERSION = "jsonrpc.protocol.version"
STATUS_CODE = "rpc.response.status_code"
NETWORK_TRANSPORT = "network.transport"
NETWORK_PROTOCOL_NAME = "network.protocol.name"
NETWORK_PROTOCOL_VERSION = "network.protocol.version"
CLIENT_ADDRESS = "client.address"
CLIENT_PORT = "client.port"

INITIALIZE = "initialize"
TOOLS_CALL = "tools/call"
PROMPTS_GET = "prompts/get"
COMPLETE = "completion/complete"
TARGETS = {TOOLS_CALL: s.TOOL_NAME, PROMPTS_GET: s.PROMPT_NAME, COMPLETE: s.PROMPT_NAME}
"""Method -> the attribute that names what it is about, and follows the method in the span's name."""

REQUESTS = frozenset(
    {
        *TARGETS, INITIALIZE, "ping", "tools/list", "prompts/list", "resources/list",
        "resources/templates/list", "resources/read", "resources/subscribe", "resources/unsubscribe",
        "logging/setLevel", "roots/list", "sampling/createMessage",
        "elicitation/create",
    }
)  # fmt: skip
"""The methods that want an answer."""
NOTIFICATIONS = frozenset(
    {
        "notifications/initialized", "notifications/cancelled", "notifications/resources/updated",
        "notifications/resources/list_changed", "notifications/tools/list_changed",
        "notifications/prompts/list_changed", "notifications/roots/list_changed",
    }
)  # fmt: skip
"""The methods that want none, but for progress and log messages: one request may bring any number of them."""
TOOL_ERROR = "tool_error"
"""The type of an error that a tool gives as its result."""
CALLERS_FAULT = frozenset({"-32700", "-32600", "-32601", "-32602", "-32002"})
"""JSON-RPC codes that are no errors of the server which answers with them."""

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
CLIENT_DURATION = s.Metric(
    "mcp.client.operation.duration",
    "s",
    "Duration of an MCP request or notification as its sender sees it.",
    _SECONDS,
)
SERVER_DURATION = s.Metric(
    "mcp.server.operation.duration",
    "s",
    "Duration of an MCP request or notification as its receiver sees it.",
    _SECONDS,
)
CLIENT_SESSION = s.Metric(
    "mcp.client.session.duration", "s", "Duration of an MCP session as its client sees it.", _SECONDS
)
SERVER_SESSION = s.Metric(
    "mcp.server.session.duration", "s", "Duration of an MCP session as its server sees it.", _SECONDS
)
_OF_SESSION = (
    PROTOCOL_VERSION, JSONRPC_VERSION, NETWORK_TRANSPORT, NETWORK_PROTOCOL_NAME, NETWORK_PROTOCOL_VERSION,
    s.SERVER_ADDRESS, s.SERVER_PORT,
)  # fmt: skip
DIMENSIONS = (
    METHOD_NAME, s.OPERATION_NAME, s.TOOL_NAME, s.PROMPT_NAME, STATUS_CODE, *_OF_SESSION,
)  # fmt: skip
"""What metrics of requests carry, but for `error.type`; those of a server have no address."""
SESSIONS = {False: (CLIENT_SESSION, _OF_SESSION), True: (SERVER_SESSION, _OF_SESSION[:-2])}
"""Whether this process is the server -> how a session is measured, and what that carries."""


def signals(method: str, *, is_served: bool) -> s.Signals:
    """How a request is named and measured, as one of its sides sees it."""
    keys = DIMENSIONS[:-2] if is_served else DIMENSIONS
    return s.Signals(TARGETS.get(method, ""), (SERVER_DURATION if is_served else CLIENT_DURATION,), keys)
