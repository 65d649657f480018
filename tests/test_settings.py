"""Settings: keyword over environment over default; bad values are told, and never guessed."""

from __future__ import annotations

import dataclasses
import logging
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest

import otel_genai
from otel_genai import Capture, Settings, _pricelist, judges, masking, settings
from otel_genai._gate import Gate
from otel_genai.settings import VARIABLES, from_env

CAPTURE, EVENT, SEMCONV, DISABLED, GAPS, *_ = VARIABLES.values()
GOOD = [
    ("capture", "NO_CONTENT", Capture.NO_CONTENT),
    ("capture", "SPAN_ONLY", Capture.SPAN_ONLY),
    ("capture", "EVENT_ONLY", Capture.EVENT_ONLY),
    ("capture", " span_and_event ", Capture.SPAN_AND_EVENT),
    ("capture", "true", Capture.SPAN_ONLY),
    ("capture", "True", Capture.SPAN_ONLY),
    ("capture", "false", Capture.NO_CONTENT),
    ("emit_event", "true", True),
    ("emit_event", "FALSE", False),
    ("semconv", "published", "published"),
    ("semconv", "Latest", "latest"),
    ("semconv", "both", "both"),
    ("disabled", "openai", frozenset({"openai"})),
    ("disabled", " OpenAI , anthropic,,", frozenset({"openai", "anthropic"})),
    ("stream_gaps", "0", 0),
    ("stream_gaps", "100", 100),
    ("stream_gaps", "all", None),
    (
        "capture_operations",
        "chat=span_only, embeddings=false",
        {"chat": Capture.SPAN_ONLY, "embeddings": Capture.NO_CONTENT},
    ),
    ("capture_sample", "0.25", 0.25),
    ("capture_on_error", "true", True),
    ("content_budget", "65536", 65536),
    ("mask", "email, KEYS", masking.maskers(["keys", "email"])),
    ("mask_pattern", "ACME-[0-9]+", re.compile("ACME-[0-9]+")),
    ("user_key", "s3cret", "s3cret"),
    ("metric_dimensions", "team, app.tenant,team", ("otel_genai.team", "app.tenant")),
    ("metric_limit", "5", 5),
    ("threads", "true", True),
    ("baggage", "team,user", ("otel_genai.team", "user.id")),
    ("baggage_hosts", "api.internal, *.svc.local", ("api.internal", "*.svc.local")),
    ("cost", "false", False),
    ("cost", "true", True),
    ("cost_histogram", "true", True),
    ("judges", "length, JSON,", (judges.BUILT_IN["length"], judges.BUILT_IN["json"])),
    ("judge_sample", "0.1", 0.1),
    ("judge_budget", "600", 600),
    (
        "hosts",
        "LLM.corp.example=vllm, 10.0.0.7:8000=ollama,[fd00::7]:1234 = lm_studio,",
        {"llm.corp.example": "vllm", "10.0.0.7:8000": "ollama", "[fd00::7]:1234": "lm_studio"},
    ),
]
MODES = "NO_CONTENT, SPAN_ONLY, EVENT_ONLY, SPAN_AND_EVENT, true, false"
PAIRS = (
    "give pairs such as chat=SPAN_ONLY, of chat, embeddings, execute_tool, fetch_response, generate_content, "
    "image_generation, invoke_agent, invoke_workflow, moderation, rerank, retrieval, speech, "
    "text_completion, transcription"
)
MASKER = (
    "'emails' is no masker: give keys, email, card, iban, phone, ip, "
    "a compiled regular expression or a function"
)
NO_HOST = "is no host, such as llm.corp.example or 10.0.0.7:8000: no scheme, no path"
NO_PROVIDER = "is no provider's name for a, such as vllm, ollama or azure.ai.openai"
BAD = [
    ("capture", "spans", f"'spans' is not one of {MODES}", "NO_CONTENT"),
    ("capture", "1", f"'1' is not one of {MODES}", "NO_CONTENT"),
    ("emit_event", "maybe", "'maybe' is not one of true, false", "None"),
    ("semconv", "newest", "'newest' is not one of published, latest, both", "'published'"),
    ("stream_gaps", "-1", "'-1' is not a number of gaps (0 or more) or all", "16"),
    ("stream_gaps", "many", "'many' is not a number of gaps (0 or more) or all", "16"),
    ("capture_operations", "chat=spans", f"'spans' is not one of {MODES}", None),
    ("capture_operations", "chat", f"'chat' alone says nothing: {PAIRS}", None),
    ("capture_operations", "chatt=NO_CONTENT", f"'chatt' is no operation: {PAIRS}", None),
    ("capture_sample", "2", "'2' is not a share from 0 to 1", None),
    ("capture_sample", "half", "'half' is not a share from 0 to 1", None),
    ("capture_on_error", "maybe", "'maybe' is not one of true, false", None),
    ("hosts", "http://a=vllm", f"'http://a' {NO_HOST}", "{}"),
    ("hosts", "a/v1=vllm", f"'a/v1' {NO_HOST}", "{}"),
    ("hosts", "a:70000=vllm", f"'a:70000' {NO_HOST}", "{}"),
    ("hosts", "=vllm", f"'' {NO_HOST}", "{}"),
    ("hosts", "a", f"'' {NO_PROVIDER}", "{}"),
    ("hosts", "a=my llm", f"'my llm' {NO_PROVIDER}", "{}"),
    ("hosts", "a=VLLM", f"'VLLM' {NO_PROVIDER}", "{}"),
    (
        "judges",
        "lenght",
        "'lenght' is no judge: give length, refusal, json, context or a function of an answer",
        "()",
    ),
    ("judge_sample", "2", "'2' is not a share from 0 to 1", "1.0"),
    ("judge_budget", "0", "'0' is not a whole number of 1 or more", "60"),
    ("content_budget", "-5", "'-5' is not a number of bytes (256 or more)", None),
    ("content_budget", "8k", "'8k' is not a number of bytes (256 or more)", None),
    ("mask", "emails", MASKER, None),
    (
        "mask_pattern",
        "(",
        "'(' is no regular expression: missing ), unterminated subpattern at position 0",
        None,
    ),
]
HOOK = types.SimpleNamespace(on_completion=print)
PRICES = _pricelist.read([{"model": "m", "input": 1, "output": 2}])
PRICE_FILE = Path(tempfile.mkdtemp()) / "prices.json"
PRICE_FILE.write_text('[{"model": "n", "input": 1, "output": 2}]')
OTHERS = {
    "capture": (Capture.EVENT_ONLY, "SPAN_ONLY"),
    "emit_event": (False, "true"),
    "semconv": ("both", "latest"),
    "disabled": (frozenset({"toy"}), "openai"),
    "stream_gaps": (3, "5"),
    "capture_operations": ({"chat": Capture.SPAN_ONLY}, "chat=EVENT_ONLY"),
    "capture_sample": (0.5, "0.1"),
    "capture_on_error": (False, "true"),
    "content_budget": (4096, "9000"),
    "mask": ((str.lower,), "email"),
    "mask_pattern": (re.compile("a"), "b"),
    "user_key": ("a", "b"),
    "metric_dimensions": (("a",), "b"),
    "metric_limit": (7, "9"),
    "threads": (False, "true"),
    "baggage": (("a",), "b"),
    "baggage_hosts": (("a.internal",), "b.internal"),
    "cost": (True, "false"),
    "prices": (PRICES, str(PRICE_FILE)),
    "cost_histogram": (False, "true"),
    "completion_hook": (HOOK, "upload"),
    "stream_usage": (False, "true"),
    "hosts": ({"a": "vllm"}, "b=ollama"),
    "judges": ((judges.length(5),), "length"),
    "judge_sample": (0.5, "0.1"),
    "judge_budget": (5, "7"),
}
every = pytest.mark.parametrize("name", VARIABLES)


