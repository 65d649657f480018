"""Garbage collection that has happened when it is said to have."""

from __future__ import annotations

import gc


def collect(most: int = 5) -> None:
    """Collect all that was dropped until now: while another thread collects, Python's own does nothing.

    Args:
        most: how many collections at most: what finalizers drop is the next one's.
    """
    begun, rounds, left = False, 0, True

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal begun, rounds, left
        if info["generation"] < 2:  # it leaves what has lived through one before
            return
        if begun and phase == "stop":
            rounds, left = rounds + 1, info["collected"] > 0
        begun = begun or phase == "start"

    gc.callbacks.append(note)
    try:
        while left and rounds < most:
            gc.collect()
    finally:
        gc.callbacks.remove(note)
