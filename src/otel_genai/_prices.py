"""Prices: what a model's tokens cost, by the table of `genai-prices` or by the user's own.

Both become the same small `Rates`, whose `amount` is arithmetic alone. The rules are those of the table:
a part of the tokens that has no price of its own costs what the rest costs, and a price that depends on the
size of the prompt applies to the whole call.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_genai import semconv as s

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo

PACKAGE = "genai-prices"
PROVIDERS = {
    s.AZURE_OPENAI: "azure",
    s.AZURE_INFERENCE: "azure",
    s.AWS_BEDROCK: "aws",
    s.GCP_GEMINI: "google",
    s.GCP_VERTEX_AI: "google",
    s.MISTRAL_AI: "mistral",
    s.MOONSHOT_AI: "moonshotai",
    s.X_AI: "x-ai",
}
"""Provider -> its name in the table, where that is another one."""

_INPUT = {
    "cache_read_mtok": s.USAGE_CACHE_READ_INPUT_TOKENS,
    "cache_write_mtok": s.USAGE_CACHE_WRITE_INPUT_TOKENS,
    "input_text_mtok": s.USAGE_TEXT_INPUT_TOKENS,
    "input_image_mtok": s.USAGE_IMAGE_INPUT_TOKENS,
    "input_audio_mtok": s.USAGE_AUDIO_INPUT_TOKENS,
}
_OUTPUT = {
    "output_reasoning_mtok": s.USAGE_REASONING_OUTPUT_TOKENS,
    "output_text_mtok": s.USAGE_TEXT_OUTPUT_TOKENS,
    "output_image_mtok": s.USAGE_IMAGE_OUTPUT_TOKENS,
    "output_audio_mtok": s.USAGE_AUDIO_OUTPUT_TOKENS,
}
_KINDS = frozenset(
    {s.USAGE_CACHE_READ_INPUT_TOKENS, s.USAGE_CACHE_WRITE_INPUT_TOKENS, s.USAGE_REASONING_OUTPUT_TOKENS}
)
"""Parts by what became of the tokens; the others are by modality, and a token can be in one of each."""
_BOTH = {
    "cache_text_read_mtok": (s.USAGE_TEXT_INPUT_TOKENS, s.USAGE_TEXT_CACHE_READ_INPUT_TOKENS),
    "cache_image_read_mtok": (s.USAGE_IMAGE_INPUT_TOKENS, s.USAGE_IMAGE_CACHE_READ_INPUT_TOKENS),
    "cache_audio_read_mtok": (s.USAGE_AUDIO_INPUT_TOKENS, s.USAGE_AUDIO_CACHE_READ_INPUT_TOKENS),
}
"""The price of cached tokens of a modality -> that modality's count, and the count of those cached."""
_MTOK, _THOUSAND = 1e6, 1e3
_DIGITS = 12
"""Amounts are rounded to a millionth of a millionth of a dollar: what is beyond is the float's."""
_LONG_NAME = 256
"""Characters; no model has a longer name."""

Usage = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """What the tokens of one direction cost, in USD per million."""

    total: str
    """The attribute that counts all of them, the parts included."""
    base: float | None
    """What they cost that are in no part; None: such tokens have no price."""
    parts: tuple[tuple[str, float], ...] = ()
    cached: Mapping[str, tuple[str, float]] = field(default_factory=dict, hash=False)
    """Modality's attribute -> the attribute that counts its cached tokens, and their price."""

    def amount(self, usage: Usage) -> float | None:
        """Price the tokens, in millionths of USD; None when that cannot be known."""
        rest = usage.get(self.total, 0)
        amount, found = 0.0, []
        for key, rate in self.parts:
            count = usage.get(key, 0)
            if count:
                rest -= count
                amount += count * rate
                found.append((key, count, rate))
        if len(found) > 1:
            shared = self._shared(found, rest, usage)
            if shared is None:
                return None
            rest, amount = rest + shared[0], amount + shared[1]
        if rest < 0 or any(count < 0 for _, count, _ in found) or (rest and self.base is None):
            return None
        price: float = amount + rest * (self.base or 0.0)
        return price

    def _shared(
        self, found: list[tuple[str, int, float]], rest: int, usage: Usage
    ) -> tuple[int, float] | None:
        """Say how many tokens were counted in two parts, and by how much the sum of both is wrong."""
        kinds = [part for part in found if part[0] in _KINDS]
        modal = [part for part in found if part[0] not in _KINDS]
        tokens, amount = 0, 0.0
        for kind, count, rate in kinds:
            for modality, most, modal_rate in modal:
                if kind != s.USAGE_CACHE_READ_INPUT_TOKENS or modality not in self.cached:
                    return None  # there is no price for what is in both
                key, price = self.cached[modality]
                both = usage.get(key)
                if both is None:
                    # None told: it is known all the same where nothing, or everything, is in both.
                    both, highest = max(0, -rest), min(count, most)
                    if both != highest or len(found) > 2:  # noqa: PLR2004 (a pair)
                        return None
                if not 0 <= both <= min(count, most):
                    return None
                tokens, amount = tokens + both, amount + both * (price - rate - modal_rate)
        return tokens, amount


