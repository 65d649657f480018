"""What the tests of single programs need: that they are built, and a place of their own."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from programs import built

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def unavailable(reason: str) -> None:
    """Skip; where nothing may be missing, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a directory for programs, if they are built."""
    if not built():
        unavailable("the programs are not built: `make stack` builds them")
    return tmp_path


@pytest.fixture
def keys(root: Path) -> dict[str, str]:
    """Give the environment that names a certificate, its key and a token."""
    from single import certificate  # noqa: PLC0415 (only where the programs are)

    if shutil.which("openssl") is None:
        unavailable("certificates are made with openssl: install it")
    return certificate(root)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Give what puts a line of counts into the output of the tests: the summary has it."""
    return lambda text: record_property("counted", text)
