"""Context across processes: with every request to listed hosts, never to a provider, and read there."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
import requests
from opentelemetry import context as otel
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import otel_genai
import toy
from child import ENVIRONMENT, program
from otel_genai import _context, _outgoing, testing
from otel_genai._outgoing import extract_context, inject_context
from toy import Client

KEYS = ("user.id", "otel_genai.team")
WHOSE = {"user.id": "Änne, 7", "otel_genai.team": "search"}
HEADER = "user.id=%C3%84nne%2C%207,otel_genai.team=search"
URL = "http://api.internal/"
SERVER = """
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
import otel_genai, toy
from otel_genai import _outgoing, testing

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with testing.capture(toy.PROVIDER) as seen:
            _outgoing.install(["user.id", "otel_genai.team"], [])
            with _outgoing.extract_context(self.headers):
                toy.Client().chat()
            toy.Client().chat()
        body = json.dumps([span["attributes"] for span in seen.spans]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def listed():
    """Have one host listed, and leave the clients as they were."""
    before = methods()
    _outgoing.install(KEYS, ["127.0.0.1", "api.internal"])
    assert methods() != before
    yield
    _outgoing.remove()
    assert methods() == before


def methods():
    """Say which functions the clients send by; a wrapper equals what it wraps."""
    found = [
        vars(httpx2.HTTPTransport)["handle_request"],
        vars(httpx2.AsyncHTTPTransport)["handle_async_request"],
        vars(requests.adapters.HTTPAdapter)["send"],
    ]
    return list(map(id, found))


@pytest.fixture
def server():
    """Serve what was asked: its `baggage` header; `/away` leads to a host that is not listed."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            got.append((self.headers["Host"].partition(":")[0], self.headers.get_all("baggage")))
            if self.path == "/away":
                self.send_response(302)
                self.send_header("location", f"http://localhost:{self.server.server_port}/")
            else:
                self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Say nothing."""

    got = []
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.got = got
    served.url = f"http://127.0.0.1:{served.server_port}"
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


def by_httpx(url, **headers):
    """Ask by the client that awaits nothing."""
    with httpx2.Client(follow_redirects=True, trust_env=False) as client:
        return client.get(url, headers=headers)


def by_async_httpx(url, **headers):
    """Ask by the client that is awaited."""

    async def ask():
        async with httpx2.AsyncClient(follow_redirects=True, trust_env=False) as client:
            return await client.get(url, headers=headers)

    return asyncio.run(ask())


def by_requests(url, **headers):
    """Ask by `requests`."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, headers=headers)


by_clients = pytest.mark.parametrize("ask", [by_httpx, by_async_httpx, by_requests])


def whose():
    """Say whose calls they are, and what nobody else is to know."""
    return otel_genai.context(user="Änne, 7", team="search", session="s-1", **{"app.secret": "x"})


# --- Sent ------------------------------------------------------------------------------------------------


@by_clients
def test_a_listed_host_is_told(listed, server, ask):
    """What the setting names, with what others have in the header; the request itself stays as it was."""
    with whose():
        ask(server.url)
        response = ask(server.url, baggage="a=1;p=q")
    ask(server.url)
    assert server.got == [("127.0.0.1", [HEADER]), ("127.0.0.1", [f"a=1;p=q,{HEADER}"]), ("127.0.0.1", None)]
    assert response.request.headers["baggage"] == "a=1;p=q"


@by_clients
def test_another_host_is_told_nothing(listed, server, ask):
    """The same server, by a name that is not listed; what others send is theirs to send."""
    with whose():
        ask(f"http://localhost:{server.server_port}", baggage="a=1")
    assert server.got == [("localhost", ["a=1"])]


@by_clients
def test_a_redirect_takes_nothing_along(listed, server, ask):
    """The header is for one request, and not for whoever is asked next."""
    with whose():
        response = ask(f"{server.url}/away")
    assert server.got == [("127.0.0.1", [HEADER]), ("localhost", None)]
    assert "baggage" not in response.request.headers


@by_clients
def test_nothing_is_sent_unless_asked_for(server, ask):
    """Off is the default, and off again is off."""
    before = methods()
    with whose():
        ask(server.url)
        _outgoing.install(KEYS, ["127.0.0.1"])
        _outgoing.remove()
        ask(server.url)
        _outgoing.install(KEYS, ["127.0.0.1"])
        _outgoing.install([], ["127.0.0.1"])
        ask(server.url)
    assert server.got == [("127.0.0.1", None)] * 3
    assert methods() == before


@by_clients
def test_a_model_s_call_tells_nothing(listed, server, ask):
    """Not even to a host that is listed: a gateway is a provider there; a tool's request is another thing."""
    with testing.capture(toy.PROVIDER, baggage=KEYS, baggage_hosts=["127.0.0.1"]), whose():
        Client(serve=lambda _: ask(server.url) and toy.ANSWER).chat()
        with otel_genai.inference("m", provider="vllm"):
            ask(server.url)
            with otel_genai.tool("t"):
                ask(server.url)
        with otel_genai.agent("a"):
            ask(server.url)
    assert [header for _, header in server.got] == [None, None, [HEADER], [HEADER]]


@by_clients
def test_silence_tells_nothing(listed, server, ask):
    """Neither under `suppress()` nor under OpenTelemetry's own switch, as exporters send."""
    with whose():
        with otel_genai.suppress():
            ask(server.url)
        token = otel.attach(otel.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        ask(server.url)
        otel.detach(token)
    assert [header for _, header in server.got] == [None, None]


@by_clients
def test_a_failure_of_ours_sends_all_the_same(listed, server, ask, monkeypatch):
    """Without the header."""
    told = []
    monkeypatch.setattr(_outgoing, "_inject", lambda *_: 1 / 0)
    monkeypatch.setattr(_outgoing, "_failed", told.append)
    with whose():
        assert ask(server.url).status_code == 200
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_an_error_of_the_client_s_is_the_client_s(listed):
    """Nobody listens there; the request stays as it was."""
    with whose(), httpx2.Client(trust_env=False) as client:
        request = client.build_request("GET", "http://127.0.0.1:1/", headers={"Baggage": "a=1"})
        with pytest.raises(httpx2.ConnectError):
            client.send(request)
    assert request.headers["baggage"] == "a=1"


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_beside_opentelemetry_s_own(server, first):
    """Its client instrumentation and ours, in either order: its trace context and our header."""
    before = methods()
    instrumentor = HTTPX2ClientInstrumentor()
    steps = {
        "ours": lambda: _outgoing.install(KEYS, ["127.0.0.1"]),
        "theirs": lambda: instrumentor.instrument(tracer_provider=TracerProvider()),
    }
    try:
        for step in sorted(steps, reverse=first == "theirs"):
            steps[step]()
        with whose():
            response = by_httpx(server.url)
    finally:
        undo = [_outgoing.remove, instrumentor.uninstrument]
        for step in undo if first == "theirs" else reversed(undo):
            step()
    assert methods()[2] == before[2]
    assert server.got == [("127.0.0.1", [HEADER])]
    assert "traceparent" in response.request.headers


@pytest.mark.parametrize("kind", [dict, httpx2.Headers, requests.structures.CaseInsensitiveDict])
def test_headers_can_be_filled_by_hand(listed, kind):
    """For a client that is not known: the same rules."""
    headers, twice, other, none = kind(), kind({"Baggage": "a=1,user.id=eve"}), kind(), kind()
    with whose():
        inject_context(headers, url=URL)
        for _ in range(2):
            inject_context(twice, httpx2.URL(URL))
        inject_context(other, "https://api.openai.com/v1")
    inject_context(none, URL)
    assert dict(headers) == {"baggage": HEADER}
    assert dict(twice) == {"baggage": f"a=1,{HEADER}"}
    assert dict(other) == dict(none) == {}


# --- Read back -------------------------------------------------------------------------------------------


def said():
    """Give what is known here."""
    scope = _context.current(otel.get_current())
    return dict(scope.attributes) if scope else {}


def test_what_comes_in_is_in_the_block(listed):
    """As a block, a decorator, and without any header."""
    with extract_context({"Baggage": HEADER + ",session.id=s,app.secret=x"}):
        assert said() == WHOSE
    assert said() == {}
    assert extract_context({"baggage": HEADER})(said)() == WHOSE
    with extract_context({}):
        assert said() == {}


def test_the_program_knows_better(listed):
    """What it said itself, around the block or in it, is not overwritten by what a stranger sent."""
    with otel_genai.context(user="ann"), extract_context({"baggage": HEADER}):
        assert said() == {"user.id": "ann", "otel_genai.team": "search"}
        with otel_genai.context(team="ads"):
            assert said() == {"user.id": "ann", "otel_genai.team": "ads"}


def test_nothing_is_believed_unless_asked_for():
    """Off is the default."""
    with extract_context({"baggage": HEADER}):
        assert said() == {}


class Broken(Mapping):
    """Headers that cannot be read."""

    def __getitem__(self, key):
        raise KeyError(key)

    def __iter__(self):
        raise OSError

    def __len__(self):
        return 1


def test_headers_that_cannot_be_read_are_none(listed, monkeypatch):
    """The request is served all the same."""
    told = []
    monkeypatch.setattr(_outgoing, "_failed", told.append)
    for headers in (Broken(), None, 7, [1, 2], [("a", "b", "c")]):
        with extract_context(headers):
            assert said() == {}
    inject_context(None, URL)
    with whose():
        inject_context(None, URL)
    assert len(told) == 6


@by_clients
def test_from_process_to_process(listed, ask):
    """A request made here, by a real client; spans made there, in another program."""
    serving = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVER)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with serving:
        try:
            url = f"http://127.0.0.1:{int(serving.stdout.readline())}/"
            with whose():
                within, after = json.loads(ask(url).content)
            hostile, _ = json.loads(ask(url, baggage="user.id=%0Aeve,app.secret=x,otel_genai.team=a").content)
        finally:
            serving.kill()
    assert within.items() >= WHOSE.items()
    assert not {"session.id", "app.secret"} & within.keys()
    assert not {*KEYS, "session.id"} & after.keys()
    assert hostile["otel_genai.team"] == "a"
    assert not {"user.id", "app.secret"} & hostile.keys()


def test_a_client_that_is_imported_later_is_seen():
    """In a program that switches us on first."""
    code = """
    import sys
    from otel_genai import _outgoing
    _outgoing.install(["user.id"], ["127.0.0.1"])
    assert not {"requests", "httpx2"} & set(sys.modules)
    import requests, httpx2, wrapt
    ours = [vars(requests.adapters.HTTPAdapter)["send"], vars(httpx2.HTTPTransport)["handle_request"]]
    assert all(isinstance(one, wrapt.FunctionWrapper) for one in ours)
    _outgoing.remove()
    assert vars(requests.adapters.HTTPAdapter)["send"] is not ours[0]
    """
    program(code)
