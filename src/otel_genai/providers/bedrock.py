"""Bedrock by AWS's own SDK: models, agents and knowledge bases, through boto3, aiobotocore or aioboto3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import IOBase
from typing import Any

from otel_genai import semconv as s
from otel_genai.providers import _bedrock_agents, _bedrock_invoke
from otel_genai.providers._bedrock_converse import CONVERSE
from otel_genai.providers._bedrock_converse import body as flat
from otel_genai.providers._bedrock_text import METRICS
from otel_genai.providers.surface import at
from otel_genai.spec import Body, Json, Operation, Provider, Request, plain, view

RUNTIME, AGENTS = "bedrock-runtime", "bedrock-agent-runtime"
Choose = Callable[[Body], tuple[Operation, Body]]


@dataclass(frozen=True, slots=True)
class Call:
    """One of AWS's operations.

    Args:
        service: whose it is: other services have operations of the same name.
        choose: says what it is to us, and brings what was given into the form that readers read.
        events: where in the result the stream is.
    """

    service: str
    choose: Choose
    events: str | None = None


def _is(
    operation: Operation, body: Callable[[Body], Body] = dict
) -> Callable[[Body], tuple[Operation, Body]]:
    return lambda given: (operation, body(given))


_CONVERSE = _is(CONVERSE, flat)
_AGENT = _is(_bedrock_agents.AGENT)
_GENERATE = _is(_bedrock_agents.GENERATE, _bedrock_agents.generation)
CALLS: Mapping[str, Call] = {
    "Converse": Call(RUNTIME, _CONVERSE),
    "ConverseStream": Call(RUNTIME, _CONVERSE, "stream"),
    "InvokeModel": Call(RUNTIME, _bedrock_invoke.choose),
    "InvokeModelWithResponseStream": Call(RUNTIME, _bedrock_invoke.choose, "body"),
    "InvokeAgent": Call(AGENTS, _AGENT, "completion"),
    "InvokeInlineAgent": Call(AGENTS, _AGENT, "completion"),
    "Retrieve": Call(AGENTS, _is(_bedrock_agents.RETRIEVE)),
    "RetrieveAndGenerate": Call(AGENTS, _GENERATE),
    "RetrieveAndGenerateStream": Call(AGENTS, _GENERATE, "stream"),
    "Rerank": Call(AGENTS, _is(_bedrock_agents.RERANK)),
}


class Seam:
    """`BaseClient._make_api_call(operation_name, api_params)`, where every call to AWS passes."""

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say which operation this is; most calls to AWS are none of ours, and leave at once."""
        known = CALLS.get(args[0] if args else kwargs.get("operation_name", ""))
        if known is None or client.meta.service_model.service_name != known.service:
            return None
        given = args[1] if len(args) > 1 else kwargs.get("api_params")
        if not isinstance(given, Mapping):
            return None  # the SDK's to refuse
        operation, body = known.choose(given)
        stream = known.events is not None
        return Request(operation, body, at(s.AWS_BEDROCK, client.meta.endpoint_url), stream, args, kwargs)

    def hold(self, request: Request) -> None:
        """Leave the body: the SDK takes lists, and nothing that is read but once."""

    def ask(self, request: Request) -> bool:  # noqa: ARG002 (AWS tells the usage of a stream unasked)
        """Ask for nothing."""
        return False

    def stream_class(self, request: Request) -> type[Any] | None:  # noqa: ARG002 (as of every seam)
        """Say that no caller chooses the class of a stream here."""
        return None

    def with_stream_class(self, request: Request, cls: type[Any]) -> None:
        """Leave the stream as the SDK makes it."""

    def stream(self, request: Request, result: Any) -> Any:
        """Give the stream in the result; beside a body that is read later, the headers have the counts."""
        if request.stream:
            return result[CALLS[_name(request)].events]
        request.parsed = result["ResponseMetadata"]["HTTPHeaders"] if "body" in result else None
        return None

    def unread(self, result: Any) -> Any:
        """Give the body of a model's answer, which the caller reads."""
        body = result.get("body")
        return body if isinstance(body, IOBase) else None  # before aiobotocore 3, it is no object of its own

    def answer(self, request: Request, result: Any) -> Any:
        """Give what was answered; of a body, with the counts that the headers have."""
        if request.parsed is None:
            return view(result)
        if not isinstance(result, Json):
            return None  # nobody saw the body, or it is no JSON
        return view({METRICS: _bedrock_invoke.counts(request.parsed), **plain(result)})


def _name(request: Request) -> str:
    name: str = request.args[0] if request.args else request.kwargs["operation_name"]
    return name


SEAM = Seam()
PROVIDER = Provider(
    "bedrock",
    requires="botocore >= 1.34.116",
    hooks={
        "aiobotocore.client:AioBaseClient._make_api_call": SEAM,
        "botocore.client:BaseClient._make_api_call": SEAM,
    },
)