@dataclass(frozen=True, slots=True)
class Rates:
    """What a call of one model costs."""

    source: str
    steps: tuple[tuple[int, Side, Side], ...] = ()
    """For prompts of more than so many tokens, the longest first: what input and output cost."""
    request: float = 0.0
    """USD per call."""
    second: float = 0.0
    """USD per second that the call took."""
    until: float = inf
    """Seconds since the epoch: when the table has other prices."""

    def amount(self, usage: Usage, seconds: float) -> float | None:
        """Price a call, in USD; None when that cannot be known from its counts."""
        amount: float = 0.0
        try:
            size = usage.get(s.USAGE_INPUT_TOKENS, 0)
            for start, asked, answered in self.steps:
                if start < 0 or size > start:
                    asking, answering = asked.amount(usage), answered.amount(usage)
                    if asking is None or answering is None:
                        return None
                    amount = asking + answering
                    break
            amount = round(amount / _MTOK + self.request + self.second * seconds, _DIGITS)
        except (ArithmeticError, TypeError, ValueError):
            return None  # no counts
        return amount if 0 <= amount < inf else None


def build(prices: Mapping[str, Any], source: str, until: float = inf, second: float = 0.0) -> Rates | None:
    """Make rates of prices by their names in the table; None where they price no tokens, calls or time."""
    request = _at(prices.get("requests_kcount"), -1) or 0.0
    known = {key for key in prices if key in _INPUT or key in _OUTPUT or key in ("input_mtok", "output_mtok")}
    if not known and not request and not second:
        return None
    tiers = [getattr(prices[key], "tiers", ()) for key in known]
    starts = sorted({tier.start for some in tiers for tier in some} | {-1}, reverse=True)
    steps = tuple((start, *_sides(prices, start)) for start in starts) if known else ()
    return Rates(source, steps, request / _THOUSAND, second, until)


def _sides(prices: Mapping[str, Any], start: int) -> tuple[Side, Side]:
    at = {key: rate for key in prices if (rate := _at(prices[key], start)) is not None}
    cached = {modality: (key, at[name]) for name, (modality, key) in _BOTH.items() if name in at}
    sides = [
        Side(total, at.get(base), tuple((key, at[name]) for name, key in parts.items() if name in at), cached)
        for total, base, parts in (
            (s.USAGE_INPUT_TOKENS, "input_mtok", _INPUT),
            (s.USAGE_OUTPUT_TOKENS, "output_mtok", _OUTPUT),
        )
    ]
    return sides[0], sides[1]


def _at(price: Any, start: int) -> float | None:
    """Give a price as it is for prompts of more than `start` tokens."""
    if price is None or not hasattr(price, "tiers"):
        return None if price is None else float(price)
    reached = [tier for tier in price.tiers if tier.start <= start]
    return float(max(reached, key=lambda tier: tier.start).price if reached else price.base)


