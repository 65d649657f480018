"""Errors of AWS: the service's own code, the HTTP status, and how often was tried."""

from __future__ import annotations

from typing import Any

from otel_genai import semconv as s
from otel_genai.spec import Attributes

CODES = frozenset({
    "AccessDeniedException", "BadGatewayException", "ConflictException", "DependencyFailedException",
    "ExpiredTokenException", "IncompleteSignature", "InternalFailure", "InternalServerException",
    "InvalidSignatureException", "MalformedHttpRequestException", "ModelErrorException",
    "ModelNotReadyException", "ModelStreamErrorException", "ModelTimeoutException", "NotAuthorized",
    "OptInRequired", "RequestAbortedException", "RequestEntityTooLargeException", "RequestExpired",
    "RequestTimeoutException", "ResourceNotFoundException", "ServiceQuotaExceededException",
    "ServiceUnavailable", "ServiceUnavailableException", "ThrottlingException",
    "UnknownOperationException", "UnrecognizedClientException", "ValidationError", "ValidationException",
})  # fmt: skip
"""The codes that the API documents, of its operations and of all of AWS:
https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html."""


def error(raised: Any) -> Attributes:
    """Read a ClientError: the class of one that came inside a stream does not say which it was."""
    response = getattr(raised, "response", None)
    if not isinstance(response, dict):
        return {}  # it came from no server
    code = response["Error"]["Code"]
    code = code[:1].upper() + code[1:]  # in a stream, codes are the names of its events
    about = response.get("ResponseMetadata", {})
    return {
        s.HTTP_STATUS_CODE: about.get("HTTPStatusCode"),
        s.HTTP_RESEND_COUNT: about.get("RetryAttempts") or None,
        s.ERROR_TYPE: code if code in CODES else None,
    }
