"""Switching on and off, in every order, in programs of their own where a fresh interpreter is needed."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import openai
import pytest
import wrapt
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import otel_genai
import toy
from otel_genai import _others, _patching, _telemetry, instrumentor, testing
from otel_genai._receiver import Receiver
from otel_genai.demo.standin import StandIn
from otel_genai.spec import Provider
from toy import AsyncClient, Client, Heir

INSTRUMENT = str(Path(sys.executable).with_name("opentelemetry-instrument"))
NO_EXPORT = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
US_ALONE = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx,httpx2"}
"""The official instrumentation of httpx, part of the tests' environment, imports httpx and adds its spans."""
SDK = ("openai", "httpx", "httpx2", "otel_genai.providers.openai")
HEIR = Provider("heir", requires="toy-sdk", hooks={"toy:Heir.request": toy.HOOK})
ORIGINALS = (vars(Client)["request"], vars(AsyncClient)["request"])


def program(code, *launcher, **environment):
    """Run a program of its own, whose own failures raise, and give what it printed."""
    done = subprocess.run(
        [*launcher, sys.executable, "-c", textwrap.dedent(code)],
        env={
            "PATH": os.environ["PATH"],
            "_OTEL_GENAI_STRICT": "1",
            "OTEL_GENAI_COST": "false",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def instrumented(code, **environment):
    """Run a program under `opentelemetry-instrument`."""
    return program(code, INSTRUMENT, **environment)


def closed_port():
    """Find a port of this machine on which nobody answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def status(name="openai"):
    """Say what became of a provider."""
    return next(status for status in otel_genai.providers() if status.name == name)


@pytest.fixture(autouse=True)
def _nothing_decided(monkeypatch):
    """Begin as in a fresh program."""
    monkeypatch.setattr(_telemetry, "_active", [])


@pytest.fixture
def seen():
    """Record in memory; what is instrumented is up to the test."""
    return testing.Seen()


def on(seen, *providers, **settings):
    """Instrument, to record in memory."""
    otel_genai.instrument(
        *providers, tracer_provider=seen.tracer_provider, meter_provider=seen.meter_provider, **settings
    )


def calls(seen, client=Client):
    """Make one call, and count the spans it gives."""
    before = len(seen.spans)
    client().chat()
    return len(seen.spans) - before


# --- On and off ------------------------------------------------------------------------------------------

ORDERS = ["+-", "++-", "-+-", "+-+-", "+--", "++--+-", "+-+-+-+-"]


@pytest.mark.parametrize("order", ORDERS)
def test_the_sdk_is_left_as_it_was(seen, order):
    """On and off, as often as one likes and in any order: one span a call while on, the original after."""
    for step in order:
        if step == "+":
            on(seen, toy.PROVIDER)
        else:
            otel_genai.uninstrument(toy.PROVIDER)
        assert calls(seen) == (step == "+")
    assert (vars(Client)["request"], vars(AsyncClient)["request"]) == ORIGINALS


@pytest.mark.parametrize("client", [openai.OpenAI, openai.AsyncOpenAI])
def test_what_was_inherited_is_inherited_again(client):
    """Nothing stays in the class's own dictionary, and its heirs see what they saw."""
    before, names = client.request, set(vars(client))
    otel_genai.instrument("openai")
    assert isinstance(vars(client)["request"], wrapt.FunctionWrapper)
    otel_genai.uninstrument("openai")
    assert set(vars(client)) == names
    assert client.request is before


def test_a_class_and_its_heir_are_one_call(seen):
    """A hook on both, and still one span, whichever goes first."""
    on(seen, toy.PROVIDER, HEIR)
    assert calls(seen, Heir) == 1
    otel_genai.uninstrument(toy.PROVIDER)
    assert calls(seen, Heir) == 1
    assert calls(seen, Client) == 0
    otel_genai.uninstrument(HEIR)
    assert "request" not in vars(Heir)


def test_uninstrumenting_some_leaves_the_others(seen):
    """Names choose."""
    on(seen, toy.PROVIDER, "openai")
    otel_genai.uninstrument("openai")
    assert status().state == "off"
    assert calls(seen) == 1
    otel_genai.uninstrument()
    assert calls(seen) == 0


def test_calls_under_way_end_where_they_began(seen):
    """A stream that was begun is told, though nothing new is seen."""
    on(seen, toy.PROVIDER)
    stream = Client().chat(stream=True)
    otel_genai.uninstrument()
    list(stream)
    assert [ended["attributes"]["gen_ai.usage.output_tokens"] for ended in seen.spans] == [7]


def plain_wrapper(function):
    """Wrap as many do: by a plain function."""

    def theirs(self, *args, **kwargs):
        return function(self, *args, **kwargs)

    return theirs


def wrapt_wrapper(function):
    """Wrap as most instrumentations do."""
    return wrapt.FunctionWrapper(function, lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs))


@pytest.mark.parametrize("wrap", [plain_wrapper, wrapt_wrapper])
def test_somebody_else_s_wrapper_on_top_is_left_alone(seen, monkeypatch, wrap):
    """Under it we fall silent, and over it we come back, once."""
    on(seen, toy.PROVIDER)
    theirs = wrap(vars(Client)["request"])
    monkeypatch.setattr(Client, "request", theirs)
    for _ in range(2):
        on(seen, toy.PROVIDER)
        assert calls(seen) == 1
        otel_genai.uninstrument()
        assert calls(seen) == 0
        assert vars(Client)["request"] is theirs
    monkeypatch.undo()
    otel_genai.uninstrument()


@pytest.mark.parametrize("wrap", [plain_wrapper, wrapt_wrapper])
def test_somebody_else_s_wrapper_below_is_left_alone(seen, monkeypatch, wrap):
    """It is what we put back."""
    theirs = wrap(vars(Client)["request"])
    monkeypatch.setattr(Client, "request", theirs)
    on(seen, toy.PROVIDER)
    assert calls(seen) == 1
    otel_genai.uninstrument()
    assert vars(Client)["request"] is theirs


REPORT = """
import wrapt
from openai import AsyncOpenAI, OpenAI
print([isinstance(vars(client).get("request"), wrapt.FunctionWrapper) for client in (OpenAI, AsyncOpenAI)])
"""


@pytest.mark.parametrize(
    ("order", "patched"),
    [
        ("{on} {sdk}", True),
        ("{sdk} {on}", True),
        ("{on} {off} {sdk}", False),
        ("{on} {sdk} {off}", False),
        ("{on} {off} {on} {on} {sdk}", True),
        ("{on} {sdk} {off} {on}", True),
        ("{off} {on} {off} {sdk} {on}", True),
    ],
)
def test_the_sdk_may_be_imported_before_or_after(order, patched):
    """Whether it comes first, last or in between, what was said last holds."""
    steps = order.format(on="instrument()", off="uninstrument()", sdk="__import__('openai')").split()
    code = "from otel_genai import instrument, uninstrument\n" + "\n".join(steps) + REPORT
    assert program(code).stdout == f"{[patched] * 2}\n"


# --- What is patched, and why not ------------------------------------------------------------------------


def test_a_provider_is_left_out_by_name(monkeypatch):
    """`OTEL_GENAI_DISABLED` keeps it untouched, and says so."""
    otel_genai.instrument("openai")
    monkeypatch.setenv("OTEL_GENAI_DISABLED", "anthropic, OpenAI")
    otel_genai.instrument()
    assert "request" not in vars(openai.OpenAI)
    found = status()
    assert (found.state, found.reason) == ("disabled", "named in OTEL_GENAI_DISABLED")


def test_the_states_of_a_provider():
    """Off, and patched with its functions, and off again."""
    assert status().state == "off"
    otel_genai.instrument()
    found = status()
    assert (found.state, found.version, found.reason) == ("patched", openai.__version__, "")
    assert found.targets == ["openai:OpenAI.request", "openai:AsyncOpenAI.request"]
    otel_genai.uninstrument()
    assert status().reason == "not instrumented: call otel_genai.instrument()"


def test_a_provider_waits_for_its_sdk():
    """Asking for the states imports no SDK either."""
    code = """
    import sys, otel_genai
    otel_genai.instrument()
    print(otel_genai.providers()[0].state, "openai" in sys.modules)
    """
    assert program(code).stdout == "waiting False\n"


def test_a_provider_of_one_s_own_has_a_state(seen):
    """It is listed as long as it is instrumented."""
    on(seen, toy.PROVIDER)
    assert status("toy").state == "patched"
    otel_genai.uninstrument(toy.PROVIDER)
    assert "toy" not in {found.name for found in otel_genai.providers()}


def test_an_sdk_that_is_not_installed_says_so(monkeypatch):
    """There is nothing to wait for."""
    provider = Provider("absent", requires="no-such-sdk >= 1", hooks={"no_such_sdk:Client.request": toy.HOOK})
    otel_genai.instrument(provider)
    found = status("absent")
    assert (found.state, found.version, found.targets) == ("not installed", None, [])


@pytest.mark.parametrize(("installed", "patched"), [("1.65.9", False), ("1.66.0", True), ("4.0.0b1", True)])
def test_a_version_that_is_not_supported_is_skipped_with_a_word(monkeypatch, caplog, installed, patched):
    """An SDK that is too old stays as it is, and one that is too new to be known is tried."""
    monkeypatch.setattr(_patching, "version", lambda name: installed)
    otel_genai.instrument("openai", tracer_provider=TracerProvider())
    reason = "" if patched else f"version {installed} is installed, openai >= 1.66 is supported"
    found = status()
    assert (found.state, found.reason) == ("patched" if patched else "skipped", reason)
    assert ("request" in vars(openai.OpenAI)) is patched
    told = [record.getMessage() for record in caplog.records]
    assert told == ([] if patched else [f"otel-genai leaves openai alone: {reason}"])


@pytest.mark.parametrize(("installed", "state"), [("1.9", "patched"), ("2.0", "skipped")])
def test_an_sdk_that_makes_its_spans_itself_is_measured_beside_them(monkeypatch, seen, installed, state):
    """It is no less left alone, and all is undone; other versions are patched, and have nothing beside."""
    told = []

    def beside(module, runs):
        told.append(module.__name__)
        return lambda: told.append("undone")

    known = {"requires": "toy-sdk < 2", "native": "toy-sdk >= 2", "hooks": {"toy:Client.request": toy.HOOK}}
    provider = Provider("native", **known, beside={"toy": beside})
    monkeypatch.setattr(_patching, "version", lambda name: installed)
    is_native = state == "skipped"
    for _ in range(2):
        on(seen, provider)
        found = status("native")
        assert (found.state, bool(found.targets)) == (state, not is_native)
        assert found.reason.endswith("makes its spans itself, and those are adopted") is is_native
        assert _patching._is_patched("native") is not is_native
        assert told == (["toy"] if is_native else [])
        otel_genai.uninstrument()
        assert told == (["toy", "undone"] if is_native else [])
        told.clear()


def test_a_function_that_is_missing_is_skipped_with_a_word(seen, caplog):
    """What there is, is patched."""
    hooks = {"toy:Client.request": toy.HOOK, "toy:Client.stream": toy.HOOK, "toy:Moved.request": toy.HOOK}
    on(seen, Provider("moved", requires="toy-sdk", hooks=hooks))
    assert calls(seen) == 1
    found = status("moved")
    assert (found.state, found.targets) == ("patched", ["toy:Client.request"])
    assert [record.getMessage() for record in caplog.records] == [
        "otel-genai cannot see toy:Client.stream: toy None has no Client.stream",
        "otel-genai cannot see toy:Moved.request: toy None has no Moved.request",
    ]


def test_a_failure_at_the_import_of_an_sdk_is_nobody_s(monkeypatch, caplog, seen):
    """The program's own import goes through, whatever is wrong with us."""
    monkeypatch.delenv("_OTEL_GENAI_STRICT")
    monkeypatch.setitem(_patching.REGISTRY, "openai", "no.such.module")
    on(seen, "openai")
    assert "otel-genai failed on openai import" in caplog.text
    assert "request" not in vars(openai.OpenAI)


@pytest.mark.parametrize("deed", [otel_genai.instrument, otel_genai.uninstrument])
def test_an_unknown_provider_is_an_error_that_names_the_known(deed):
    """A slip of the pen is found at once, and nothing is half done."""
    with pytest.raises(ValueError, match=r"^no provider 'opanai'; known are anthropic, .*, together$"):
        deed("openai", "opanai")
    assert status().state == "off"


def test_what_is_left_out_and_unknown_is_told_with_all_that_is_known(monkeypatch, caplog):
    """Providers and the scopes of libraries' spans; an error of the program, a warning of its environment."""
    names = (
        "no provider, nor a library's scope: none, opanai; "
        "providers are anthropic, .*, together; scopes are mcp-python-sdk, pydantic-ai, .*"
    )
    with pytest.raises(ValueError, match=f"^disabled: {names}$"):
        otel_genai.instrument(disabled="none,opanai,openai,pydantic-ai")
    monkeypatch.setenv("OTEL_GENAI_DISABLED", "none,opanai,openai,pydantic-ai")
    otel_genai.instrument()
    [said] = [record.getMessage() for record in caplog.records if "nor a library" in record.message]
    assert re.fullmatch(f"OTEL_GENAI_DISABLED: {names}", said)


def test_without_an_sdk_it_is_said_once_that_nothing_will_be_exported():
    """However often one instruments; and not at all where a provider is given."""
    code = """
    import otel_genai
    from opentelemetry.sdk.trace import TracerProvider
    otel_genai.instrument(tracer_provider=TracerProvider())
    print("given")
    otel_genai.instrument()
    otel_genai.instrument()
    """
    done = program(code)
    assert done.stdout == "given\n"
    assert done.stderr == (
        "No OpenTelemetry SDK is set up, so nothing will be exported until one is: start the program under "
        "opentelemetry-instrument (pip install 'otel-genai[distro]'), call otel_genai.configure() instead of "
        "instrument(), or set a TracerProvider of your own.\n"
    )


def test_an_sdk_set_up_later_is_used():
    """`instrument()` may come first."""
    code = """
    import otel_genai
    from opentelemetry import trace
    from otel_genai import testing
    otel_genai.instrument()
    seen = testing.Seen()
    trace.set_tracer_provider(seen.tracer_provider)
    with otel_genai.tool("t"): pass
    print([span["name"] for span in seen.spans])
    """
    assert program(code).stdout == "['execute_tool t']\n"


def test_capturing_in_a_test_leaves_what_was_there(seen):
    """Blocks by hand go on to where they went before."""
    on(seen)
    with testing.capture() as captured, otel_genai.tool("within"):
        pass
    with otel_genai.tool("after"):
        pass
    assert [ended["name"] for ended in captured.spans] == ["execute_tool within"]
    assert [ended["name"] for ended in seen.spans] == ["execute_tool after"]


# --- What is imported ------------------------------------------------------------------------------------

AT_START = {
    "_context", "_dimensions", "_emitters", "_guard", "_others", "_patching", "_processor", "_servers",
    "_shared", "_tally", "_telemetry", "_whose", "content", "instrumentor", "masking", "providers",
    "semconv", "semconv_mcp", "semconv_old", "settings",
}  # fmt: skip
"""What of ours every program may have to wait for: each module takes some of the 20 ms that all may."""
MODULES = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def ours(modules):
    """Name the modules of ours among those that were imported."""
    return {name.removeprefix("otel_genai.") for name in modules if name.startswith("otel_genai.")}


def test_importing_us_imports_little():
    """No SDK of OpenTelemetry's, nothing of the receiver's and the viewer's, no LLM SDK."""
    loaded = set(json.loads(program(f"import otel_genai; {MODULES}").stdout))
    heavy = {
        "opentelemetry.sdk",
        "otel_genai._receiver",
        "otel_genai._otlp",
        "google.protobuf",
        "grpc",
        "rich",
    }
    assert not loaded & {*heavy, *SDK}


def test_a_program_without_an_llm_imports_no_sdk():
    """`print("hi")` under `opentelemetry-instrument` stays what it is."""
    done = instrumented(f'print("hi"); {MODULES}', **US_ALONE, **NO_EXPORT)
    greeting, modules = done.stdout.splitlines()
    loaded = set(json.loads(modules))
    assert greeting == "hi"
    assert "otel_genai.instrumentor" in loaded
    assert not loaded & {*SDK, "otel_genai._receiver", "rich"}
    assert done.stderr == ""


def test_a_program_without_an_llm_waits_for_little_of_ours():
    """Neither the engine nor prices, and nobody's package that OpenTelemetry would not import itself."""
    environment = {**NO_EXPORT, "OTEL_GENAI_COST": ""}  # as it is where prices are installed
    switch = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    loaded, before = (
        set(json.loads(instrumented(MODULES, **environment, **{switch: names}).stdout))
        for names in ("httpx,httpx2", "httpx,httpx2,otel_genai")
    )
    assert "otel_genai.instrumentor" in loaded - before
    assert ours(loaded) <= AT_START
    others = {name.partition(".")[0] for name in loaded - before} - {"otel_genai"}
    assert others <= sys.stdlib_module_names


def test_switching_on_by_hand_waits_for_little_of_ours():
    """The same without the command, and what comes later comes when it is used."""
    code = f"""
        import json, sys, otel_genai
        otel_genai.instrument()
        {MODULES}
        with otel_genai.tool("later"):
            {MODULES}
    """
    before, after = (set(json.loads(line)) for line in program(code).stdout.splitlines())
    assert ours(before) <= AT_START
    assert not before & {"opentelemetry.sdk", "genai_prices", "pydantic", *SDK}
    assert "otel_genai._manual" in after
    assert "otel_genai._engine" not in after


def test_the_standard_switch_leaves_all_alone():
    """`OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=otel_genai` is honoured: we are not even imported."""
    code = "import sys, openai; print('request' in vars(openai.OpenAI), 'otel_genai' in sys.modules)"
    done = instrumented(code, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="otel_genai,httpx,httpx2", **NO_EXPORT)
    assert done.stdout == "False False\n"


def test_the_entry_point_patches():
    """Under `opentelemetry-instrument` an import of the SDK is enough, and off is off."""
    code = """
    import openai
    from otel_genai.instrumentor import Instrumentor
    print("request" in vars(openai.OpenAI))
    Instrumentor().uninstrument()
    print("request" in vars(openai.OpenAI))
    """
    assert instrumented(code, **NO_EXPORT).stdout == "True\nFalse\n"


def test_the_entry_point_takes_providers(seen):
    """As every instrumentor does."""
    one = instrumentor.Instrumentor()
    one.instrument(tracer_provider=seen.tracer_provider, skip_dep_check=True)
    with otel_genai.tool("t"):
        pass
    one.uninstrument()
    assert [ended["name"] for ended in seen.spans] == ["execute_tool t"]
    assert one.instrumentation_dependencies() == ()
    assert status().state == "off"


# --- The way out -----------------------------------------------------------------------------------------

CHAT = """
import openai
client = openai.OpenAI(base_url={url!r}, api_key="none", max_retries=0)
client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": "hello"}}])
"""
METRICS = {"gen_ai.client.operation.duration", "gen_ai.client.token.usage", "otel_genai.calls"}
TRANSPORTS = pytest.mark.parametrize("transport", ["grpc", "http/protobuf"])


def to(receiver, transport):
    """Say where the telemetry goes, by the standard variables."""
    endpoint = receiver.grpc_endpoint if transport == "grpc" else receiver.http_endpoint
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": transport}


@TRANSPORTS
def test_an_unchanged_program_is_seen(transport):
    """Under `opentelemetry-instrument` one call arrives as a span and its metrics, with exemplars."""
    with StandIn(pace=0) as api, Receiver() as receiver:
        variables = {**to(receiver, transport), **US_ALONE}
        done = instrumented(CHAT.format(url=api.url), OTEL_SERVICE_NAME="unchanged", **variables)
        received = receiver.take()
    assert done.stderr == ""
    [span] = received.spans
    assert (span.name, span.kind, span.status) == ("chat gpt-4o-mini", "CLIENT", "UNSET")
    assert span.resource["service.name"] == "unchanged"
    assert {point.metric for point in received.points} == METRICS
    for point in received.points:
        of = {exemplar.span_id for exemplar in point.exemplars}
        assert of == (set() if point.metric == "otel_genai.calls" else {span.span_id})


@TRANSPORTS
def test_configure_sets_up_what_a_script_needs(transport):
    """SDK and export from the standard variables; `flush()` sends while the program goes on."""
    code = """
    import sys
    import otel_genai
    otel_genai.configure(emit_event=True)
    with otel_genai.inference("m", provider="p") as call:
        call.usage(input_tokens=1, output_tokens=2)
    print(otel_genai.flush())
    sys.stdout.flush()
    sys.stdin.read()
    """
    with Receiver() as receiver:
        command = [sys.executable, "-c", textwrap.dedent(code)]
        environment = {
            "PATH": os.environ["PATH"],
            "_OTEL_GENAI_STRICT": "1",
            "OTEL_GENAI_COST": "false",
            **to(receiver, transport),
        }
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as script:
            assert script.stdout.readline() == "True\n"
            received = receiver.take()
            script.communicate("")
    assert [span.name for span in received.spans] == ["chat m"]
    assert {point.metric for point in received.points} == METRICS
    assert [record.event_name for record in received.records] == ["gen_ai.client.inference.operation.details"]


def test_configure_uses_what_is_set_up():
    """A provider of the program's own stays, and no exporter is loaded."""
    code = """
    import sys
    import otel_genai
    from opentelemetry import trace
    from otel_genai import testing
    seen = testing.Seen()
    trace.set_tracer_provider(seen.tracer_provider)
    otel_genai.configure()
    with otel_genai.tool("t"): pass
    print(trace.get_tracer_provider() is seen.tracer_provider, [span["name"] for span in seen.spans])
    print(otel_genai.flush(), any(name.startswith("opentelemetry.exporter") for name in sys.modules))
    """
    done = program(code)
    assert done.stdout == "True ['execute_tool t']\nTrue False\n"
    assert done.stderr == ""


def test_flush_without_an_sdk_has_nothing_to_do():
    """There is nothing to be sent."""
    assert program("import otel_genai; print(otel_genai.flush())").stdout == "True\n"


def test_flush_at_the_very_end_still_sends():
    """Registered with `atexit`, where Python starts no threads any more."""
    code = """
    import atexit
    import otel_genai
    otel_genai.configure()
    atexit.register(lambda: print(otel_genai.flush()))
    with otel_genai.tool("t"): pass
    """
    with Receiver() as receiver:
        assert program(code, **to(receiver, "grpc")).stdout == "True\n"
        assert [span.name for span in receiver.spans] == ["execute_tool t"]


class Stuck:
    """A provider that is not done in time, or says so."""

    def __init__(self, how):
        """Behave so."""
        self.force_flush = how


def too_late(timeout_millis):
    """Complain, as the SDK's meter provider does."""
    raise RuntimeError("Timed out while flushing metric readers")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (lambda timeout_millis: False, []),
        (too_late, ["not everything was sent: Timed out while flushing metric readers"]),
    ],
)
def test_flush_says_when_not_everything_was_sent(monkeypatch, caplog, how, told):
    """A failure of the SDK's is a False, not an exception."""
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: Stuck(how))
    assert otel_genai.flush() is False
    assert [record.getMessage() for record in caplog.records] == told


