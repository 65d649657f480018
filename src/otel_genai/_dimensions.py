"""Caps: however many users, models or tools there are, a metric has a bounded number of time series.

The SDK has no limit of its own for what is added up here, and a back end is charged by the series.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

logger = logging.getLogger(__name__)

OTHER = "_other"
"""Stands for every value above the cap."""
_SINGLE = frozenset({str, int, float, bool})
LIMIT = 200
"""How many different values an attribute of a metric may have."""


class Caps:
    """What values each attribute has had on a metric: first come, first served."""

    def __init__(self, limit: int = LIMIT) -> None:
        """Know no values yet."""
        self.limit = limit
        self._known: defaultdict[str, set[Any]] = defaultdict(set)
        self._told: set[str] = set()
        self._lock = Lock()

    def keep(self, key: str, value: Any) -> Any:
        """Give the value, or `_other` where the attribute has had as many as it may have."""
        return value if value in self._known[key] else self._admit(key, value)

    def pairs(self, keys: Iterable[str], found: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Give those of the attributes that are there and no lists, in the order of `keys`, and capped."""
        known, kept = self._known, []
        for key in keys:
            value = found.get(key)
            if type(value) in _SINGLE:
                kept.append((key, value if value in known[key] else self._admit(key, value)))
        return kept

    def _admit(self, key: str, value: Any) -> Any:
        with self._lock:
            known = self._known[key]
            if value in known or len(known) < self.limit:
                known.add(value)
                return value
            is_news = value != OTHER and key not in self._told
            self._told.add(key)
        if is_news:
            logger.warning(
                "%s has more than %d different values on metrics; further ones are counted as %s. Spans "
                "have them all",
                key,
                self.limit,
                OTHER,
            )
        return OTHER
