"""Hosts of the user's own, and who answers there: checked when they are set, and looked up by address."""

from __future__ import annotations

import re
from collections.abc import Mapping

_HOST = r"([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
_PROVIDER = r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*"


def read(value: object) -> Mapping[str, str]:
    """Read who answers at which host: pairs in a text, or a mapping; raises `ValueError`."""
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        value = {host: name for host, _, name in pairs}
    if not isinstance(value, Mapping):
        msg = f"{value!r} does not say who answers at which host, such as llm.corp.example=vllm"
        raise ValueError(msg)  # noqa: TRY004 (one kind of error for every bad setting)
    named = {str(host).strip().lower(): str(name).strip() for host, name in value.items()}
    for host, name in named.items():
        found = re.fullmatch(_HOST, host)
        if found is None or not 0 < int(found[2] or 1) < 2**16:
            msg = f"{host!r} is no host, such as llm.corp.example or 10.0.0.7:8000: no scheme, no path"
            raise ValueError(msg)
        if not re.fullmatch(_PROVIDER, name):
            msg = f"{name!r} is no provider's name for {host}, such as vllm, ollama or azure.ai.openai"
            raise ValueError(msg)
    return named


def by_address(hosts: Mapping[str, str]) -> dict[tuple[str, int | None], str]:
    """Give who answers by host and port; no port stands for every one."""
    found = {re.fullmatch(_HOST, host): name for host, name in hosts.items()}
    return {(at[1].strip("[]"), int(at[2]) if at[2] else None): name for at, name in found.items() if at}
