"""HTTP spans below each call: no secret in their URLs, and nothing of our context in what is sent."""

from __future__ import annotations

import contextlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote

import pytest
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.trace import SpanKind

import otel_genai
import toy
from otel_genai import _processor, testing
from otel_genai._processor import ContextProcessor, without_secrets
from registry import COLOURS, KITS, Line, ask, every, named
from ways import each, now, run

INSTRUMENTORS = {"httpx": HTTPXClientInstrumentor, "httpx2": HTTPX2ClientInstrumentor}
"""HTTP library -> its instrumentation."""
CLEAN = "https://api.openai.com/v1/chat/completions"
PARAMETERS = [
    "key", "api_key", "apikey", "api-key", "API_KEY", "api%5Fkey", "api%2dkey", "subscription-key",
    "token", "access_token", "accessToken", "refresh_token", "id_token", "session_token", "sig", "Signature",
    "password", "pwd", "secret", "client_secret", "code", "code_verifier", "client_assertion", "auth", "jwt",
    "X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential", "x-amz-signature", "AWSAccessKeyId",
    "X-Goog-Signature", "X-Goog-Credential", "GoogleAccessId", "x-goog-api-key", "Key-Pair-Id",
]  # fmt: skip
KEPT = [
    CLEAN,
    f"{CLEAN}?api-version=2024-10-21&max_tokens=5&keyword=a&tokens=3&codec=x&monkey=1&keys=2&sigma=1",
    "https://host/@scope/package@1.2.3?alt=sse",
    "https://host/key=1/code=2",
    "https://host/?next=https://other/&mail=me@host",
    "https://host/?key",
    "",
]


@pytest.fixture
def seen():
    """Instrument the toy, with the processor for the spans of others."""
    with testing.capture(toy.PROVIDER) as seen:
        seen.tracer_provider.add_span_processor(ContextProcessor())
        yield seen


def begun(seen, attributes, kind=SpanKind.CLIENT):
    """Make a span as another instrumentation does, and give what it says in the end."""
    seen.tracer_provider.get_tracer("theirs").start_span("GET", kind=kind, attributes=attributes).end()
    return seen.spans[-1]["attributes"]


# --- URLs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_secret_s_value_is_gone(name):
    """Wherever the parameter stands, and whatever is around it."""
    for before, after in (("?", ""), ("?a=1&", "&b=2"), ("?a=1;", "#c"), ("#", "&b=2"), ("?x=y?", "")):
        found = without_secrets(f"{CLEAN}{before}{name}=s3;cr%26et=={after}")
        assert found == f"{CLEAN}{before}{name}=REDACTED{after}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:pw@host/a?b=1", "https://REDACTED:REDACTED@host/a?b=1"),
        ("https://me:p@w@host:8080/@a", "https://REDACTED:REDACTED@host:8080/@a"),
        ("https://me:p&w@host/", "https://REDACTED:REDACTED@host/"),
        ("https://sk-token@host", "https://REDACTED:REDACTED@host"),
        ("https://h/?proxy=http://me:pw@p/&b=1", "https://h/?proxy=http://REDACTED:REDACTED@p/&b=1"),
        (
            f"https://h/?next={quote('https://me:pw@p/?token=x&b=1', safe='')}&c=2",
            "https://h/?next=https%3A%2F%2FREDACTED:REDACTED%40p%2F%3Ftoken%3DREDACTED%26b%3D1&c=2",
        ),
    ],
)
def test_a_login_is_gone(url, expected):
    """Of the address itself, and of one that it carries."""
    assert without_secrets(url) == expected


@pytest.mark.parametrize("url", KEPT)
def test_what_is_no_secret_stays(url):
    """Neither a path nor a parameter that only looks like one."""
    assert without_secrets(url) == url


@pytest.mark.parametrize(
    "url", [f"?key={'a' * 10**6}", "https://" + "a:" * 10**5, "://" * 10**5, "?" * 10**6]
)
@pytest.mark.timeout(5)
def test_long_addresses_take_no_long_time(url):
    """Whoever wrote them."""
    assert "aaa" not in without_secrets(f"{url}@")


@pytest.mark.parametrize("key", ["url.full", "http.url", "http.target", "url.query"])
def test_others_spans_have_no_secrets_in_their_urls(seen, key):
    """In each attribute that holds an address, of the conventions of today and of before."""
    prefix = {"url.query": "", "http.target": "/v1?"}.get(key, "https://me:pw@host/v1?")
    found = begun(seen, {key: f"{prefix}key=s3cret&b=1", "other": "?key=1", "server.port": 1})
    prefix = prefix.replace("me:pw", "REDACTED:REDACTED")
    assert found == {key: f"{prefix}key=REDACTED&b=1", "other": "?key=1", "server.port": 1}


def test_other_spans_are_left_alone(seen):
    """A server's own address is its own affair, and what is no text is nothing to read."""
    address = {"url.full": "https://host/?key=1"}
    assert begun(seen, address, SpanKind.SERVER) == address
    assert begun(seen, {"url.full": 7}) == {"url.full": 7}
    assert begun(seen, {}) == {}


def test_a_clean_address_is_not_looked_into(seen, monkeypatch):
    """Most have neither a query nor a login."""
    monkeypatch.setattr(_processor, "without_secrets", None)
    assert begun(seen, {"url.full": CLEAN}) == {"url.full": CLEAN}


def test_a_failure_here_is_not_the_program_s(seen, monkeypatch):
    """Their span starts, come what may; we count what went wrong."""
    told = []
    monkeypatch.setattr(_processor, "without_secrets", lambda _: 1 / 0)
    monkeypatch.setattr(_processor, "_hurt", told.append)
    begun(seen, {"url.full": "https://host/?key=1"})
    assert [type(error) for error in told] == [ZeroDivisionError]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("name", KITS)
