"""Maskers: each takes a text and gives it back without one kind of secret or personal data.

They run before content is recorded anywhere. Choose them by name, and add regular expressions and functions
of your own: `instrument(capture="SPAN_ONLY", mask=["keys", "email", re.compile("ACME-[0-9]+"), mine])`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

Masker = Callable[[str], str]

_KEYS = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \b(?:
        sk-[A-Za-z0-9_-]{16,}                       # OpenAI, Anthropic, OpenRouter, DeepSeek
      | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,} # Stripe
      | (?:AKIA|ASIA)[0-9A-Z]{16}                   # AWS
      | AIza[0-9A-Za-z_-]{35}                       # Google
      | ya29\.[0-9A-Za-z_-]{20,}
      | gh[pousr]_[A-Za-z0-9]{30,}                  # GitHub
      | github_pat_[A-Za-z0-9_]{30,}
      | glpat-[A-Za-z0-9_-]{16,}                    # GitLab
      | xox[abeoprs]-[A-Za-z0-9-]{10,}              # Slack
      | hf_[A-Za-z0-9]{30,}                         # Hugging Face
      | gsk_[A-Za-z0-9]{30,}                        # Groq
      | xai-[A-Za-z0-9]{30,}
      | pplx-[A-Za-z0-9]{30,}                       # Perplexity
      | r8_[A-Za-z0-9]{30,}                         # Replicate
      | npm_[A-Za-z0-9]{30,}
      | pypi-[A-Za-z0-9_-]{30,}
      | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}  # SendGrid
      | eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*  # JSON web tokens
    )
    | (?<=://)[^\s/:@]+:[^\s/@]+(?=@)               # user:password in a URL
    | (?i:(?<=bearer\ )[A-Za-z0-9._~+/=-]{16,})
    """,
    re.VERBOSE,
)
_KEY_MARKS = (
    "sk-", "_live_", "_test_", "AKIA", "ASIA", "AIza", "ya29.", "ghp_", "gho_", "ghu_", "ghs_", "ghr_",
    "github_pat_", "glpat-", "xox", "hf_", "gsk_", "xai-", "pplx-", "r8_", "npm_", "pypi-", "SG.", "eyJ",
    "PRIVATE KEY", "://",
)  # fmt: skip
"""One of these is in every key that the pattern finds, but for bearer tokens: to look for them is quick."""
_KEY_MIN = 7
"""Characters of the shortest text with a key in it: `://u:p@`."""
_LONG = 64
_DIGIT = re.compile(r"\d")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\b")
_PHONE = re.compile(
    r"""
    (?<![\w.+-])(?<!\d[ ])
    (?: (?:\+|00)[1-9](?:[ ().\/-]{0,2}\d){6,13}          # with the country's code
      | \(\d{2,5}\)[ ]?\d{3,4}[ .-]?\d{3,4}
      | \d{3}[-. ]\d{3}[-. ]\d{4}
      | 0\d{1,4}[ /-]\d{3,4}(?:[ -]?\d{2,4}){1,2}
    ) (?!\w)
    """,
    re.VERBOSE,
)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_IP = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:]|\.\d)"
)
_LUHN = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def _is_card(found: str) -> bool:
    """Whether the last digit is the checksum of the others (Luhn)."""
    digits = [int(digit) for digit in found if digit.isdigit()][::-1]
    total = sum(digits[::2]) + sum(_LUHN[digit] for digit in digits[1::2])
    return total % 10 == 0 and any(digits)


def _is_iban(found: str) -> bool:
    """Whether the two digits after the country are the checksum of the rest (ISO 7064, mod 97)."""
    plain = found.replace(" ", "")
    number = "".join(str(int(one, 36)) for one in plain[4:] + plain[:4])
    return int(number) % 97 == 1


def _is_address(found: str) -> bool:
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return False
    return found not in ("::", "0.0.0.0")  # noqa: S104 (nobody's address)


def _replacing(
    pattern: re.Pattern[str],
    by: str,
    only: Callable[[str], bool] | None,
    worth: Callable[[str], object] = bool,
) -> Masker:
    """Make the masker that replaces what a pattern finds, in texts that are worth the search."""

    def replacement(found: re.Match[str]) -> str:
        return by if only is None or only(found[0]) else found[0]

    return lambda text: pattern.sub(replacement, text) if worth(text) else text


