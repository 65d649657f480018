"""MCP's SDK from version 2 on tells its requests itself."""

from __future__ import annotations

import logging

import pytest

import otel_genai
from otel_genai._patching import sdk_version
from otel_genai.testing import capture

if (sdk_version("mcp") or "1") < "2":
    pytest.skip("needs mcp >= 2: pip install 'otel-genai[frameworks]'", allow_module_level=True)


def test_an_sdk_that_tells_itself_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """That is as it should be: no warning, and `providers()` says why."""
    pytest.importorskip("mcp.client.stdio")
    with caplog.at_level(logging.WARNING), capture("mcp"):
        [status] = [one for one in otel_genai.providers() if one.name == "mcp"]
    assert (status.state, status.targets) == ("skipped", [])
    assert status.reason.endswith("makes its spans itself, and those are adopted")
    assert [record for record in caplog.records if "mcp" in record.getMessage()] == []