@pytest.fixture(autouse=True)
def _first_time(monkeypatch):
    """Warn in every test as if it were the first."""
    monkeypatch.setattr(settings, "_warned", set())
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH", "memory://prompts")  # for `upload`


def test_the_defaults_are_the_safe_choice():
    """No content, the published names, every provider."""
    assert from_env({}) == Settings()
    assert dataclasses.asdict(Settings()) == {
        "capture": Capture.NO_CONTENT,
        "emit_event": None,
        "semconv": "published",
        "disabled": frozenset(),
        "stream_gaps": 16,
        "capture_operations": {},
        "capture_sample": 1.0,
        "capture_on_error": False,
        "content_budget": 8192,
        "mask": (),
        "mask_pattern": None,
        "user_key": None,
        "metric_dimensions": (),
        "metric_limit": 200,
        "threads": False,
        "baggage": (),
        "baggage_hosts": (),
        "cost": None,
        "prices": None,
        "cost_histogram": False,
        "completion_hook": None,
        "stream_usage": False,
        "hosts": {},
        "judges": (),
        "judge_sample": 1.0,
        "judge_budget": 60,
    }


def test_every_setting_has_its_variable():
    """Each can be set without touching the program."""
    assert VARIABLES == {
        "capture": "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        "emit_event": "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT",
        "semconv": "OTEL_GENAI_SEMCONV",
        "disabled": "OTEL_GENAI_DISABLED",
        "stream_gaps": "OTEL_GENAI_STREAM_GAPS",
        "capture_operations": "OTEL_GENAI_CAPTURE_OPERATIONS",
        "capture_sample": "OTEL_GENAI_CAPTURE_SAMPLE",
        "capture_on_error": "OTEL_GENAI_CAPTURE_ON_ERROR",
        "content_budget": "OTEL_GENAI_CONTENT_BUDGET",
        "mask": "OTEL_GENAI_MASK",
        "mask_pattern": "OTEL_GENAI_MASK_PATTERN",
        "user_key": "OTEL_GENAI_USER_KEY",
        "metric_dimensions": "OTEL_GENAI_METRIC_DIMENSIONS",
        "metric_limit": "OTEL_GENAI_METRIC_LIMIT",
        "threads": "OTEL_GENAI_THREADS",
        "baggage": "OTEL_GENAI_BAGGAGE",
        "baggage_hosts": "OTEL_GENAI_BAGGAGE_HOSTS",
        "cost": "OTEL_GENAI_COST",
        "prices": "OTEL_GENAI_PRICES",
        "cost_histogram": "OTEL_GENAI_COST_HISTOGRAM",
        "completion_hook": "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK",
        "stream_usage": "OTEL_GENAI_STREAM_USAGE",
        "hosts": "OTEL_GENAI_HOSTS",
        "judges": "OTEL_GENAI_JUDGES",
        "judge_sample": "OTEL_GENAI_JUDGE_SAMPLE",
        "judge_budget": "OTEL_GENAI_JUDGE_BUDGET",
    }
    assert list(VARIABLES) == [field.name for field in dataclasses.fields(Settings)]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_setting_is_read_from_the_environment(name, text, value):
    """Every value that is accepted, whatever its case, and with blanks around it."""
    assert getattr(from_env({VARIABLES[name]: text}), name) == value


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_setting_is_taken_as_a_keyword(name, text, value):
    """A keyword may be the word that the environment would hold, or the value itself."""
    assert getattr(Settings(**{name: text}), name) == value
    assert getattr(Settings(**{name: value}), name) == value


