"""What calls cost: told at once where a model's prices are known, and a moment later where they are not.

Prices are looked up by a thread of their own, which begins with the first call that wants one: neither the
program's start nor a call waits for the table. Until it is there, calls are kept, and counted when it is;
from then on a model that nobody asked for by its name, as a dated one that answers, is looked up at once.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import time
import weakref
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from threading import Lock, get_ident
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from otel_genai import _guard, _pricelist, _prices
from otel_genai import semconv as s

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram

    from otel_genai._tally import Tally

logger = logging.getLogger(__name__)

KEPT = 2000
"""Models whose prices are kept at most."""
LATE = 1000
"""Calls that wait for their prices at most."""
STALE = 90
"""Days after which a table is called old."""
LAST = 5.0
"""Seconds that the program's end waits for prices at most."""

Key = tuple[str, str, str, "str | None"]
"""Provider, the model that answered, the model that was asked for, service tier."""
_STANDARD = frozenset({"default", "standard", "auto", "on_demand"})
"""Service tiers that are none in particular."""
_NAMED = (s.PROVIDER_NAME, s.REQUEST_MODEL, s.RESPONSE_MODEL)
_WITHOUT_OUTPUT = frozenset({s.EMBEDDINGS, s.RERANK, s.MODERATION})
"""Operations whose answers are no tokens."""
_KEPT_KEYS = (*_NAMED, *sorted(s.USAGE), s.OPERATION_NAME, s.OUTCOME, s.USAGE_COST_AMOUNT)
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_said: set[str] = set()
"""What was said of the table: once in a program."""


@dataclass(slots=True)
class Ended:
    """A call whose price is not known yet: what is needed of it, and no more."""

    usage: Mapping[str, Any]
    dimensions: Mapping[str, Any]
    seconds: float
    context: Context | None
    further: Mapping[str, Any]


