"""What the user decides: keyword arguments over environment over defaults, frozen once read."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, get_args

from otel_genai import _servers, masking
from otel_genai import semconv as s
from otel_genai.semconv import Generation

if TYPE_CHECKING:
    from otel_genai._pricelist import Price
    from otel_genai.judges import Judge

logger = logging.getLogger(__name__)

_LEAST = 256
"""Bytes of content below which nothing sensible fits."""


class Capture(Enum):
    """Where the content of messages, tools and documents is recorded, if anywhere."""

    NO_CONTENT = "NO_CONTENT"
    SPAN_ONLY = "SPAN_ONLY"
    EVENT_ONLY = "EVENT_ONLY"
    SPAN_AND_EVENT = "SPAN_AND_EVENT"

    @property
    def on_span(self) -> bool:
        """Whether spans carry content."""
        return self in (Capture.SPAN_ONLY, Capture.SPAN_AND_EVENT)

    @property
    def on_event(self) -> bool:
        """Whether events carry content."""
        return self in (Capture.EVENT_ONLY, Capture.SPAN_AND_EVENT)


def _capture(value: object) -> Capture:
    if isinstance(value, Capture):
        return value
    # Older packages knew only true and false; whoever set true wants to see content.
    words = {"TRUE": "SPAN_ONLY", "FALSE": "NO_CONTENT", **{mode.value: mode.value for mode in Capture}}
    word = str(value).strip().upper()
    if word not in words:
        msg = f"{value!r} is not one of {', '.join(mode.value for mode in Capture)}, true, false"
        raise ValueError(msg)
    return Capture(words[word])


def _semconv(value: object) -> str:
    word = str(value).strip().lower()
    if word not in get_args(Generation):
        msg = f"{value!r} is not one of {', '.join(get_args(Generation))}"
        raise ValueError(msg)
    return word


def _disabled(value: object) -> frozenset[str]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple, set, frozenset)):
        msg = f"{value!r} is not a list of provider names, such as openai,anthropic"
        raise ValueError(msg)  # noqa: TRY004 (one kind of error for every bad setting)
    return frozenset(str(name).strip().lower() for name in names if str(name).strip())


def _capture_operations(value: object) -> Mapping[str, Capture]:
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        value = {name.strip(): mode for name, _, mode in pairs}
    if not isinstance(value, Mapping):
        msg = f"{value!r} does not say for each operation what is captured, such as chat=SPAN_ONLY"
        raise ValueError(msg)  # noqa: TRY004 (one kind of error for every bad setting)
    for name, mode in value.items():
        if name not in s.OPERATIONS or mode == "":
            msg = f"{name!r} alone says nothing" if mode == "" else f"{name!r} is no operation"
            known = ", ".join(sorted(s.OPERATIONS))
            msg = f"{msg}: give pairs such as chat=SPAN_ONLY, of {known}"
            raise ValueError(msg)
    return {name: _capture(mode) for name, mode in value.items()}


def _share(value: object) -> float:
    try:
        share = float(str(value))
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        msg = f"{value!r} is not a share from 0 to 1"
        raise ValueError(msg)
    return share


def _bytes(value: object) -> int:
    try:
        count = int(str(value))
    except ValueError:
        count = -1
    if count < _LEAST:
        msg = f"{value!r} is not a number of bytes ({_LEAST} or more)"
        raise ValueError(msg)
    return count


def _mask(value: object) -> tuple[masking.Masker, ...]:
    given = [name for name in value.split(",") if name.strip()] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)):
        given = [given]
    return masking.maskers(given)


def _pattern(value: object) -> re.Pattern[str] | None:
    if value is None or value == "":
        return None
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        return value
    if not isinstance(value, str):
        msg = f"{value!r} is no regular expression for texts"
        raise ValueError(msg)  # noqa: TRY004 (one kind of error for every bad setting)
    try:
        return re.compile(value)
    except re.error as error:
        msg = f"{value!r} is no regular expression: {error}"
        raise ValueError(msg) from None


def _names(value: object) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, (list, tuple, set, frozenset)):
        msg = f"{value!r} is not a list of names, such as team,experiment"
        raise ValueError(msg)  # noqa: TRY004 (one kind of error for every bad setting)
    return tuple(str(name).strip() for name in given if str(name).strip())


def _attributes(value: object) -> tuple[str, ...]:
    """Read names of attributes, or the words that `context()` has for them."""
    return tuple(dict.fromkeys(s.CONTEXT.get(name, name) for name in _names(value)))


def _keys(value: object) -> tuple[str, ...]:
    """Read names of attributes that may be sent."""
    names = _attributes(value)
    if names:
        from otel_genai import _baggage  # noqa: PLC0415 (only programs that send some wait for it)

        _refuse(names, _baggage.key_problem)
    return names


def _hosts(value: object) -> tuple[str, ...]:
    names = _names(value)
    if names:
        from otel_genai import _baggage  # noqa: PLC0415 (as above)

        _refuse(names, _baggage.host_problem)
    return names


def _refuse(names: tuple[str, ...], problem: Callable[[str], str | None]) -> None:
    """Say what is wrong with the first of the names that cannot be used."""
    for name in names:
        if said := problem(name):
            raise ValueError(said)


def _cost(value: object) -> bool | None:
    if not (flag := _flag(value)):
        return flag
    from otel_genai import _pricelist  # noqa: PLC0415 (only programs that ask for it wait for it)

    return _pricelist.wanted(value)


def _prices(value: object) -> tuple[Price, ...] | None:
    if value is None:
        return None
    from otel_genai import _pricelist  # noqa: PLC0415 (as above)

    return _pricelist.read(value)


def _hook(value: object) -> Any:
    if value is None:
        return None
    from otel_genai import _upload  # noqa: PLC0415 (as above)

    return _upload.checked(value)


def _limit(value: object) -> int:
    try:
        count = int(str(value))
    except ValueError:
        count = 0
    if count < 1:
        msg = f"{value!r} is not a whole number of 1 or more"
        raise ValueError(msg)
    return count


def _judges(value: object) -> tuple[Judge, ...]:
    if value is None or value in ((), []):
        return ()
    from otel_genai import judges  # noqa: PLC0415 (only programs that ask for it wait for it)

    return judges.chosen(value)


def _only(value: object) -> bool:
    return bool(_flag(value))


def _secret(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    msg = "not a secret text, which must not be empty: anybody could make the same hashes"
    raise ValueError(msg)


def _stream_gaps(value: object) -> int | None:
    if value is None or str(value).strip().lower() == "all":
        return None
    try:
        count = int(str(value))
    except ValueError:
        count = -1
    if count < 0:
        msg = f"{value!r} is not a number of gaps (0 or more) or all"
        raise ValueError(msg)
    return count


def _flag(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    flags = {"true": True, "false": False}
    if str(value).strip().lower() not in flags:
        msg = f"{value!r} is not one of true, false"
        raise ValueError(msg)
    return flags[str(value).strip().lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How otel-genai behaves. A bad value raises `ValueError` and says what is accepted.

    Args:
        capture: where content is recorded; a `Capture` or its name. `true` means `SPAN_ONLY`.
        emit_event: whether each inference emits its details event; None: when events carry content.
        semconv: generation of the conventions: `published`, `latest`, or `both` metric families.
        disabled: names of providers to leave alone.
        stream_gaps: how many of a stream's gaps between chunks are recorded as a metric, chosen at
            random; None (`all` in the environment) records every one.
        capture_operations: what is captured of single operations, in place of `capture`.
        capture_sample: the share of traces whose content is recorded, from 0 to 1.
        capture_on_error: whether content is recorded of calls that failed or were cut off alone.
        content_budget: bytes of content that a span carries at most.
        mask: maskers that content passes before it is recorded: see `otel_genai.masking`.
        mask_pattern: a regular expression; what it finds in content is masked.
        user_key: a secret; user ids are recorded as their keyed hash (HMAC-SHA-256).
        metric_dimensions: attributes of `context()` that counters have, by their names or its words.
        metric_limit: how many different values an attribute of a metric may have; the rest is `_other`.
        threads: whether thread pools carry the context along.
        baggage: attributes of `context()` that are sent to, and believed from, other processes.
        baggage_hosts: the hosts that they are sent to; `*.internal` stands for all below.
        cost: whether calls are priced; None: where there is something to price them by.
        prices: the user's own: a file's path, a list of entries, or model -> entry.
        cost_histogram: whether each call's cost is recorded as a histogram, too.
        completion_hook: what gets the content of inferences, besides: `upload`, another that is
            installed, or an object with `on_completion()`; see `opentelemetry-util-genai`.
        stream_usage: whether streams are asked for their usage, where an API tells it only then: the one
            setting that changes requests. The chunk that tells it is kept from callers who did not ask.
        hosts: who answers at hosts of your own: `host` or `host:port` -> `gen_ai.provider.name`.
        judges: who judges answers in the background: names or functions, see `otel_genai.judges`.
        judge_sample: the share of traces whose answers are judged, from 0 to 1.
        judge_budget: judgements a minute that each judge may make; the rest is counted as dropped.
    """

    capture: Capture = Capture.NO_CONTENT
    emit_event: bool | None = None
    semconv: Generation = "published"
    disabled: frozenset[str] = frozenset()
    stream_gaps: int | None = 16
    capture_operations: Mapping[str, Capture] = field(default_factory=dict, hash=False)
    capture_sample: float = 1.0
    capture_on_error: bool = False
    content_budget: int = 8192
    mask: tuple[masking.Masker, ...] = ()
    mask_pattern: re.Pattern[str] | None = None
    user_key: str | None = field(default=None, repr=False)
    metric_dimensions: tuple[str, ...] = ()
    metric_limit: int = 200
    threads: bool = False
    baggage: tuple[str, ...] = ()
    baggage_hosts: tuple[str, ...] = ()
    cost: bool | None = None
    prices: tuple[Price, ...] | None = None
    cost_histogram: bool = False
    completion_hook: Any = field(default=None, hash=False)
    stream_usage: bool = False
    hosts: Mapping[str, str] = field(default_factory=dict, hash=False)
    judges: tuple[Judge, ...] = ()
    judge_sample: float = 1.0
    judge_budget: int = 60

    def __post_init__(self) -> None:
        """Bring each value into its type, or say what is accepted."""
        for name, (_, read) in _READ.items():
            try:
                value = read(getattr(self, name))
            except ValueError as error:
                msg = f"Settings({name}=...): {error}"
                raise ValueError(msg) from None
            object.__setattr__(self, name, value)

    @property
    def is_priced(self) -> bool:
        """Whether calls are priced: where they are to be, or where there is something to do it by."""
        if self.cost is not None:
            return self.cost
        return bool(self.prices) or importlib.util.find_spec("genai_prices") is not None

    @property
    def maskers(self) -> tuple[masking.Masker, ...]:
        """All maskers, in the order in which they run."""
        return masking.maskers([self.mask_pattern] if self.mask_pattern else []) + self.mask


