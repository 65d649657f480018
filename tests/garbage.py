"""Garbage collection that has happened when it is said to have."""

from __future__ import annotations

import gc
import weakref


class _Litter:
    """What only the collector can take away."""

    def __init__(self) -> None:
        """Hold itself."""
        self.me = self


def collect() -> None:
    """Collect what was dropped until now: while another thread collects, Python's own does nothing."""
    last = weakref.ref(_Litter())
    while last() is not None:
        gc.collect()