class Table:
    """The table that comes with `genai-prices`, or the one that the program had it fetch."""

    def __init__(self) -> None:
        """Import the package, which takes a while; raises `ImportError` where it is not installed."""
        from genai_prices import data_snapshot  # noqa: PLC0415 (0.2 s, and only who asked for it has it)

        self._snapshot: DataSnapshot = data_snapshot.get_snapshot()
        self._providers = {provider.id: provider for provider in self._snapshot.providers}
        self.source = f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"

    def find(self, provider: str, name: str, tier: str | None, when: float) -> tuple[Rates | None, list[str]]:
        """Look a model up: its rates, and the other names that the table has for it.

        Args:
            provider: as the conventions call it.
            name: of the model.
            tier: the service tier that answered; None is the standard one.
            when: seconds since the epoch at which the call began.
        """
        host = self._providers.get(PROVIDERS.get(provider, provider))
        if host is None or len(name) > _LONG_NAME:
            return None, []
        model = host.find_model(name, all_providers=self._snapshot.providers)
        if model is None:
            return None, []
        moment = datetime.fromtimestamp(when, timezone.utc)
        context = _context(tier)
        # The table's tiers are those of the provider itself, not of one that hosts its models.
        if context and not (any(model is own for own in host.models) and _lists(model, context, moment)):
            return None, []
        prices = {
            key: price for key, price in vars(model.get_prices(moment, context)).items() if price is not None
        }
        also = [
            other
            for other in _names(model.match)
            if other != name and host.find_model(other, all_providers=self._snapshot.providers) is model
        ]
        return build(prices, self.source, _until(model, moment)), also


def _context(tier: str | None) -> dict[str, str] | None:
    """Say which of a model's prices a service tier asks for."""
    if tier is None:
        return None
    # What is a tier at OpenAI is a speed at Anthropic.
    return {"processing": "batch"} if tier == "batch" else {"service_tier": tier, "speed": tier}


def _lists(model: ModelInfo, context: dict[str, str], moment: datetime) -> bool:
    """Whether the table has prices of a model that a service tier asks for."""
    return any(
        variant.when.items() <= context.items()
        and (variant.constraint is None or variant.constraint.active(moment))
        for variant in model.price_variants or ()
    )


def _names(match: Any) -> Iterator[str]:
    """Give the names that a rule of the table spells out."""
    if hasattr(match, "equals"):
        yield match.equals
    for clause in getattr(match, "or_", ()):
        yield from _names(clause)


def _until(model: ModelInfo, moment: datetime) -> float:
    """Say when the table's prices for a model change next, in seconds since the epoch."""
    priced = model.prices if isinstance(model.prices, list) else []
    constraints = [item.constraint for item in [*priced, *(model.price_variants or ())]]
    changes = []
    for constraint in constraints:
        first = getattr(constraint, "start_date", None)
        if first is not None:
            changes.append(datetime(first.year, first.month, first.day, tzinfo=timezone.utc))
        for name in ("start_time", "end_time"):
            clock = getattr(constraint, name, None)
            if clock is not None:
                at = datetime.combine(moment.date(), clock, clock.tzinfo or timezone.utc)
                changes.append(moment + ((at - moment) % timedelta(days=1) or timedelta(days=1)))
    return min((change.timestamp() for change in changes if change > moment), default=inf)


@dataclass(frozen=True, slots=True)
class Edition:
    """Which table is installed."""

    version: str
    date: date | None
    """Of its newest price; None where it does not say."""


def is_installed() -> bool:
    """Whether there is a table; it is not imported to know."""
    return importlib.util.find_spec(PACKAGE.replace("-", "_")) is not None


def edition() -> Edition | None:
    """Say which table is installed, without importing it; None where none is.

    The table has no date of its own. It lists prices with the day from which they hold, some of them
    announced ahead: the newest one that is not after the day of installation is the table's.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    try:
        version = importlib.metadata.version(PACKAGE)
        data = Path(spec.origin).with_name("data.py")
        installed = datetime.fromtimestamp(data.stat().st_mtime, timezone.utc).date()
        days = re.findall(rb"start_date=datetime\.date\((\d+), (\d+), (\d+)\)", data.read_bytes())
        dates = [date(int(year), int(month), int(day)) for year, month, day in set(days)]
    except (OSError, ValueError, importlib.metadata.PackageNotFoundError):
        return None
    # Some packagers set the day of every file to one long past: then today is all there is to go by.
    today = datetime.now(timezone.utc).date()
    known = [day for day in dates if day <= installed] or [day for day in dates if day <= today]
    return Edition(version, max(known, default=None))
