"""Context in a header: written for listed hosts alone, and what anybody writes is believed with care."""

from __future__ import annotations

import importlib
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import context as otel
from opentelemetry.baggage import get_all
from opentelemetry.baggage.propagation import W3CBaggagePropagator

from otel_genai import _baggage, _hosts
from otel_genai._baggage import Policy

KEYS = ("user.id", "session.id", "otel_genai.team")
POLICY = Policy(KEYS, ("api.internal", "*.svc.local", "10.0.0.7", "::1", "Mixed.Internal"))
EVERYBODY = Policy(KEYS, ("*.com", "*.ai", "*.azure.com", "*.amazonaws.com"))
HOSTILE = st.lists(
    st.one_of(
        st.text(),
        st.sampled_from(
            [
                "user.id",
                "=",
                ",",
                ";",
                "%",
                "%0",
                "%0a",
                "%00",
                "%ff",
                "%C3%A9",
                " ",
                "\t",
                "\r\n",
                "\x85",
                "é",
            ]
        ),
    )
).map("".join)


# --- To whom ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://api.internal/",
        "https://API.Internal:8443/v1?x=y#z",
        "https://api.internal.",
        "http://a.svc.local",
        "http://a.b.svc.local/path",
        "http://10.0.0.7:80",
        "http://[::1]:8080/",
        "http://mixed.internal",
    ],
)
def test_listed_hosts_are_trusted(url):
    """By name, whatever the port; a star in front is any host below."""
    assert POLICY.trusts(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://other.internal/",
        "http://svc.local/",
        "http://notsvc.local/",
        "http://evilsvc.local/",
        "http://api.internal.evil.com/",
        "http://x.api.internal/",
        "http://evil.com/api.internal",
        "http://evil.com?api.internal",
        "http://evil.com#@api.internal",
        "http://api.internal@evil.com/",
        "http://user:secret@api.internal/",
        "http://evil.com\\@api.internal/",
        "http://evil.com\\.svc.local/",
        "http://api.inter\tnal/",
        "http://evil.com /.svc.local",
        "http://evil.com%2f.svc.local/",
        "http://\u0430pi.internal/",
        "//api.internal/",
        "api.internal",
        "ftp://api.internal/",
        "http://[::1/",
        "http:///x",
        "",
    ],
)
def test_nobody_else_is_trusted(url):
    """Nor is an address that two readers could read in two ways."""
    assert not POLICY.trusts(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://us.api.openai.com/v1",
        "https://api.anthropic.com",
        "https://my.openai.azure.com/",
        "https://my.cognitiveservices.azure.com/",
        "https://my.services.ai.azure.com/",
        "https://api.mistral.ai",
        "https://api.x.ai",
        "https://bedrock-runtime.eu-central-1.amazonaws.com/model",
        "https://api.groq.com/openai/v1",
    ],
)
def test_a_provider_is_never_trusted(url):
    """Whatever pattern fits it."""
    assert not EVERYBODY.trusts(url)
    assert EVERYBODY.trusts("https://example.com")
    assert EVERYBODY.trusts("https://x.execute-api.eu-central-1.amazonaws.com")


@pytest.mark.parametrize("host", sorted({*_hosts.HOSTS, *_hosts.FURTHER} - {*_hosts.CLOUDS}))
def test_no_provider_that_is_known_is_trusted(host):
    """Neither a host nor what is below it, whoever listed them."""
    for name in (host, f"eu.{host}"):
        assert not Policy(KEYS, (name, f"*.{host.partition('.')[2]}")).trusts(f"https://{name}/v1")
        assert "is a model provider's" in _baggage.host_problem(name)


def test_no_server_of_an_sdk_is_trusted():
    """Where the SDKs of this environment ask if nobody says otherwise."""
    hub = pytest.importorskip("huggingface_hub.inference._providers", reason="pip install 'otel-genai[sdks]'")
    sdks = ("openai.OpenAI", "anthropic.Anthropic", "groq.Groq", "together.Together")
    clients = [pytest.importorskip(sdk.partition(".")[0]) for sdk in sdks]
    urls = {helper.base_url for helpers in hub.PROVIDERS.values() for helper in helpers.values()}
    urls |= {
        str(getattr(client, sdk.partition(".")[2])(api_key="x").base_url)
        for client, sdk in zip(clients, sdks, strict=True)
    }
    urls |= {one.value for one in importlib.import_module("cohere.environment").ClientEnvironment}
    assert len(urls) > len(sdks)
    for url in urls:
        assert not Policy(KEYS, (str(urlsplit(url).hostname),)).trusts(url), url