@every
def test_a_keyword_wins_over_the_environment(name):
    """And the environment over the default."""
    value, text = OTHERS[name]
    assert getattr(from_env({VARIABLES[name]: text}), name) != getattr(Settings(), name)
    assert getattr(from_env({VARIABLES[name]: text}, **{name: value}), name) == value


@every
@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_variable_is_none(name, blank, caplog):
    """As OpenTelemetry has it."""
    assert from_env({VARIABLES[name]: blank}) == Settings()
    assert caplog.records == []


@pytest.mark.parametrize(("name", "value", "accepted", "safe"), BAD)
def test_a_bad_value_raises_and_says_what_is_accepted(name, value, accepted, safe):
    """In code a slip is an error, wherever the settings are made."""
    for make in (Settings, from_env, otel_genai.instrument):
        with pytest.raises(ValueError, match=re.escape(accepted)) as caught:
            make(**{name: value})
        assert str(caught.value) == f"Settings({name}=...): {accepted}"


@pytest.mark.parametrize("value", [None, 1, ["openai", 3]])
def test_values_of_another_type_are_told_apart(value):
    """Whatever is not a list of names is an error, whatever is one is read."""
    if isinstance(value, list):
        assert Settings(disabled=value).disabled == {"openai", "3"}
        return
    with pytest.raises(
        ValueError, match=f"{value} is not a list of provider names, such as openai,anthropic"
    ):
        Settings(disabled=value)


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("mask_pattern", 5, "5 is no regular expression for texts"),
        ("mask_pattern", re.compile(b"a"), "re.compile(b'a') is no regular expression for texts"),
        ("user_key", "", "not a secret text, which must not be empty"),
        ("user_key", 5, "not a secret text"),
    ],
)
def test_what_protects_nobody_is_no_protection(name, value, accepted):
    """A pattern that finds nothing, a key that anybody has."""
    with pytest.raises(ValueError, match=re.escape(accepted)):
        Settings(**{name: value})


