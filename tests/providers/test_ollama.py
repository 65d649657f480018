"""What is peculiar to Ollama: functions of the module, which are methods of a client of its own."""

from __future__ import annotations

from typing import Any

import pytest

ollama = pytest.importorskip("ollama", reason="needs the SDK: pip install ollama")

from otel_genai.testing import capture  # noqa: E402 (after the skip)
from sdks.kit import Reply, Wire, fake  # noqa: E402 (after the skip)

EARLY: Any = ollama.chat
"""The function, as programs have it that import its name before they call `instrument()`."""


def test_a_name_that_was_imported_before_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes where every call passes."""
    wire = Wire([Reply(fake("ollama/chat.json"))], frozenset())
    with wire.serving(), capture("ollama") as seen:
        client = ollama.Client(host=wire.url)._client
        monkeypatch.setattr(EARLY.__self__, "_client", client)
        EARLY(model="llama3.2", messages=[{"role": "user", "content": "What is 2+2?"}])
        client.close()
    [span] = seen.spans
    assert span["name"] == "chat llama3.2"
