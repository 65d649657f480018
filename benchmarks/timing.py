"""CPU time: small batches of every candidate in turn, many rounds, compared within each round."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import quantiles
from time import monotonic
from typing import Any

from benchmarks.processes import OFF, PRICED, ROWS, Candidate, Process, Row, on_one_core, say
from benchmarks.workloads import CONCURRENT, LONG, SHORT

BATCH = {"call": 100, "short": 10, "long": 1, "end": 10, "concurrent": 1}
PIECES = {"concurrent": CONCURRENT}
"""How many pieces of work one `concurrent` is."""
SELDOM = 4
"""In which rounds `concurrent`, which takes long, has its turn: every fourth."""
WARM = 15

Samples = dict[tuple[Candidate, str], list[float]]
"""Microseconds per piece of work, one per round."""


@dataclass(frozen=True)
class Cost:
    """Microseconds: the median of all rounds, and how far off it may be (its standard error)."""

    middle: float
    error: float

    @classmethod
    def of(cls, values: list[float]) -> Cost:
        """Make it from one value per round; the quartiles stand in for a deviation without outliers."""
        low, middle, high = quantiles(values, n=4)
        return cls(middle, 1.25 * (high - low) / 1.35 / sqrt(len(values)))


class Timing:
    """One provider's candidates, measured in one interleaved run."""

    def __init__(self, provider: str, samples: Samples) -> None:
        """Start a process per candidate and setting; what they take is added to the samples."""
        self.provider = provider
        self.samples = samples
        self.plan: dict[str, list[Candidate]] = {}
        for row in ROWS:
            for work in ("short", "long") if row.is_slope else (row.work,):
                known = self.plan.setdefault(work, [])
                known += [who for who in map(row.who, row.names) if who not in known]
        everybody = dict.fromkeys(who for candidates in self.plan.values() for who in candidates)
        with on_one_core():
            self.processes = {who: Process(who, provider) for who in everybody}
        # Only now have both done the same; later, one of them does more.
        priced, plain = (self.processes[row.who("ours")].ask("memory") for row in (PRICED, OFF))
        self.table = (priced - plain) / 1024
        """MB that the prices take."""

    def run(self, seconds: float) -> None:
        """Go round until the time is over, and at least until everything was measured twice."""
        for work, candidates in self.plan.items():
            for who in candidates:
                self.processes[who].ask("time", work, 1 if work == "concurrent" else WARM)
        began, rounds = monotonic(), 0
        while rounds <= SELDOM or monotonic() - began < seconds:
            self._round(rounds)
            rounds += 1
        say(f"{self.provider}: {rounds} rounds")

    def _round(self, number: int) -> None:
        for work, candidates in self.plan.items():
            if work == "concurrent" and number % SELDOM:
                continue
            turn = number % len(candidates)  # nobody is always the first
            for who in candidates[turn:] + candidates[:turn]:
                seconds = self.processes[who].ask("time", work, BATCH[work])
                spent = seconds / BATCH[work] / PIECES.get(work, 1) * 1e6
                self.samples.setdefault((who, work), []).append(spent)

    def cost(self, row: Row, name: str) -> Cost | None:
        """Give what a candidate costs over the bare SDK; of the bare SDK, what it takes itself."""
        who, bare = row.who(name), row.who("bare")
        if who not in self.processes:
            return None
        each = self._each(who, row)
        if name != "bare":  # both were measured within the same second
            each = [spent - without for spent, without in zip(each, self._each(bare, row), strict=True)]
        return Cost.of(each)

    def added(self, row: Row) -> Cost:
        """Give what a setting of ours adds; with and without it were measured within the same second."""
        base = row.over or row
        pairs = zip(self._each(row.who("ours"), row), self._each(base.who("ours"), base), strict=True)
        return Cost.of([spent - without for spent, without in pairs])

    def _each(self, who: Candidate, row: Row) -> list[float]:
        """Give one value per round."""
        if not row.is_slope:
            return self.samples[who, row.work]
        pairs = zip(self.samples[who, "short"], self.samples[who, "long"], strict=True)
        return [(long - short) / (LONG - SHORT) for short, long in pairs]

    def memory(self) -> dict[str, float]:
        """Give the most memory that each candidate used over the bare SDK's, in MB."""
        used: dict[str, Any] = {
            who.name: process.ask("memory") for who, process in self.processes.items() if not who.words
        }
        return {
            name: (kilobytes - used["bare"] * (name != "bare")) / 1024 for name, kilobytes in used.items()
        }

    def stop(self) -> None:
        """Let every process end."""
        for process in self.processes.values():
            process.stop()