@pytest.mark.parametrize(("name", "value", "accepted", "safe"), BAD)
def test_a_bad_value_in_the_environment_warns_once_and_is_safe(name, value, accepted, safe, caplog):
    """One line names the variable, the value, what is accepted and what is used, however often it is read."""
    for _ in range(3):
        assert from_env({VARIABLES[name]: value}) == Settings()
    told = [(record.levelno, record.getMessage()) for record in caplog.records]
    instead = "recording no content" if safe is None else f"using {safe}"
    assert told == [(logging.WARNING, f"{VARIABLES[name]}: {accepted}; {instead} instead")]


@pytest.mark.parametrize(("name", "value"), [row[:2] for row in BAD if row[3] is None])
def test_where_the_protection_of_content_cannot_be_read_there_is_none_of_it(name, value):
    """Whatever the program and the other variables ask for."""
    everything = {CAPTURE: "SPAN_AND_EVENT", "OTEL_GENAI_CAPTURE_OPERATIONS": "chat=SPAN_ONLY"}
    chosen = from_env({**everything, VARIABLES[name]: value}, capture="SPAN_ONLY", completion_hook=HOOK)
    assert (chosen.capture, chosen.capture_operations) == (Capture.NO_CONTENT, {})
    assert chosen.completion_hook is None


def test_a_bad_variable_leaves_the_others_alone(caplog):
    """One slip costs one setting."""
    read = from_env({CAPTURE: "spans", SEMCONV: "latest"})
    assert read == Settings(semconv="latest")
    assert len(caplog.records) == 1


def test_a_keyword_over_a_bad_variable_asks_nobody(caplog):
    """What is not used is not complained about."""
    assert from_env({CAPTURE: "spans"}, capture="SPAN_ONLY").capture is Capture.SPAN_ONLY
    assert caplog.records == []


def test_an_unknown_setting_is_a_type_error():
    """As for any function of Python's."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'captured'"):
        otel_genai.instrument(captured="SPAN_ONLY")


def test_hosts_are_pairs():
    """A list of hosts would not say who answers there."""
    with pytest.raises(ValueError, match=re.escape("['a'] does not say who answers at which host")):
        Settings(hosts=["a"])


def test_settings_are_frozen():
    """What was decided stays so."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().capture = Capture.SPAN_ONLY


def test_settings_come_as_one_object_or_one_by_one():
    """Both at once would leave open which wins."""
    with pytest.raises(TypeError, match=r"takes settings or single ones, not both: leave out capture$"):
        otel_genai.instrument(settings=Settings(), capture="SPAN_ONLY")


def test_settings_as_one_object_leave_the_environment_out(monkeypatch, caplog):
    """Whoever makes the settings says everything."""
    monkeypatch.setenv(CAPTURE, "spans")
    monkeypatch.setenv(DISABLED, "openai")
    otel_genai.instrument(settings=Settings())
    assert [status.state for status in otel_genai.providers()] != ["disabled"]
    assert "CAPTURE" not in caplog.text


@pytest.mark.parametrize("capture", Capture)
@pytest.mark.parametrize("emit_event", [None, True, False])
def test_events_are_emitted_when_asked_for_or_needed(capture, emit_event):
    """Unset means: when they carry content."""
    chosen = Settings(capture=capture, emit_event=emit_event)
    assert Gate(chosen, "chat").emits is (capture.on_event if emit_event is None else emit_event)


def test_the_older_switch_changes_nothing():
    """`OTEL_SEMCONV_STABILITY_OPT_IN` was set for older packages; dashboards must not go blank."""
    code = (
        "from otel_genai import testing, inference\n"
        "with testing.capture() as seen:\n"
        "    with inference('m', provider='p') as call: call.usage(input_tokens=1, output_tokens=2)\n"
        "print(sorted(seen.metrics), [(e['name'], e['attributes']) for e in seen.spans], seen.events)\n"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code], env=opt_in, capture_output=True, text=True, check=True
        ).stdout
        for opt_in in ({}, {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"})
    ]
    assert told[0] == told[1]
    assert "'gen_ai.client.token.usage'" in told[0]
