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

    def within(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Give a metric's attributes with every value capped."""
        known = self._known
        return {
            key: value if value in known[key] else self._admit(key, value)
            for key, value in attributes.items()
        }

    def pairs(self, keys: Iterable[str], found: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
        """Give those of the attributes that are wanted on a counter, in the order of `keys`."""
        return tuple((key, self.keep(key, found[key])) for key in keys if key in found)

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