def _may_have_key(text: str) -> bool:
    if len(text) < _KEY_MIN:
        return False
    return any(mark in text for mark in _KEY_MARKS) or "bearer " in text.lower()


def _may_have_digit(text: str) -> object:
    if len(text) < _LONG or not text.isascii():
        return _DIGIT.search(text)
    return any(digit in text for digit in "0123456789")  # quicker, but for the start


def _may_have_address(text: str) -> object:
    return text.count(":") > 1 or _may_have_digit(text)


PHONE = "phone"
_SOUGHT: dict[str, tuple[re.Pattern[str], str, Callable[[str], bool] | None, Callable[[str], object]]] = {
    "keys": (_KEYS, "[key]", None, _may_have_key),
    "email": (_EMAIL, "[email]", None, lambda text: "@" in text),
    "card": (_CARD, "[card]", _is_card, _may_have_digit),
    "iban": (_IBAN, "[iban]", _is_iban, _may_have_digit),
    PHONE: (_PHONE, "[phone]", None, _may_have_digit),
    "ip": (_IP, "[ip]", _is_address, _may_have_address),
}
"""The pattern, what stands in its place, what a find must be, and a quick look that rules most texts out."""
BUILT_IN: dict[str, Masker] = {name: _replacing(*sought) for name, sought in _SOUGHT.items()}
"""API keys and tokens of well-known providers, e-mail addresses, payment cards and IBANs with a right
checksum, phone numbers, IP addresses."""


def maskers(wanted: Iterable[Any]) -> tuple[Masker, ...]:
    """Bring names, regular expressions and functions into maskers; the built-in ones run in their own order.

    Raises:
        ValueError: something is none of the three; the message says what is.
    """
    names, own = set(), []
    for one in wanted:
        if isinstance(one, str) and one.strip().lower() in BUILT_IN:
            names.add(one.strip().lower())
        elif isinstance(one, re.Pattern) and isinstance(one.pattern, str):
            own.append(_replacing(one, "[masked]", None))
        elif callable(one):
            own.append(one)
        else:
            known = ", ".join(BUILT_IN)
            msg = f"{one!r} is no masker: give {known}, a compiled regular expression or a function"
            raise ValueError(msg)
    return (*own, *(_phone() if name == PHONE else BUILT_IN[name] for name in BUILT_IN if name in names))


def _phone() -> Masker:
    """Give the masker for phone numbers: where `phonenumbers` is installed, what it knows is found first.

    It is not enough alone: nobody tells it the country in which a number without a code would be dialled.
    """
    try:
        from phonenumbers import Leniency, PhoneNumberMatcher  # noqa: PLC0415 (who wants it has it)
    except ImportError:
        return BUILT_IN[PHONE]

    def phone(text: str) -> str:
        if "+" in text or "\N{FULLWIDTH PLUS SIGN}" in text:  # without one it would find nothing
            pieces, end = [], 0
            for found in PhoneNumberMatcher(text, None, leniency=Leniency.POSSIBLE):
                pieces += [text[end : found.start], "[phone]"]
                end = found.end
            text = "".join(pieces) + text[end:]
        return BUILT_IN[PHONE](text)

    return phone


def masked(value: Any, by: Iterable[Masker]) -> Any:
    """Mask every text in a value, whatever part of it that is; JSON within a text stays JSON."""
    if isinstance(value, str):
        return _text(value, by)
    if isinstance(value, dict):
        return _dict(value, by)
    if isinstance(value, (list, tuple)):
        return [masked(item, by) for item in value]
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):  # a card's number is one, too
        text = _text(str(value), by)
        return value if text == str(value) else text
    return _text(str(value), by)


def _dict(value: dict[Any, Any], by: Iterable[Masker]) -> dict[Any, Any]:
    """Mask keys, too; those that become the same are counted, so that none is lost."""
    found: dict[Any, Any] = {}
    for known, item in value.items():
        key = same = masked(known, by)
        while key in found:
            key = f"{same} {len(found) + 1}"
        found[key] = masked(item, by)
    return found


def _text(text: str, by: Iterable[Masker]) -> str:
    if text[:1] in ("{", "["):
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(text)
            clean = masked(found, by)
            return text if clean == found else json.dumps(clean, ensure_ascii=False)
    for masker in by:
        text = masker(text)
        if not isinstance(text, str):
            msg = f"a masker gave {type(text).__name__}, not a text"
            raise TypeError(msg)
    return text