class Costs:
    """Counts what calls cost.

    Args:
        counter: gives a metric's counter.
        prices: the user's own.
        histogram: where each call's cost is recorded besides, if anywhere.
        fail: told of what goes wrong in our own thread.
    """

    def __init__(
        self,
        counter: Callable[[s.Metric], Tally],
        prices: Iterable[_pricelist.Price] | None = None,
        histogram: Histogram | None = None,
        fail: Callable[[Exception], None] | None = None,
    ) -> None:
        """Know no price yet."""
        self._counter = counter
        self._spent, self._unpriced = counter(s.COST), counter(s.UNPRICED)
        self._missing = counter(s.USAGE_MISSING)
        self._own = tuple(prices or ())
        self._histogram = histogram
        self._fail = fail or _log
        self._table: _prices.Table | None = None
        self._has_tried = False
        self._rates: dict[Key, _prices.Rates | None] = {}
        self._late: deque[tuple[Key, float, Ended | None]] = deque()
        self._busy = Lock()
        _guard.forked(self)
        _live.add(self)

    def expect(self, asked: Mapping[str, Any]) -> None:
        """Have the prices of a model looked up while the call runs, so that its span can carry its cost.

        Args:
            asked: the call's attributes at its begin.
        """
        key = _key(asked)
        if key is not None and key not in self._rates and len(self._late) < LATE:
            self._later(key, time.time(), None)

    def tell(
        self, found: Mapping[str, Any], dimensions: Mapping[str, Any], seconds: float,
        context: Context | None = None, further: Mapping[str, Any] = _NOTHING,
    ) -> dict[str, Any]:  # fmt: skip
        """Count what a call cost, and say what its span says of it: nothing while or where it is unknown.

        Args:
            found: every attribute of the call at its end; totals of tokens include their parts.
            dimensions: what the metrics carry, always in the same order.
            seconds: that the call took.
            context: for the histogram's exemplars.
            further: what the counter carries besides, always in the same order.
        """
        if s.USAGE_COST_AMOUNT in found:
            return self._pass_on(found, Ended({}, dimensions, seconds, context, further))
        key = _key(found)
        if key is None:
            return {}  # no model was called that anybody could name
        began = time.time() - seconds
        rates = self._rates.get(key, _UNSEEN)
        if rates is _UNSEEN and self._own:  # these need no table, and no waiting
            mine = _pricelist.find(self._own, key[0], key[1:3])
            if mine is not None:
                rates = self._keep(key, mine)
        ended = Ended(found, dimensions, seconds, context, further)
        if _is_wanting(rates, began):
            if self._table is None:
                return self._wait(key, began, ended)
            rates = self._current(key, began)  # 0.1 ms, once for each name: it is the import that takes long
        return self._count(rates, ended)

    def _wait(self, key: Key, began: float, ended: Ended) -> dict[str, Any]:
        """Keep a call, and no more of it than is needed, until the table is there."""
        ended.usage = {name: ended.usage[name] for name in _KEPT_KEYS if name in ended.usage}
        if len(self._late) < LATE:
            self._later(key, began, ended)
            return {}
        return self._count(None, ended)

    def _keep(self, key: Key, rates: _prices.Rates | None) -> _prices.Rates | None:
        if len(self._rates) >= KEPT:
            self._rates.clear()
        self._rates[key] = rates
        return rates

    def _pass_on(self, found: Mapping[str, Any], ended: Ended) -> dict[str, Any]:
        """Count what the answer itself says that it cost."""
        amount, currency = found[s.USAGE_COST_AMOUNT], found.get(s.USAGE_COST_CURRENCY, s.USD)
        if isinstance(amount, (int, float)) and amount >= 0 and currency == s.USD:
            self._spend(float(amount), s.COST_PROVIDER, ended)
        return {s.USAGE_COST_CURRENCY: currency, s.USAGE_COST_SOURCE: s.COST_PROVIDER}

    def _count(self, rates: _prices.Rates | None, ended: Ended) -> dict[str, Any]:
        """Count a call, with what it cost or why that is unknown."""
        usage = ended.usage
        operation = usage.get(s.OPERATION_NAME)
        is_told = s.USAGE_INPUT_TOKENS in usage and (
            s.USAGE_OUTPUT_TOKENS in usage or operation in _WITHOUT_OUTPUT
        )
        if not is_told:
            if usage.get(s.OUTCOME) == s.FAILED and not _has_usage(usage):
                return {}  # nothing was answered, and nothing is asked for it
            if operation == s.MODERATION and rates is None:
                return {}  # most are free: https://developers.openai.com/api/docs/guides/moderation
            if operation not in s.OTHER_MODELS or (rates is not None and rates.steps):
                self._missing.add(1, _names(ended.dimensions))
                if rates is None or rates.steps:
                    return {}
        amount = rates.amount(usage, ended.seconds) if rates is not None else None
        if rates is None or amount is None:
            self._unpriced.add(1, _names(ended.dimensions))
            return {}
        self._spend(amount, s.COST_LOCAL, ended)
        return {
            s.USAGE_COST_AMOUNT: amount,
            s.USAGE_COST_CURRENCY: s.USD,
            s.USAGE_COST_SOURCE: s.COST_LOCAL,
            s.PRICES: rates.source,
        }

    def _spend(self, amount: float, source: str, ended: Ended) -> None:
        is_judge = s.JUDGE in ended.dimensions  # nothing of that is what the program itself spends
        spent = self._counter(s.JUDGE_COST) if is_judge else self._spent
        spent.add(amount, (*ended.dimensions.items(), *ended.further.items()))
        if is_judge:
            return
        if self._histogram is not None:
            more = {s.USAGE_COST_CURRENCY: s.USD, s.USAGE_COST_SOURCE: source}
            self._histogram.record(amount, {**ended.dimensions, **more}, ended.context)

    def _later(self, key: Key, began: float, ended: Ended | None) -> None:
        self._late.append((key, began, ended))
        _prepare()
        self._wake()

    def _wake(self) -> None:
        """Have the thread at work, if it is not."""
        if self._busy.acquire(blocking=False):
            try:
                start_new_thread(self._catch_up, (self._busy,))
            except RuntimeError:  # Python starts no thread when it is about to end: `settle` does it
                self._busy.release()

    def settle(self, timeout: float = 10.0) -> None:
        """Count what waits for its price, now.

        Args:
            timeout: seconds to wait at most for the thread that is doing it.
        """
        end = time.monotonic() + timeout
        while self._late or self._busy.locked():
            busy = self._busy
            if not busy.acquire(timeout=max(0.0, end - time.monotonic())):
                return
            self._catch_up(busy)

    def _catch_up(self, busy: Any) -> None:
        """Look up the prices that are wanted, and count the calls that waited for them."""
        try:
            while self._late:
                self._price(*self._late.popleft())
        except IndexError:
            pass  # in a process that was forked meanwhile
        finally:
            busy.release()
        if self._late and busy is self._busy:
            self._wake()  # one came in between

    def _price(self, key: Key, began: float, ended: Ended | None) -> None:
        rates = self._current(key, began)
        if ended is not None:
            self._attempt(self._count, rates, ended)

    def _current(self, key: Key, began: float) -> _prices.Rates | None:
        """Give a model's rates, looked up where they are not known or hold no more."""
        rates: _prices.Rates | None = self._rates.get(key, _UNSEEN)
        if _is_wanting(rates, began):
            rates = self._attempt(self._look_up, key, began)
            self._rates[key] = rates  # of a look-up that failed, too: once is enough
        return rates

    def _attempt(self, what: Callable[..., Any], *args: Any) -> Any:
        """Do what is ours: in our thread nobody else would catch its failure, and no call ends by it."""
        try:
            return what(*args)
        except Exception as error:  # noqa: BLE001 (the guard)
            self._fail(error)
            return None

    def _look_up(self, key: Key, began: float) -> _prices.Rates | None:
        """Find a model's rates, and keep them under every name of it that the answer may bring."""
        provider, model, asked, tier = key
        also: list[str] = []
        rates = _pricelist.find(self._own, provider, (model, asked))
        if rates is None and (table := self._loaded()) is not None:
            rates, also = table.find(provider, model, tier, began)
        if len(self._rates) + len(also) >= KEPT:
            self._rates.clear()
        if not any(price.fits(provider, name) for price in self._own for name in also):
            for name in also:
                self._rates[provider, name, asked, tier] = rates
        return rates

    def _loaded(self) -> _prices.Table | None:
        """Import the table, once; without one every model that has no price of the user's is unpriced."""
        if not self._has_tried:
            self._has_tried = True
            try:
                with _importing:
                    self._table = _prices.Table()
                _say_if_old()
            except ImportError as error:
                if not self._own:
                    _say(f"calls have no prices: {error}; pip install 'otel-genai[cost]'")
            except Exception:
                logger.warning("genai-prices cannot be read: calls have no prices", exc_info=True)
        return self._table

    def forget(self) -> None:
        """Begin again, in a process that was forked: what was waiting is the parent's to count."""
        self._busy = Lock()
        self._late = deque()
        self._has_tried = self._table is not None


