"""Who answers at a host that speaks OpenAI's language.

Private hosts are the user's to name: see the setting `hosts`.
"""

from __future__ import annotations

from otel_genai._hosts import HOSTS


def provider(host: str) -> str | None:
    """Name who answers at a public host; None for one that nobody knows."""
    for known, name in HOSTS.items():
        if host == known or host.endswith((f".{known}", f"-{known}")):
            return name
    return None
