"""Spans of others: told whose call it was, read by the conventions, and without secrets in their URLs."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel
from opentelemetry.trace import SpanKind

from otel_genai import _context, _emitters, _guard
from otel_genai._telemetry import SCOPE, active

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.sdk.trace import SpanProcessor as _Base
else:
    _Base = object  # the SDK is slow to import, and asks its processors for no more than their methods

_QUERY = "url.query"
_URLS = frozenset({"url.full", "http.url", _QUERY, "http.target"})
"""Where instrumentations of HTTP clients write an address, by the conventions of today and of before."""
_SECRETS = (
    "key", "api-key", "subscription-key", "key-pair-id", "access-key", "secret-key", "aws-access-key-id",
    "token", "access-token", "refresh-token", "id-token", "auth-token", "session-token", "security-token",
    "sig", "signature", "credential", "credentials", "google-access-id", "ocp-apim-subscription-key",
    "x-amz-signature", "x-amz-credential", "x-amz-security-token",
    "x-goog-signature", "x-goog-credential", "x-goog-api-key",
    "password", "passwd", "pwd", "passphrase", "secret", "client-secret", "api-secret",
    "auth", "authorization", "jwt", "code", "code-verifier", "assertion", "client-assertion",
)  # fmt: skip
"""Parameters whose values are secrets; they may be spelt with `_`, or nothing, for `-`, and in capitals."""
_NAMES = "|".join(_SECRETS).replace("-", "(?:[-_]|%2d|%5f)?")
_PARAMETER = rf"(?i)((?:[?&;\#]|%3f|%26|%23)(?:{_NAMES}))(?:(=)[^&\#]*|(%3d)(?:(?!%26|%23)[^&\#])*)"
"""The second form is that of an address which is itself a parameter."""
_LOGIN = r"(?i)(^[a-z][a-z0-9+.-]*://)[^/?\#]+(@)|((?::|%3a)(?:/|%2f){2})(?:(?!%2f)[^/?\#&\s])+(@|%40)"
_UNSEEN: Any = object()
_compiled = functools.cache(re.compile)
"""Compiled for the first address: programs that ask nobody do not wait for it."""


class ContextProcessor(_Base):
    """Puts the attributes of `context()` on spans of other instrumentations as they start.

    In the URLs of HTTP clients' spans, what looks like a password, key or signature becomes `REDACTED`.
    GenAI spans that known libraries make themselves are completed by the conventions, and measured, once.

    `tracer_provider.add_span_processor(otel_genai.ContextProcessor())`, before the processor that exports.
    What a span has already is left as it is.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Put on the span what is known where it starts."""
        here = otel.get_current() if parent_context is None else parent_context
        if _context.KEY in here:
            _guard.guarded(_hurt, _tell, span, here)
        if span.kind is SpanKind.CLIENT:
            _guard.guarded(_hurt, _mask, span)
        scope = span.instrumentation_scope
        if scope is not None and _emitters.by_scope.get(scope.name, _UNSEEN) and not _emitters.stopped:
            _guard.guarded(_hurt, _adopt, span, scope.name, here)

    def on_end(self, span: ReadableSpan) -> None:
        """Leave the span as it is."""

    def _on_ending(self, span: Span) -> None:
        """Complete the span of a known library, while it can still be written to."""
        adopted = getattr(span, _emitters.MARK, None)
        if adopted is not None:
            adopted.part(span)

    def shutdown(self) -> None:
        """Hold nothing that is to be let go."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Have nothing to send."""
        return True


def _adopt(span: Span, scope: str, here: Context) -> None:
    if _emitters.known(scope) is None:
        return
    from otel_genai import _bridge  # noqa: PLC0415 (only programs with such a library wait for it)

    _guard.guarded(_bridge.hurt, _bridge.meet, span, here)


def _tell(span: Span, here: Context) -> None:
    scope = _context.current(here)
    if scope is None or not scope.attributes or _is_ours(span):
        return
    known = span.attributes or {}
    span.set_attributes({key: value for key, value in scope.attributes.items() if key not in known})


def _mask(span: Span) -> None:
    """Take the secrets out of the addresses that a client's span begins with."""
    known = span.attributes
    if known is None or _is_ours(span):
        return
    for key in [key for key in known if key in _URLS]:
        url = known[key]
        if isinstance(url, str) and ("?" in url or "@" in url or "=" in url):
            clean = without_secrets(url) if key != _QUERY else without_secrets(f"?{url}")[1:]
            if clean != url:
                span.set_attribute(key, clean)


def without_secrets(url: str) -> str:
    """Give a URL with `REDACTED` for a login and for the values of parameters that are secrets."""
    url = _compiled(_LOGIN).sub(r"\1\3REDACTED:REDACTED\2\4", url) if "@" in url or "%40" in url else url
    return _compiled(_PARAMETER).sub(r"\1\2\3REDACTED", url)


def _is_ours(span: Span) -> bool:
    return span.instrumentation_scope is not None and span.instrumentation_scope.name == SCOPE


def _hurt(error: Exception) -> None:
    active().failed("context", "span", error)
