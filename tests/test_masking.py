"""The built-in maskers: what they find, and what only looks like it."""

from __future__ import annotations

import importlib.util
import json
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_genai.masking import _SOUGHT, BUILT_IN, PHONE, _replacing, masked, maskers

FOUND = {
    "keys": [
        "sk-proj-Abc123Abc123Abc123Abc123", "sk-ant-api03-Abc_123-Abc123Abc123", "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA-1234567890abcdefghijklmnopqrstu", "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "xoxb-123456789012-abcdefghijkl", "hf_abcdefghijklmnopqrstuvwxyz0123456789",
        "glpat-abcdefghij1234567890",
        "gsk_abcdefghijklmnopqrstuvwxyz0123456789", "sk_live_abcdefghijklmnop1234",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-DEF_123",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    ],
    "email": ["jo@example.org", "jo.doe+tag@mail.example.co.uk", "jö@bücher.de", "a_b%c@x-y.io"],
    "card": ["4111111111111111", "5500 0000 0000 0004", "3400-0000-0000-009", "6011000990139424"],
    "iban": ["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "NL91ABNA0417164300"],
    "phone": ["+49 30 901820", "+1-202-555-0123", "(202) 555-0123", "202-555-0123", "0049 30 901820",
        "030 901 820 12"],
    "ip": ["192.168.0.1", "8.8.8.8", "2001:db8::1", "fe80::1ff:fe23:4567:890a"],
}  # fmt: skip
NOT_FOUND = {
    "keys": ["sk-short", "task-force-of-the-republic", "AKIA", "eyJ.eyJ.x", "hf_model"],
    "email": ["@home", "a@b", "user at example.org", "x@y.z1"],
    "card": ["4111111111111112", "1234 5678 9012 3456", "0000000000000000", "2026-11-21 12:30:45"],
    "iban": ["DE00370400440532013000", "AB12", "GB29NWBK60161331926818"],
    "phone": ["2026-11-21", "12345", "1.2.3", "3.14159265", "v1.202.555"],
    "ip": ["1.2.3", "1.2.3.4.5", "999.1.1.1", "12:30", "12:30:45", "::", "C++::std"],
}
PHONES = [
    "+49\N{NO-BREAK SPACE}30\N{NO-BREAK SPACE}901820", "+49 30 / 901820", "+49\N{EN DASH}30\N{EN DASH}901820",
    "\N{FULLWIDTH PLUS SIGN}49 30 901820", "+1 (212) 555-0199 ext. 12", "+44 20 7946 0958 x3",
]  # fmt: skip
"""What `phonenumbers` finds whole, and the pattern does not."""
with_library = pytest.mark.skipif(
    importlib.util.find_spec("phonenumbers") is None,
    reason="pip install 'otel-genai[phone]' has phonenumbers tried, too",
)


@pytest.fixture(autouse=True, params=["alone", pytest.param("phonenumbers", marks=with_library)])
def library(request, monkeypatch):
    """Try all with and without the package for phone numbers."""
    if request.param == "alone":
        monkeypatch.setitem(sys.modules, "phonenumbers", None)
    return request.param


@pytest.mark.parametrize("phone", PHONES)
def test_the_library_finds_more_phone_numbers(library, phone):
    """By other dashes and spaces, and with what comes after; all that is found without it is found still."""
    text = masked(f"call {phone}, please", maskers([PHONE]))
    assert (text == "call [phone], please") == (library == "phonenumbers")


def test_the_library_is_imported_when_it_is_wanted(library, monkeypatch):
    """It takes a while, and megabytes."""
    if library == "phonenumbers":
        monkeypatch.delitem(sys.modules, "phonenumbers", raising=False)
        maskers([name for name in BUILT_IN if name != PHONE])
        assert "phonenumbers" not in sys.modules
        maskers([PHONE])
        assert "phonenumbers" in sys.modules


@pytest.mark.parametrize(("kind", "secret"), [(kind, one) for kind in FOUND for one in FOUND[kind]])
def test_what_is_meant_is_found(kind, secret):
    """At the beginning, in the middle and at the end of a text."""
    mask = maskers([kind])
    for text in (f"{secret} is it", f"it is {secret}, really", f'it is "{secret}"', secret):
        assert masked(text, mask) == text.replace(secret, f"[{kind.removesuffix('s')}]")


@pytest.mark.parametrize(
    ("kind", "text", "left"),
    [
        ("card", "card 4111 1111 1111 1111 12/27 CVC 123", "card [card] 12/27 CVC 123"),
        ("card", "7 4111 1111 1111 1111, 1234 5500000000000004", "7 [card], 1234 [card]"),
        ("card", "4111 1111 1111 1111 123", "[card] 123"),
        ("card", "No.4111111111111111", "No.[card]"),
        ("iban", "DE89370400440532013000 BIC COBADEFFXXX", "[iban] BIC COBADEFFXXX"),
        ("iban", "DE89 3704 0044 0532 0130 00 GB29 NWBK 6016 1331 9268 19", "[iban] [iban]"),
        ("ip", "10.0.0.1:8080", "[ip]:8080"),
        ("ip", "ip:10.0.0.1 ip:2001:db8::1 ::ffff:10.0.0.1", "ip:[ip] ip:[ip] [ip]"),
        ("phone", "1-202-555-0123", "[phone]"),
        ("email", "jo@example.org_ jo@example.com2", "[email]_ [email]2"),
        ("keys", "redis://:hunter2@db", "redis://[key]@db"),
        ("keys", "Authorization: Basic am86aHVudGVyMg==", "Authorization: Basic [key]"),
    ],
)  # fmt: skip
def test_what_stands_beside_it_hides_nothing(kind, text, left):
    """Another number, a word in capitals, a port."""
    assert masked(text, maskers([kind])) == left


@pytest.mark.parametrize(("kind", "secret"), [(kind, one) for kind in FOUND for one in FOUND[kind]])
@pytest.mark.parametrize(
    "before", ["密钥是", '{"cut": "line\\n', '{"cut": "\\u5bc6', 'x {"a": "b\\t'], ids=["word", "n", "u", "t"]
)
def test_scripts_without_spaces_and_json_that_was_cut_hide_nothing(kind, secret, before):
    """The letters of a word, or of an escape, stand right before it."""
    assert secret not in masked(f"{before}{secret}的", maskers([kind]))


def test_json_in_json_is_masked_and_stays_json():
    """As a text of its own, behind white space, with its quotes and escapes."""
    mask = maskers(["keys", "email"])
    known = {"to": "line\nsk-proj-Abc123Abc123Abc123", "jo@example.org": ["\u00fcjo@example.org"]}
    for text in (json.dumps(json.dumps(json.dumps(known))), f"\n {json.dumps(known)}"):
        found = masked(text, mask)
        assert "sk-proj" not in found
        assert "example" not in found
        while isinstance(found, str):
            found = json.loads(found)
        assert found == {"to": "line\n[key]", "[email]": ["[email]"]}
    assert masked('"Hello" she said', mask) == '"Hello" she said'


def test_a_masker_that_fails_fails_on_json_too():
    """Whatever it raises: a text that was not masked is not given back."""

    def picky(text):
        return text if text.startswith("{") else int("no number")

    with pytest.raises(ValueError, match="no number"):
        masked('{"a": "b"}', [picky])


@pytest.mark.parametrize(("kind", "text"), [(kind, one) for kind in NOT_FOUND for one in NOT_FOUND[kind]])
def test_what_only_looks_like_it_stays(kind, text):
    """Wrong checksums, dates, versions, words."""
    assert masked(f"it is {text} here", maskers([kind])) == f"it is {text} here"


def test_credentials_are_keys():
    """In a URL and in a header."""
    mask = maskers(["keys"])
    assert masked("https://jo:hunter2@example.org/x", mask) == "https://[key]@example.org/x"
    assert masked("Authorization: Bearer abcdefghijklmnop123", mask) == "Authorization: Bearer [key]"


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the fixture is of the whole run
@given(st.recursive(st.text() | st.integers() | st.none() | st.floats(allow_nan=False) | st.booleans(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_any_value_keeps_its_shape(value):
    """Whatever is in it, masking gives the same kind of value, and nothing that it finds again."""
    mask = maskers(BUILT_IN)
    once = masked(value, mask)
    assert type(once) is type(value) or isinstance(once, str)
    assert masked(once, mask) == once


@pytest.mark.parametrize("kind", BUILT_IN)
@pytest.mark.parametrize("hard", ["a" * 50_000, "1 " * 25_000, "a@" * 25_000, "+1" * 25_000, "a.b@c." * 9000,
                                  "1:" * 25_000, "://a:" * 10_000, "DE12" * 12_000])  # fmt: skip
def test_no_text_is_hard(kind, hard):
    """Fifty thousand characters take no longer than a fraction of a second each."""
    began = time.process_time()
    masked(hard, maskers([kind]))
    assert time.process_time() - began < 5


# --- Quick looks -----------------------------------------------------------------------------------------

PIECES = st.one_of(
    st.sampled_from([
        "sk-", "rk_live_", "pk_test_", "AKIA", "ASIA", "AIza", "ya29.", "ghp_", "gho_", "github_pat_",
        "xoxb-", "hf_", "gsk_", "xai-", "pplx-", "r8_", "npm_", "pypi-", "SG.", "eyJ", "Bearer ", "BEARER ",
        "://", "user:", "@", "example.com", "-----BEGIN RSA PRIVATE KEY-----", "DE89", "+", ":", "::", ".",
        "glpat-", " ",
        "fe80::ab", "\N{ARABIC-INDIC DIGIT FOUR}", "4111 1111 1111 1111", "K\u0307", "bearer\u00a0",
    ]),
    st.text("abcXYZ0123456789_-.:", min_size=1, max_size=40),
    st.text(max_size=8),
)  # fmt: skip


@pytest.mark.parametrize("name", _SOUGHT)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=8).map("".join))
def test_a_quick_look_overlooks_nothing(name, text):
    """Whatever the pattern finds is found."""
    pattern, by, only, _ = _SOUGHT[name]
    assert BUILT_IN[name](text) == _replacing(pattern, by, only)(text)