_UNSEEN: Any = object()
_live: weakref.WeakSet[Costs] = weakref.WeakSet()
_importing = Lock()
"""Held while the table is imported, and while the process is forked."""
_holder = 0
"""The thread that forks."""


def start(
    prices: Sequence[_pricelist.Price] | None, counter: Callable[[s.Metric], Tally],
    histogram: Histogram | None = None, fail: Callable[[Exception], None] | None = None,
    *, wanted: bool | None = None,
) -> Costs | None:  # fmt: skip
    """Give what prices calls, as the settings say; None where they do not want it, or have nothing for it."""
    if wanted is False or (wanted is None and not prices and not _prices.is_installed()):
        return None
    return Costs(counter, prices, histogram, fail)


def scope() -> dict[str, str]:
    """Say which table is in use, for the scope; it is not imported for that."""
    table = _prices.edition()
    if table is None:
        return {}
    return {s.PRICES_VERSION: table.version, **({s.PRICES_DATE: str(table.date)} if table.date else {})}


def _key(found: Mapping[str, Any]) -> Key | None:
    """Say whose prices a call has."""
    provider, asked = found.get(s.PROVIDER_NAME), found.get(s.REQUEST_MODEL)
    model = found.get(s.RESPONSE_MODEL) or asked
    if not isinstance(provider, str) or not isinstance(model, str):
        return None
    tier = found.get(s.OPENAI_RESPONSE_SERVICE_TIER) or found.get(s.SERVICE_TIER)
    if not isinstance(tier, str) or tier in _STANDARD:
        tier = None
    return provider, model, asked if isinstance(asked, str) else model, tier


def _is_wanting(rates: _prices.Rates | None, began: float) -> bool:
    """Whether rates are to be looked up, for a call of that time."""
    return rates is _UNSEEN or (rates is not None and rates.until <= began)


def _has_usage(usage: Mapping[str, Any]) -> bool:
    return any(usage.get(name) for name in (s.USAGE_INPUT_TOKENS, s.USAGE_OUTPUT_TOKENS))


def _names(dimensions: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Name the model as metrics do: capped."""
    return tuple((name, dimensions[name]) for name in _NAMED if isinstance(dimensions.get(name), str))


def _say_if_old() -> None:
    table = _prices.edition()
    if table is None or table.date is None:
        return
    days = (date.today() - table.date).days  # noqa: DTZ011 (the user's calendar)
    if days > STALE:
        _say(f"the prices of genai-prices {table.version} are {days} days old: pip install -U genai-prices")


def _say(text: str) -> None:
    if text not in _said:
        _said.add(text)
        logger.warning("%s", text)


def _log(error: Exception) -> None:
    logger.debug("a call could not be priced", exc_info=error)


@functools.cache
def _prepare() -> None:
    """Ask to be told of the program's end before the SDK is: its last reading has what was waiting."""
    atexit.register(settle, LAST)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)


def _hold() -> None:
    """Have the import finished: a process that is forked in its midst could never do it."""
    global _holder  # noqa: PLW0603 (there is one import)
    if _importing.acquire(timeout=LAST):
        _holder = get_ident()


def _let_go() -> None:
    global _holder  # noqa: PLW0603 (there is one import)
    if _holder == get_ident():
        _holder = 0
        _importing.release()


def settle(timeout: float = 10.0) -> None:
    """Count every call that waits for its price, now.

    Args:
        timeout: seconds to wait at most.
    """
    end = time.monotonic() + timeout
    for costs in list(_live):
        costs.settle(max(0.0, end - time.monotonic()))