_READ: dict[str, tuple[str, Callable[[object], Any]]] = {
    "capture": ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", _capture),
    "emit_event": ("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", _flag),
    "semconv": ("OTEL_GENAI_SEMCONV", _semconv),
    "disabled": ("OTEL_GENAI_DISABLED", _disabled),
    "stream_gaps": ("OTEL_GENAI_STREAM_GAPS", _stream_gaps),
    "capture_operations": ("OTEL_GENAI_CAPTURE_OPERATIONS", _capture_operations),
    "capture_sample": ("OTEL_GENAI_CAPTURE_SAMPLE", _share),
    "capture_on_error": ("OTEL_GENAI_CAPTURE_ON_ERROR", _only),
    "content_budget": ("OTEL_GENAI_CONTENT_BUDGET", _bytes),
    "mask": ("OTEL_GENAI_MASK", _mask),
    "mask_pattern": ("OTEL_GENAI_MASK_PATTERN", _pattern),
    "user_key": ("OTEL_GENAI_USER_KEY", _secret),
    "metric_dimensions": ("OTEL_GENAI_METRIC_DIMENSIONS", _attributes),
    "metric_limit": ("OTEL_GENAI_METRIC_LIMIT", _limit),
    "threads": ("OTEL_GENAI_THREADS", _only),
    "baggage": ("OTEL_GENAI_BAGGAGE", _keys),
    "baggage_hosts": ("OTEL_GENAI_BAGGAGE_HOSTS", _hosts),
    "cost": ("OTEL_GENAI_COST", _cost),
    "prices": ("OTEL_GENAI_PRICES", _prices),
    "cost_histogram": ("OTEL_GENAI_COST_HISTOGRAM", _only),
    "completion_hook": ("OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK", _hook),
    "stream_usage": ("OTEL_GENAI_STREAM_USAGE", _only),
    "hosts": ("OTEL_GENAI_HOSTS", _servers.read),
    "judges": ("OTEL_GENAI_JUDGES", _judges),
    "judge_sample": ("OTEL_GENAI_JUDGE_SAMPLE", _share),
    "judge_budget": ("OTEL_GENAI_JUDGE_BUDGET", _limit),
}
_PROTECT = frozenset(name for name in _READ if name.startswith(("capture", "content", "mask")))
"""Where one of these cannot be read, no content is recorded."""
_warned: set[tuple[str, str]] = set()
VARIABLES = {name: variable for name, (variable, _) in _READ.items()}
"""Setting -> environment variable."""


def from_env(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings: `overrides` win over the environment, which wins over the defaults.

    A bad value in the environment gets one warning, however often it is read, and the safe choice: the
    default, and no content at all if the value was about content.
    """
    environ = os.environ if environ is None else environ
    chosen = dict(overrides)
    safe: dict[str, Any] = {}
    for name, (variable, read) in _READ.items():
        text = environ.get(variable, "").strip()
        if name in chosen or not text:
            continue
        try:
            chosen[name] = read(text)
        except ValueError as error:
            if name in _PROTECT:
                safe = {"capture": Capture.NO_CONTENT, "capture_operations": {}, "completion_hook": None}
            if (variable, text) not in _warned:
                _warned.add((variable, text))
                logger.warning("%s: %s; %s instead", variable, error, _instead(name))
    return Settings(**{**chosen, **safe})


def _instead(name: str) -> str:
    """Say what is done where a setting cannot be read."""
    value = getattr(Settings(), name)
    default = value.value if isinstance(value, Enum) else repr(value)
    return "recording no content" if name in _PROTECT - {"capture"} else f"using {default}"
