"""What holds for every test: our own failures raise, and no test leaves hooks behind."""

from __future__ import annotations

import os

os.environ["_OTEL_GENAI_STRICT"] = "1"  # before otel_genai reads it
os.environ["OTEL_GENAI_COST"] = "false"  # prices change with the table; what they are about has its own tests

import pytest

pytest.register_assert_rewrite("side_by_side")

import otel_genai  # noqa: E402 (after the line above)


@pytest.fixture(autouse=True)
def _untouched_sdks():
    """Take every hook away again, whatever a test did."""
    yield
    otel_genai.uninstrument()


def pytest_terminal_summary(terminalreporter):
    """Show what tests have counted, in whichever process they ran."""
    reports = [one for group in terminalreporter.stats.values() for one in group]
    counted = [
        text
        for one in reports
        if getattr(one, "when", None) == "call"
        for name, text in one.user_properties
        if name == "counted"
    ]
    if counted:
        terminalreporter.section("counted")
        for text in counted:
            terminalreporter.line(text)
