"""Context in an HTTP header, `baggage` by the W3C: what is written for whom, and what is believed when read.

It goes to hosts that are listed and to nobody else. What comes in is anybody's writing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from otel_genai._hosts import CLOUDS, FURTHER, HOSTS

HEADER = "baggage"
LONGEST = 256
"""Characters of a value."""
MOST = 8
"""Values in a header."""
BUDGET = 2048
"""Bytes of all our members of a header."""
LIMIT = 8192
"""Bytes of a header, whoever wrote into it; above, it is not read at all, nor added to."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OCTETS = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*")
_ODD = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be sent and believed, and to whom it may be sent.

    Attributes:
        keys: the attributes.
        hosts: names of hosts; `*.` in front stands for any host below.
    """

    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def trusts(self, url: str) -> bool:
        """Whether what is asked of this address may have the header."""
        host = _host(url) if self.keys and self.hosts else None
        return host is not None and not _is_a_providers(host) and any(_fits(host, p) for p in self.hosts)

    def written(self, attributes: Mapping[str, Any], before: str = "") -> str:
        """Give the header's value: what others wrote before, and ours; no more than is believed when read."""
        ours: dict[str, str] = {}
        spent = 0
        for key in self.keys:
            text = _text(attributes.get(key))
            member = f"{key}={quote(text, safe='')}" if text is not None else ""
            if member and len(ours) < MOST and spent + len(member) <= BUDGET:
                ours[key] = member
                spent += len(member)
        kept = [member for member in _members(before) if _split(member)[0] not in ours]
        value = ",".join([*kept, *ours.values()])
        return value if len(value) <= LIMIT else before

    def read(self, header: str) -> dict[str, str]:
        """Give what can be believed of a header that anybody may have written; the last of a key holds."""
        found: dict[str, str] = {}
        spent = 0
        for member in _members(header) if self.keys and len(header) <= LIMIT else ():
            key, raw = _split(member)
            text = decoded(raw) if key in self.keys else None
            if text is None or (key not in found and len(found) == MOST):
                continue
            spent += len(key) + 1 + len(raw)
            if spent > BUDGET:
                break
            found[key] = text
        return found


def key_problem(key: str) -> str:
    """Say why an attribute cannot be sent under its name; empty if it can."""
    return (
        "" if _TOKEN.fullmatch(key) else f"{key!r} cannot be a key of baggage: no spaces, commas or the like"
    )


def host_problem(pattern: str) -> str:
    """Say why a pattern names no host; empty if it does."""
    host = pattern.removeprefix("*.").lower()
    if _is_a_providers(host):
        return f"{pattern!r} is a model provider's, and what is known of a call is never sent to one"
    if _HOST.fullmatch(host):
        return ""
    return f"{pattern!r} is no host, such as api.internal, or *.svc.local for any below; no port, no scheme"


def headers_of(headers: Any, header: str = HEADER) -> str:
    """Give a header out of a mapping, a WSGI environment, or pairs of strings or bytes as in ASGI."""
    pairs: Iterable[Any] = headers.items() if hasattr(headers, "items") else headers
    values = [_latin(value) for name, value in pairs if _latin(name).lower() in (header, f"http_{header}")]
    return ",".join(values)


def _latin(text: Any) -> str:
    """Read what HTTP carries; what is no text is nothing."""
    if isinstance(text, bytes):
        return text.decode("latin-1")
    return text if isinstance(text, str) else ""


def _host(url: str) -> str | None:
    """Give the host that a client would ask; None for an address that two might read in two ways."""
    if _ODD.search(url):
        return None
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removesuffix(".")
    except ValueError:
        return None
    is_clear = parts.scheme in ("http", "https") and "@" not in parts.netloc and _HOST.fullmatch(host)
    return host if is_clear else None


@functools.cache
def _providers() -> re.Pattern[str]:
    """Give the hosts of model providers: nothing is sent there, not even by a pattern that fits them."""
    known = "|".join(map(re.escape, [*FURTHER, *(host for host in HOSTS if host not in CLOUDS)]))
    clouds = "|".join(map(re.escape, CLOUDS))
    return re.compile(rf"(.+[.-])?({known})|bedrock[a-z-]*\.[a-z0-9.-]+\.({clouds})(\.cn)?")


@functools.lru_cache(maxsize=1000)
def _is_a_providers(host: str) -> bool:
    return _providers().fullmatch(host) is not None


def _fits(host: str, pattern: str) -> bool:
    pattern = pattern.lower()
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _members(header: str) -> list[str]:
    return [member.strip(" \t") for member in header.split(",") if member.strip(" \t")]


def _split(member: str) -> tuple[str, str]:
    """Part a member's key from its value; properties are not ours to know."""
    key, _, raw = member.partition(";")[0].partition("=")
    return key.strip(" \t"), raw.strip(" \t")


def _text(value: Any) -> str | None:
    """Write a value so that it is believed when read; None where it would not be."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if value is not None and is_sound(text) else None


def decoded(raw: str) -> str | None:
    """Read a value; None for one that is not what the W3C lets be written, or that nobody of ours writes."""
    if not _OCTETS.fullmatch(raw):
        return None
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return None
    return text if is_sound(text) else None


def is_sound(text: str) -> bool:
    """Whether a value is neither empty nor long, and has no control characters or hidden ones."""
    return 0 < len(text) <= LONGEST and text.isprintable()
