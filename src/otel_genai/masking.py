"""Maskers: each takes a text and gives it back without one kind of secret or personal data.

They run before content is recorded anywhere. Choose them by name, and add regular expressions and functions
of your own: `instrument(capture="SPAN_ONLY", mask=["keys", "email", re.compile("ACME-[0-9]+"), mine])`.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Masker = Callable[[str], str]

_ESCAPED = r"(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4})"
"""Behind an escape of JSON, where a text is JSON that was cut, or has some in its midst."""
_ESCAPED_AND = r"(?<=\\[bfnrt].)|(?<=\\u[0-9A-Fa-f]{4}.)"
"""The same behind the character after it: what begins with one of few characters is found more quickly."""

_KEYS = rf"""(?x)
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?:(?<![A-Za-z0-9])|{_ESCAPED})(?:
        sk-[A-Za-z0-9_-]{{16,}}                       # OpenAI, Anthropic, OpenRouter, DeepSeek
      | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{{16,}} # Stripe
      | (?:AKIA|ASIA)[0-9A-Z]{{16}}                   # AWS
      | AIza[0-9A-Za-z_-]{{35}}                       # Google
      | ya29\.[0-9A-Za-z_-]{{20,}}
      | gh[pousr]_[A-Za-z0-9]{{30,}}                  # GitHub
      | github_pat_[A-Za-z0-9_]{{30,}}
      | glpat-[A-Za-z0-9_-]{{16,}}                    # GitLab
      | xox[abeoprs]-[A-Za-z0-9-]{{10,}}              # Slack
      | hf_[A-Za-z0-9]{{30,}}                         # Hugging Face
      | gsk_[A-Za-z0-9]{{30,}}                        # Groq
      | xai-[A-Za-z0-9]{{30,}}
      | pplx-[A-Za-z0-9]{{30,}}                       # Perplexity
      | r8_[A-Za-z0-9]{{30,}}                         # Replicate
      | npm_[A-Za-z0-9]{{30,}}
      | pypi-[A-Za-z0-9_-]{{30,}}
      | SG\.[A-Za-z0-9_-]{{16,}}\.[A-Za-z0-9_-]{{16,}}  # SendGrid
      | eyJ[A-Za-z0-9_-]{{8,}}\.eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]*  # JSON web tokens
    )
    | (?<=://)[^\s/:@]*:[^\s/@]+(?=@)               # user:password in a URL
    | (?i:(?<=bearer\ )[A-Za-z0-9._~+/=-]{{16,}})
    | (?i:(?<=authorization:\ basic\ )[A-Za-z0-9+/=]{{8,}})
"""
_KEY_MARKS = (
    "sk-", "_live_", "_test_", "AKIA", "ASIA", "AIza", "ya29.", "ghp_", "gho_", "ghu_", "ghs_", "ghr_",
    "github_pat_", "glpat-", "xox", "hf_", "gsk_", "xai-", "pplx-", "r8_", "npm_", "pypi-", "SG.", "eyJ",
    "PRIVATE KEY", "://",
)  # fmt: skip
"""One of these is in every key that the pattern finds, but for those of headers: they are quickly found."""
_KEY_MIN = 6
"""Characters of the shortest text with a key in it: `://:p@`."""
_SCHEMES = ("bearer ", "basic ")
_LONG = 64
_DIGIT = re.compile(r"\d")
_EMAIL = (
    r"(?:(?<![\w.+-])[\w.+%-]{1,64}|(?<![A-Za-z0-9_.+%-])[A-Za-z0-9_.+%-]{1,64})"
    r"@(?:[\w-]{1,63}\.){1,8}(?:[A-Za-z]{2,24}|[^\W\d_]{2,24})"
)
_PHONE = rf"""(?x)
    (?=[\d+(])(?:(?<![A-Za-z\d_.+-])|{_ESCAPED})(?<!\d[ ])
    (?: (?:\+|00)[1-9](?:[ ().\/-]{{0,2}}\d){{6,13}}          # with the country's code
      | \(\d{{2,5}}\)[ ]?\d{{3,4}}[ .-]?\d{{3,4}}
      | (?:1[-. ])?\d{{3}}[-. ]\d{{3}}[-. ]\d{{4}}
      | 0\d{{1,4}}[ /-]\d{{3,4}}(?:[ -]?\d{{2,4}}){{1,2}}
    ) (?![A-Za-z\d_])
"""
_CARD = rf"""(?x)
    \d(?:(?<![A-Za-z\d_]\d)(?<!\d\.\d)(?<![A-Za-z\d_]-\d)|{_ESCAPED_AND})
    (?: \d{{3}}[ -]?\d{{4}}[ -]?\d{{4}}[ -]?\d{{1,7}}(?:[ -]\d{{3}})?
      | \d{{3}}[ -]\d{{6}}[ -]\d{{4,5}}
    ) (?!-?[A-Za-z\d_])
"""
_IBAN = rf"(?a)[A-Z](?:(?<![A-Za-z\d_][A-Z])|{_ESCAPED_AND})[A-Z]\d{{2}}(?: ?[A-Z\d]){{11,30}}(?![A-Za-z\d_])"
_IP = rf"""(?x)
    [\da-fA-F:]
    (?: (?:(?<![A-Za-z\d_.:].)|(?<=[g-zG-Z]:.)|{_ESCAPED_AND})
        (?: (?<!:)[\da-fA-F]{{0,3}}: | (?<=:)[\da-fA-F]{{0,4}}: )
        (?: (?:[\da-fA-F]{{0,4}}:){{0,6}}\d{{1,3}}(?:\.\d{{1,3}}){{3}}
          | [\da-fA-F]{{0,4}}(?::[\da-fA-F]{{0,4}}){{0,6}}
        ) (?![A-Za-z\d_:])
      | (?<=\d)(?:(?<![A-Za-z\d_].)(?<!\d\..)|{_ESCAPED_AND})\d{{0,2}}(?:\.\d{{1,3}}){{3}}(?![A-Za-z\d_])
    ) (?!\.\d)
"""
_LUHN = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_CARD_MIN, _IBAN_MIN = 13, 15
"""Digits and characters of the shortest."""


def _card(found: str) -> int:
    """Say how much of it is a card's number: the last digit is the checksum of the others (Luhn)."""
    for end in _ends(found):
        digits = [int(digit) for digit in found[:end] if digit.isdigit()][::-1]
        total = sum(digits[::2]) + sum(_LUHN[digit] for digit in digits[1::2])
        if len(digits) >= _CARD_MIN and total % 10 == 0 and any(digits):
            return end
    return 0


def _iban(found: str) -> int:
    """Say how much of it is an IBAN: as far as the two digits after the country are its checksum (mod 97)."""
    for end in _ends(found):
        plain = found[:end].replace(" ", "")
        if (
            len(plain) >= _IBAN_MIN
            and int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4])) % 97 == 1
        ):
            return end
    return 0


