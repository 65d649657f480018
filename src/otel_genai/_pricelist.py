"""The user's own prices: read from a file or given in the program, checked, and stronger than the table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any

from otel_genai import _prices
from otel_genai import semconv as s

_NAMES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
    "audio_input": "input_audio_mtok",
    "audio_output": "output_audio_mtok",
    "cached_audio_input": "cache_audio_read_mtok",
    "image_input": "input_image_mtok",
    "image_output": "output_image_mtok",
    "cached_image_input": "cache_image_read_mtok",
}
"""What a price is called here -> in the table; in USD per million tokens."""
PER_REQUEST, PER_SECOND = "per_request", "per_second"
_KEYS = (*_NAMES, PER_REQUEST, PER_SECOND)
_EXAMPLE = '[{"model": "my-model-*", "input": 0.5, "output": 1.5}]'


@dataclass(frozen=True, slots=True)
class Price:
    """What the user says that models cost."""

    model: re.Pattern[str]
    provider: str | None
    rates: _prices.Rates

    def fits(self, provider: str, model: str) -> bool:
        """Whether this is the price of a model."""
        return self.provider in (None, provider.lower()) and self.model.fullmatch(model) is not None


def wanted(value: Any) -> bool | None:
    """Read whether calls are priced: true, false, or None where it depends on what there is to price them by.

    Raises `ValueError` where the answer is true and nothing to price by is installed.
    """
    if value is None:
        return None
    word = str(value).strip().lower()
    if word not in ("true", "false"):
        msg = f"{value!r} is not one of true, false"
        raise ValueError(msg)
    if word == "true" and not _prices.is_installed():
        msg = (
            "genai-prices is not installed: pip install 'otel-genai[cost]', or leave this out and give prices"
        )
        raise ValueError(msg)
    return word == "true"


def read(value: Any) -> tuple[Price, ...] | None:
    """Read prices: a file's path, a list of entries, or model -> entry.

    Raises `ValueError`, which says in which entry what should stand.
    """
    if value is None or (isinstance(value, tuple) and all(isinstance(item, Price) for item in value)):
        return value
    if isinstance(value, (str, PathLike)):
        return _entries(_file(Path(value)), f"{value}: ")
    return _entries(value, "")


def _file(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        msg = f"{path}: {error.strerror or error}; give the path of a JSON file of prices"
    except RecursionError:
        msg = f"{path}: too deep; write a list such as {_EXAMPLE}"
    except ValueError as error:
        msg = f"{path}: not JSON: {error}; write a list such as {_EXAMPLE}"
    raise ValueError(msg)


def _entries(value: Any, where: str) -> tuple[Price, ...]:
    if isinstance(value, Mapping):
        strange = [model for model, entry in value.items() if not isinstance(entry, Mapping)]
        if not strange:
            value = [{"model": model, **entry} for model, entry in value.items()]
    if not isinstance(value, (list, tuple)):
        msg = f"{where}not a list of prices; write one such as {_EXAMPLE}"
        raise ValueError(msg)  # noqa: TRY004 (one kind of error for every bad setting)
    return tuple(_price(entry, f"{where}entry {number}") for number, entry in enumerate(value, 1))


def _price(entry: Any, where: str) -> Price:
    """Check one entry, and make it a price."""
    if not isinstance(entry, Mapping):
        _refuse(where, f"not an entry; write one such as {_EXAMPLE[1:-1]}")
    for key in ("model", "provider"):
        name = entry.get(key)
        if not (isinstance(name, str) and name.strip()) and (key == "model" or name is not None):
            _refuse(where, f'"{key}" is {name!r}; write a name, such as "my-model" or "my-*"')
    where = f'{where} ("{entry["model"]}")'
    strange = [key for key in entry if key not in (*_KEYS, "model", "provider")]
    if strange:
        _refuse(where, f"{strange[0]!r} is not known; write {_some(_KEYS)}")
    given = {key: _number(entry[key], f'{where}: "{key}"') for key in _KEYS if entry.get(key) is not None}
    if not given:
        _refuse(where, f"no price; write at least one of {_some(_KEYS)}")
    prices: dict[str, Any] = {_NAMES[key]: price for key, price in given.items() if key in _NAMES}
    if PER_REQUEST in given:
        prices["requests_kcount"] = given[PER_REQUEST] * 1000
    rates = _prices.build(prices, s.PRICES_OWN, second=given.get(PER_SECOND, 0.0))
    if rates is None:  # a price of nothing, for a second or a call, is a price
        rates = _prices.Rates(s.PRICES_OWN)
    pattern = ".*".join(re.escape(part) for part in entry["model"].strip().split("*"))
    provider = entry.get("provider")
    return Price(re.compile(pattern, re.IGNORECASE | re.DOTALL), provider and provider.strip().lower(), rates)


def _number(value: Any, where: str) -> float:
    try:
        if not isinstance(value, bool) and isinstance(value, (int, float)) and value >= 0 and isfinite(value):
            return float(value)
    except OverflowError:
        pass
    msg = (
        f"{where} is {value!r}; write a number of USD, 0 or more: per million tokens, per second or per call"
    )
    raise ValueError(msg)


def _refuse(where: str, what: str) -> None:
    msg = f"{where}: {what}"
    raise ValueError(msg)


def _some(names: Iterable[str]) -> str:
    return ", ".join(names)


def find(prices: Iterable[Price], provider: str, models: Iterable[str]) -> _prices.Rates | None:
    """Give the rates of the first entry that fits one of a model's names."""
    names = list(models)
    for price in prices:
        if any(price.fits(provider, name) for name in names):
            return price.rates
    return None