def test_nobody_is_trusted_if_none_is_listed():
    """Off is the default."""
    assert not Policy().trusts("http://api.internal")
    assert not Policy(KEYS).trusts("http://api.internal")
    assert not Policy((), ("api.internal",)).trusts("http://api.internal")


@given(st.text())
@example("http://[")
@example("http://\udfff")
def test_no_address_is_too_odd_to_ask_about(url):
    """The answer is no, and never an error."""
    assert not POLICY.trusts(url)
    assert not EVERYBODY.trusts("http://api.openai.com/" + url)


@pytest.mark.parametrize(
    "host", ["api.internal", "*.svc.local", "*.local", "10.0.0.7", "::1", "A.b", "a_b-c"]
)
def test_hosts_are_names(host):
    """With a star or without."""
    assert _baggage.host_problem(host) == ""


@pytest.mark.parametrize(
    "host", ["*", "*.", "", "a.*", "*a.b", "http://a", "a:80", "a/b", "a b", "é.local", ".local", "a..b"]
)
def test_what_is_no_host_is_said_to_be_none(host):
    """There is no word for everybody."""
    assert "is no host, such as api.internal" in _baggage.host_problem(host)


@pytest.mark.parametrize("host", ["api.openai.com", "*.openai.com", "*.anthropic.com"])
def test_a_provider_cannot_be_listed(host):
    """It is said at once."""
    assert "is a model provider's" in _baggage.host_problem(host)


def test_a_key_is_a_token():
    """As the W3C wants it."""
    assert [_baggage.key_problem(key) for key in (*KEYS, "app.tenant")] == [""] * 4
    assert all(_baggage.key_problem(key) for key in ("", "a b", "a,b", "a=b", "a;b", "é", 'a"', "a\n"))


# --- What is written -------------------------------------------------------------------------------------


def test_only_what_is_named_is_written():
    """In the order of the setting, encoded; other attributes stay here."""
    attributes = {"session.id": "s 1,é;%", "user.id": "ann", "secret": "x"}
    assert POLICY.written(attributes) == "user.id=ann,session.id=s%201%2C%C3%A9%3B%25"
    assert POLICY.written({"secret": "x"}) == POLICY.written({}) == ""


def test_what_others_wrote_is_kept():
    """Ours comes after, and in place of what has the same name."""
    before = "a=1;p=q, user.id=eve ,session.id=theirs,,"
    assert POLICY.written({"user.id": "ann"}, before) == "a=1;p=q,session.id=theirs,user.id=ann"
    again = POLICY.written({"user.id": "ann"}, POLICY.written({"user.id": "ann"}))
    assert again == "user.id=ann"
    full = "a=" + "x" * (_baggage.LIMIT - 4)
    assert POLICY.written({"user.id": "ann"}, full) == full


def test_what_would_not_be_believed_is_not_written():
    """Too long, empty, or with control characters."""
    attributes = {"user.id": "x" * 257, "session.id": "a\nb", "otel_genai.team": ""}
    assert POLICY.written(attributes) == ""


def test_numbers_are_written_as_text():
    """A header knows nothing else."""
    header = POLICY.written({"user.id": 7, "session.id": True, "otel_genai.team": 0.5})
    assert POLICY.read(header) == {"user.id": "7", "session.id": "true", "otel_genai.team": "0.5"}


def test_opentelemetry_reads_what_we_write():
    """Its propagator decodes the same values."""
    value = 'a+b c/é😀%20"\\;,='
    header = POLICY.written({"user.id": value})
    assert POLICY.read(header) == {"user.id": value}
    assert get_all(W3CBaggagePropagator().extract({"baggage": [header]}, otel.Context())) == {
        "user.id": value
    }


@given(st.dictionaries(st.sampled_from(KEYS), st.text(min_size=1, max_size=60)))
def test_what_is_written_is_read(attributes):
    """Every value that is fit to be sent comes out as it went in; the header is plain ASCII."""
    header = POLICY.written(attributes)
    assert header.isascii()
    assert header.isprintable()
    assert POLICY.read(header) == {key: value for key, value in attributes.items() if value.isprintable()}