def test_flush_waits_no_longer_than_told(monkeypatch):
    """An exporter that does not come back is left behind."""
    over = threading.Event()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: Stuck(lambda timeout_millis: over.wait()))
    assert otel_genai.flush(timeout=0.01) is False
    over.set()


# --- When nobody listens ---------------------------------------------------------------------------------

PACE = """
import time
import openai
client = openai.OpenAI(base_url={url!r}, api_key="none", max_retries=0)

def batch():
    start = time.perf_counter()
    for _ in range(20):
        client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": "hello"}}])
    return time.perf_counter() - start

batch()
print(min(batch() for _ in range(5)))
print(time.time(), flush=True)
"""


def pace(url, **environment):
    """Give the seconds that a batch of calls takes, and those that the program takes to exit."""
    code = (
        "import subprocess, sys, time\n"
        f"out = subprocess.run([{INSTRUMENT!r}, sys.executable, '-c', {PACE.format(url=url)!r}],"
        " capture_output=True, text=True, check=True).stdout\n"
        "now = time.time()\n"
        "seconds, end = out.split()\n"
        "print(seconds, now - float(end))\n"
    )
    seconds, leaving = program(code, **US_ALONE, **environment).stdout.split()
    return float(seconds), float(leaving)


@TRANSPORTS
def test_a_collector_that_is_not_there_costs_no_speed_and_little_time_at_the_end(transport):
    """Calls are as fast as without export, and `OTEL_EXPORTER_OTLP_TIMEOUT` bounds the exit."""
    nobody = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{closed_port()}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": transport,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "20",  # so that exports fail while the calls are made
    }
    with StandIn(pace=0) as api:
        _, usual_exit = pace(api.url, **NO_EXPORT)
        seconds, leaving = pace(api.url, **nobody)
    signals, timeout, spare = 2, 1, 5
    assert seconds < timeout  # a call that waited for an export would take all of it
    assert leaving < usual_exit + signals * timeout + spare


def test_an_instrumentation_that_goes_by_another_name_is_known() -> None:
    """The official one of botocore has spans of Bedrock's models, and is switched off by its own name."""
    made = type("BotocoreInstrumentor", (), {"is_instrumented_by_opentelemetry": True})
    made.__module__ = "opentelemetry.instrumentation.botocore"
    made._instance = made()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_others.BaseInstrumentor, "__subclasses__", lambda: [made])
        assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=botocore" in _others.at_work("bedrock")
        assert "OTEL_GENAI_DISABLED=bedrock" in _others.at_work("bedrock")
        assert _others.at_work("cohere") == ""