def test_a_real_client_s_span_has_no_secret(name, colour):
    """As the HTTP client's own instrumentation makes it, below a call whose address carries a key."""
    kit = KITS[name]
    endpoint = next(iter(kit.endpoints.values()))
    line = Line([lambda: kit.response(endpoint.bodies[0])])
    http_client = kit.http_client(line.handle, colour)
    with testing.capture(name) as seen:
        seen.tracer_provider.add_span_processor(ContextProcessor())
        provider = {"tracer_provider": seen.tracer_provider}
        INSTRUMENTORS[kit.http.__name__].instrument_client(http_client, **provider)
        query = {"key": "s3cret", "code": "s3cret", "b": "1"}
        client = kit.client(line.handle, colour, http_client=http_client, default_query=query)
        run(now(ask(client, endpoint)), asynchronous=colour == "async")
    (request,) = line.requests
    assert "key=s3cret" in request["url"]
    http, call = seen.spans
    assert http["parent"] == call["name"]
    address = {**http["attributes"]}.pop("http.url", None) or http["attributes"]["url.full"]
    assert address == request["url"].replace("s3cret", "REDACTED")
    assert "s3cret" not in json.dumps(seen.spans)


# --- Requests to providers -------------------------------------------------------------------------------

WHOSE = {"user": "user-7f3a", "team": "team-7f3a", "session": "session-7f3a", "conversation_id": "talk-7f3a",
         "prompt": "prompt-7f3a@4", "experiment": "experiment-7f3a", "app.tenant": "tenant-7f3a"}  # fmt: skip
OURS = ("7f3a", "baggage", "user.id", "session.id", "otel_genai", "gen_ai", "app.tenant")


def whose():
    """Say all there is to say."""
    return otel_genai.context(**WHOSE)


class Api:
    """A provider's API on this machine, which keeps all that it is sent."""

    def __init__(self):
        self.got, self.answer, self.kind = [], b"", ""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                api.got.append((dict(self.headers), f"{self.path} {self.headers} {body.decode()}".lower()))
                self.send_response(200)
                self.send_header("Content-Type", api.kind)
                self.send_header("Content-Length", str(len(api.answer)))
                self.end_headers()
                self.wfile.write(api.answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def api():
    """Serve, for all the tests of this file."""
    api = Api()
    thread = Thread(target=api.server.serve_forever, args=(0.05,))
    thread.start()
    yield api
    api.server.shutdown()
    thread.join()
    api.server.server_close()


@contextlib.contextmanager
def instrumented(library, provider):
    """Have a library's every client instrumented, as `opentelemetry-instrument` does."""
    instrumentor = INSTRUMENTORS[library.__name__]()
    instrumentor.instrument(tracer_provider=provider)
    try:
        yield
    finally:
        instrumentor.uninstrument()


async def asked(client, endpoint, *, stream):
    """Make one call, and read its answer to the end."""
    got = await now(ask(client, endpoint, stream=stream))
    if stream:
        _ = [event async for event in each(got)]
    await now(client.close())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", every(), ids=named)
def test_nothing_of_the_context_is_sent_to_a_provider(api, monkeypatch, case, stream):
    """Not even to a host that is listed for it: its address is a model's in this call."""
    kit, endpoint, colour = case
    if stream and endpoint.streamed is None:
        return
    monkeypatch.setenv("OTEL_GENAI_BAGGAGE", "user,team,session,conversation_id,prompt,experiment,app.tenant")
    monkeypatch.setenv("OTEL_GENAI_BAGGAGE_HOSTS", "127.0.0.1,api.internal")
    api.got, api.answer = [], (endpoint.streams if stream else endpoint.bodies)[0]
    api.kind = "text/event-stream" if stream else "application/json"
    path = "/v1" if kit.name == "openai" else ""
    options = {key: value for key, value in kit.options.items() if key != "open_telemetry"}
    with testing.capture(kit.name) as seen, instrumented(kit.http, seen.tracer_provider):
        seen.tracer_provider.add_span_processor(ContextProcessor())
        client = kit.clients[colour](**options | {"base_url": f"{api.url}{path}"})
        with whose():
            run(asked(client, endpoint, stream=stream), asynchronous=colour == "async")
    ((headers, text),) = api.got
    assert "traceparent" in {name.lower() for name in headers}  # the instrumentation was at work
    assert [word for word in OURS if word in text] == []
    http, call = sorted(seen.spans, key=lambda span: span["parent"] is None)
    assert http["parent"] == call["name"]
    assert [span["attributes"]["user.id"] for span in (http, call)] == ["user-7f3a"] * 2


@pytest.mark.parametrize("colour", COLOURS)
def test_the_same_context_is_sent_where_it_may_be(api, monkeypatch, colour):
    """By the same client, to the same host, outside a call of a model: what is above would be seen."""
    kit = KITS["openai"]
    monkeypatch.setenv("OTEL_GENAI_BAGGAGE", "user,team")
    monkeypatch.setenv("OTEL_GENAI_BAGGAGE_HOSTS", "127.0.0.1")
    api.got, api.answer, api.kind = [], b"{}", "application/json"

    async def posted():
        cls = kit.http.AsyncClient if colour == "async" else kit.http.Client
        client = cls()
        await now(client.post(api.url, content=b"{}"))
        await now(client.aclose() if colour == "async" else client.close())

    with testing.capture(kit.name) as seen, instrumented(kit.http, seen.tracer_provider), whose():
        run(posted(), asynchronous=colour == "async")
    ((headers, _),) = api.got
    assert headers["baggage"] == "user.id=user-7f3a,otel_genai.team=team-7f3a"