def _ends(found: str) -> Iterator[int]:
    """Give the places where what was found may end, the last one first: behind it may be another number."""
    yield len(found)
    yield from (at for at in range(len(found) - 1, 0, -1) if found[at] in " -")


def _address(found: str) -> int:
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return 0
    return 0 if found in ("::", "0.0.0.0") else len(found)  # noqa: S104 (nobody's address)


def _replacing(
    pattern: str | re.Pattern[str],
    by: str,
    only: Callable[[str], int] | None,
    worth: Callable[[str], object] = bool,
) -> Masker:
    """Make the masker that replaces what a pattern finds, in texts that are worth the search.

    Where `only` is given, it says how many characters of a find are it: with none, the search goes on behind
    the first of them. The pattern is compiled for the first text: who masks nothing does not wait for it.
    """
    compiled = functools.cache(functools.partial(re.compile, pattern))

    def mask(text: str) -> str:
        if not worth(text):
            return text
        return compiled().sub(by, text) if only is None else _checked(text, compiled(), by, only)

    return mask


def _checked(text: str, pattern: re.Pattern[str], by: str, only: Callable[[str], int]) -> str:
    pieces, end = [], 0
    found = pattern.search(text)
    while found is not None:
        at = found.start()
        length = only(found[0])
        if length:
            pieces += [text[end:at], by]
            end = at + length
        found = pattern.search(text, max(end, at + 1))
    return "".join(pieces) + text[end:]


def _may_have_key(text: str) -> bool:
    if len(text) < _KEY_MIN:
        return False
    return any(mark in text for mark in _KEY_MARKS) or any(word in text.lower() for word in _SCHEMES)


def _may_have_digit(text: str) -> object:
    if len(text) < _LONG or not text.isascii():
        return _DIGIT.search(text)
    return any(digit in text for digit in "0123456789")  # quicker, but for the start


def _may_have_address(text: str) -> object:
    return text.count(":") > 1 or _may_have_digit(text)


_OPEN = ("{", "[", '"')
"""What JSON with texts in it begins with."""
PHONE = "phone"
_SOUGHT: dict[str, tuple[str, str, Callable[[str], int] | None, Callable[[str], object]]] = {
    "keys": (_KEYS, "[key]", None, _may_have_key),
    "email": (_EMAIL, "[email]", None, lambda text: "@" in text),
    "card": (_CARD, "[card]", _card, _may_have_digit),
    "iban": (_IBAN, "[iban]", _iban, _may_have_digit),
    PHONE: (_PHONE, "[phone]", None, _may_have_digit),
    "ip": (_IP, "[ip]", _address, _may_have_address),
}
"""The pattern, what stands in its place, how much of a find is it, and a quick look that spares most."""
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
    if text[:1] in _OPEN or text[:1].isspace():
        with contextlib.suppress(RecursionError):
            found = _decoded(text)
            if found is not None:
                clean = masked(found, by)
                return text if clean == found else json.dumps(clean, ensure_ascii=False)
    for masker in by:
        text = masker(text)
        if not isinstance(text, str):
            msg = f"a masker gave {type(text).__name__}, not a text"
            raise TypeError(msg)
    return text


def _decoded(text: str) -> Any:
    """Read JSON that has texts in it; None for all else."""
    try:
        found = json.loads(text) if text.lstrip()[:1] in _OPEN else None
    except ValueError:
        return None
    return found if isinstance(found, (dict, list, str)) else None