# --- What is believed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "believed"),
    [
        ("user.id=ann", {"user.id": "ann"}),
        (" user.id = ann ;secret=1;x , other=1", {"user.id": "ann"}),
        ("user.id=%C3%A9%20%2B+", {"user.id": "é ++"}),
        ("user.id=a=b", {"user.id": "a=b"}),
        ("user.id=a,user.id=b", {"user.id": "b"}),
        ("User.Id=ann", {}),
        ("user.id", {}),
        ("user.id=", {}),
        ("=ann", {}),
        ("user.id=%0Aadmin", {}),
        ("user.id=%00", {}),
        ("user.id=%7F", {}),
        ("user.id=%C2%85", {}),
        ("user.id=%E2%80%AEnimda", {}),
        ("user.id=%E2%80%A8", {}),
        ("user.id=%FF", {}),
        ("user.id=%ED%A0%BD", {}),
        ("user.id=a b", {}),
        ('user.id="ann"', {}),
        ("user.id=a\\b", {}),
        ("user.id=é", {}),
        ("user.id=a\r\nX: y", {}),
        ("user.id=" + "x" * 256, {"user.id": "x" * 256}),
        ("user.id=" + "x" * 257, {}),
        ("user.id=" + "%C3%A9" * 256, {"user.id": "é" * 256}),
        ("user.id=ann," + "x" * _baggage.LIMIT, {}),
        (",;=%,,", {}),
        ("", {}),
    ],
)
def test_a_header_is_read_with_care(header, believed):
    """Keys are on the list, values short and printable; what is not is left out, and the rest is read."""
    assert POLICY.read(header) == believed
    assert Policy().read(header) == {}


def test_a_header_has_eight_values_and_two_kilobytes_of_ours():
    """However many keys the list has."""
    keys = tuple(f"k{number}" for number in range(20))
    policy = Policy(keys)
    assert list(policy.read(",".join(f"{key}=v" for key in keys))) == list(keys[:8])
    assert list(policy.read(",".join(f"{key}={'%41' * 200}" for key in keys[:12]))) == list(keys[:3])
    assert policy.read(",".join(f"{key}={'%41' * 200}" for key in ["k0"] * 13)) == {"k0": "A" * 200}
    written = policy.written(dict.fromkeys(keys, "é" * 100))
    assert len(written) <= _baggage.BUDGET + 8
    assert list(policy.read(written)) == list(keys[:3])
    assert len(policy.read(policy.written(dict.fromkeys(keys, "v")))) == 8


@given(HOSTILE)
def test_no_header_does_harm(header):
    """Whatever comes: nothing but listed keys and short, printable values, and never an error."""
    for text in (header, f"user.id={header}", f"a=b,{header},session.id=s"):
        found = POLICY.read(text)
        assert found.keys() <= set(KEYS)
        assert all(0 < len(value) <= 256 and value.isprintable() for value in found.values())
        assert POLICY.read(POLICY.written(found)) == found


@given(HOSTILE)
def test_what_comes_in_does_not_break_out_again(before):
    """Ours is read from a header that somebody else began, whatever is in it."""
    header = POLICY.written({"user.id": "ann"}, before)
    assert header == before or POLICY.read(header).get("user.id") == "ann" or len(before) > 1900


@pytest.mark.parametrize(
    "headers",
    [
        {"baggage": "user.id=ann"},
        {"Baggage": "user.id=ann", "X": "y"},
        {b"baggage": b"user.id=ann"},
        {"HTTP_BAGGAGE": "user.id=ann", "wsgi.input": object()},
        [(b"host", b"x"), (b"baggage", b"user.id=ann")],
        [("baggage", "a=1"), ("baggage", "user.id=ann")],
    ],
)
def test_headers_come_in_many_shapes(headers):
    """Mappings, a WSGI environment, and the pairs of ASGI."""
    assert POLICY.read(_baggage.headers_of(headers)) == {"user.id": "ann"}


def test_headers_of_another_kind_are_none():
    """What is no text is not read."""
    assert _baggage.headers_of({1: 2, None: "x", "baggage": ["user.id=ann"]}) == ""
