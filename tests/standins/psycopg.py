"""Has the shape of `psycopg`, and a table with two rows."""  # noqa: INP001 (on the path as the library itself would be)

from __future__ import annotations

from typing import Any

ROWS = [(7, "Rayleigh scattering", 0.1), (9, "Air", 0.4)]


class Connection:
    """A connection to a database that has what it always has."""

    def __enter__(self) -> Any:
        """Be open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""

    def execute(self, query: str, params: tuple[Any, ...]) -> Connection:
        """Take a statement: https://www.psycopg.org/psycopg3/docs/api/connections.html."""
        vector, limit = params
        assert (query.count("%s"), vector[0], vector[-1]) == (len(params), "[", "]")
        self.found = ROWS[:limit]
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Give the rows."""
        return self.found


def connect(conninfo: str) -> Connection:
    """Connect to any database."""
    assert conninfo
    return Connection()
