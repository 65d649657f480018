"""Evaluations and feedback: beside the answer they are of, whenever and wherever they come."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import otel_genai
import toy
from child import program
from otel_genai import _answers, _evaluation, _telemetry, testing
from otel_genai import semconv as s
from toy import CLIENTS, AsyncClient, Client, ask, drain

SCORES, COUNTS = s.EVALUATION_SCORES.name, s.EVALUATIONS.name
CANARY = "canary-4711"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def seen():
    """Instrument the toy."""
    with testing.capture(toy.PROVIDER) as seen:
        yield seen


@pytest.fixture
def lenient(monkeypatch):
    """Have our own failures counted and not raised, as it is outside of tests."""
    monkeypatch.delenv(_telemetry.STRICT)
    with testing.capture(toy.PROVIDER) as seen:
        yield seen


@pytest.fixture(autouse=True)
def _nothing_before():
    """Know of no answer from the test before, and leave no context behind."""
    _answers.last.set(None)
    _evaluation._say_lost.cache_clear()
    before = otel.get_current()
    yield
    assert otel.get_current() is before


def span(seen, name):
    """Give the only span of a name."""
    (found,) = (one for one in seen.spans if one["name"] == name)
    return found


def ids(seen, name):
    """Give trace and span of the only span of a name, and its parent's span."""
    (found,) = (one for one in seen.finished if one.name == name)
    return found.context.trace_id, found.context.span_id, found.parent and found.parent.span_id


def event(seen):
    """Give the only evaluation among the events, and the span it is of."""
    (found,) = (one for one in seen.events if one["name"] == s.EVENT_EVALUATION)
    return found["attributes"], found["span_id"]


def points(seen, metric):
    """Give what a metric says: its value or count, and what of."""
    return [(one.get("value", one.get("count")), one["attributes"]) for one in seen.metrics.get(metric, [])]


# --- Whose evaluation ------------------------------------------------------------------------------------


def test_an_evaluation_stands_beside_its_answer(seen):
    """A span below the answer's, an event of the answer's span, a score and a count, all saying the same."""
    with otel_genai.context(prompt="sky@3", experiment="blue", user="u-7"):
        with otel_genai.inference("llama-3", provider="vllm") as call:
            call.answer("so", id="r-1")
        otel_genai.evaluate("relevance", score=0.8, label="relevant", of=call, **{"app.suite": "nightly"})
    said = {
        s.EVALUATION_NAME: "relevance",
        s.EVALUATION_SCORE_VALUE: 0.8,
        s.EVALUATION_SCORE_LABEL: "relevant",
        s.RESPONSE_ID: "r-1",
        s.REQUEST_MODEL: "llama-3",
        s.PROMPT_NAME: "sky",
        s.PROMPT_VERSION: "3",
        s.EXPERIMENT: "blue",
        s.USER_ID: "u-7",
        "app.suite": "nightly",
    }
    evaluated = span(seen, "evaluate relevance")
    assert (evaluated["parent"], evaluated["kind"], evaluated["status"]) == (
        "chat llama-3",
        "INTERNAL",
        "UNSET",
    )
    assert evaluated["attributes"] == said
    assert event(seen) == (said, ids(seen, "chat llama-3")[1])
    keys = (s.EVALUATION_NAME, s.REQUEST_MODEL, s.PROMPT_NAME, s.PROMPT_VERSION, s.EXPERIMENT)
    dimensions = {key: said[key] for key in keys}
    assert points(seen, SCORES) == [(1, dimensions)]
    assert points(seen, COUNTS) == [(1, {**dimensions, s.EVALUATION_SCORE_LABEL: "relevant"})]


def test_an_evaluation_is_no_call(seen):
    """It has neither tokens nor a duration, and is counted among no calls."""
    otel_genai.evaluate("relevance", score=1, of=PARENT)
    assert seen.metrics.keys() == {SCORES, COUNTS}


@pytest.mark.parametrize("of", ["block", "span", "context", "ended", "current", "reference"])
def test_the_answer_may_be_given_in_many_ways(seen, of):
    """While it is open, and when it has ended."""
    with otel_genai.inference("m", provider="p") as call:
        now = trace.get_current_span()
        given = {
            "block": call,
            "span": now,
            "context": now.get_span_context(),
            "current": None,
            "reference": otel_genai.reference(),
        }
        if of != "ended":
            otel_genai.evaluate("x", score=1, of=given[of])
    if of == "ended":
        otel_genai.evaluate("x", score=1, of=now)
    trace_id, span_id, _ = ids(seen, "chat m")
    found = ids(seen, "evaluate x")
    assert (found[0], found[2]) == (trace_id, span_id)
    assert event(seen)[1] == span_id
    assert event(seen)[0].get(s.REQUEST_MODEL) == (None if of == "context" else "m")


def test_a_span_of_others_will_do(seen):
    """The server's, for instance."""
    with seen.tracer_provider.get_tracer("server").start_as_current_span("POST /ask"):
        otel_genai.feedback("up")
    assert span(seen, "evaluate user_feedback")["parent"] == "POST /ask"


def test_a_block_within_another_inference_is_that_inference(seen):
    """What has no span of its own is evaluated where its span is."""
    with otel_genai.inference("m", provider="p"), otel_genai.inference("m", provider="p") as inner:
        pass
    otel_genai.evaluate("x", score=1, of=inner)
    assert span(seen, "evaluate x")["parent"] == "chat m"


@pytest.mark.parametrize(
    "of",
    [
        PARENT,
        f" {PARENT} ",
        {"traceparent": PARENT},
        {"Traceparent": PARENT, "tracestate": "a=b"},
        {"HTTP_TRACEPARENT": PARENT},
        [(b"traceparent", PARENT.encode())],
    ],
    ids=str,
)
def test_a_traceparent_is_enough(seen, of):
    """In a text, in headers of any kind."""
    otel_genai.feedback("down", of=of)
    (found,) = seen.finished
    assert (f"{found.context.trace_id:032x}", f"{found.parent.span_id:016x}") == tuple(PARENT.split("-")[1:3])
    assert found.parent.is_remote
    assert f"{event(seen)[1]:016x}" == PARENT.split("-")[2]


@pytest.mark.parametrize("of", ["chatcmpl-7", " chatcmpl-7 "])
def test_an_answer_s_id_is_told_by_the_event_alone(seen, of):
    """Its span is not known, so there is none below it, whatever is current where the feedback comes in."""
    with seen.tracer_provider.get_tracer("server").start_as_current_span("POST /feedback"):
        otel_genai.feedback("up", of=of, model="m")
    found, span_id = event(seen)
    assert (found[s.RESPONSE_ID], found[s.REQUEST_MODEL], span_id) == ("chatcmpl-7", "m", 0)
    assert [one.name for one in seen.finished] == ["POST /feedback"]
    assert len(points(seen, SCORES)) == 1


@pytest.mark.parametrize(
    "of", ["", {}, {"traceparent": "nonsense"}, PARENT.replace("b7ad6b7169203331", "0" * 16), "x" * 5000]
)
def test_nonsense_is_nobody_s(seen, of):
    """What names no answer is counted, and hung onto none."""
    otel_genai.feedback("up", of=of)
    found, span_id = event(seen)
    assert (span_id, s.RESPONSE_ID in found, seen.finished) == (0, isinstance(of, dict) and bool(of), ())
    assert len(points(seen, COUNTS)) == 1


@pytest.mark.parametrize("of", ["", " ", {}, {"traceparent": ""}, "a\0b", "x" * 5000])
def test_a_lost_reference_is_said_once(seen, caplog, of):
    """With what to do; what was thought is counted all the same, and what was sent is not logged."""
    for _ in range(2):
        otel_genai.feedback("up", of=of)
    (told,) = caplog.records
    assert told.levelno == logging.WARNING
    assert "nothing is known of its answer; give what reference() gave" in told.getMessage()
    assert "xx" not in told.getMessage()
    assert points(seen, COUNTS)[0][0] == 2


@pytest.mark.parametrize("of", [PARENT, {"traceparent": PARENT}, "chatcmpl-7", None])
def test_what_names_an_answer_or_nothing_at_all_is_not_lost(seen, caplog, of):
    """There is nothing to say of it."""
    otel_genai.feedback("up", of=of)
    assert caplog.records == []
    assert len(points(seen, COUNTS)) == 1


def test_an_unsampled_answer_s_evaluation_is_not_sampled_either(seen):
    """Its trace is nowhere; its score counts."""
    otel_genai.feedback("up", of=PARENT[:-1] + "0")
    assert seen.finished == ()
    assert len(points(seen, SCORES)) == 1


# --- References ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS, ids=["sync", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_reference_is_of_the_inference_that_ended_last(seen, client, stream):
    """An endpoint asks, and gives its answer and the reference away: the model and the prompt go along."""

    async def endpoint():
        with otel_genai.context(prompt="sky, or sea@3;x"):
            answer = await ask(client(), stream=stream)
            if stream:
                await drain(answer)
            return otel_genai.reference()

    with seen.tracer_provider.get_tracer("server").start_as_current_span("POST /ask"):
        reference = asyncio.run(endpoint())
    assert otel_genai.reference() == ""  # it was asked in a task of its own
    otel_genai.feedback("up", of=reference)
    assert span(seen, "evaluate user_feedback")["parent"] == "chat toy-1"
    found, _ = event(seen)
    assert {key: found[key] for key in (s.RESPONSE_ID, s.REQUEST_MODEL, s.PROMPT_NAME, s.PROMPT_VERSION)} == {
        s.RESPONSE_ID: "a-1",
        s.REQUEST_MODEL: "toy-1",
        s.PROMPT_NAME: "sky, or sea",
        s.PROMPT_VERSION: "3;x",
    }


def test_a_reference_is_never_of_another_trace(seen):
    """A thread that serves one request after the other does not mix them up."""
    tracer = seen.tracer_provider.get_tracer("server")
    with tracer.start_as_current_span("POST /ask"):
        Client().chat()
    with tracer.start_as_current_span("GET /"):
        reference = otel_genai.reference()
    otel_genai.feedback("up", of=reference)
    assert span(seen, "evaluate user_feedback")["parent"] == "GET /"


def _in_a_task():
    async def main():
        await asyncio.create_task(ask(AsyncClient()))
        return otel_genai.reference()

    return asyncio.run(main())


def _in_a_thread():
    thread = threading.Thread(target=contextvars.copy_context().run, args=[Client().chat])
    thread.start()
    thread.join()
    return otel_genai.reference()


def _in_a_pool():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(Client().chat).result()
    return otel_genai.reference()


ELSEWHERE = pytest.mark.parametrize("elsewhere", [_in_a_task, _in_a_thread, _in_a_pool])


def referred(reference):
    """Give the id of the span that a reference is of."""
    return int(reference.split("-")[2], 16)


@ELSEWHERE
def test_what_was_asked_in_another_task_or_thread_has_a_reference_where_its_trace_goes_on(elsewhere):
    """As agents do; one of a trace is never given away in another."""
    with testing.capture(toy.PROVIDER, threads=True) as seen:
        tracer = seen.tracer_provider.get_tracer("server")
        with tracer.start_as_current_span("POST /ask"), otel_genai.context(prompt="sky@3"):
            reference = elsewhere()
        with tracer.start_as_current_span("GET /") as other:
            assert referred(otel_genai.reference()) == other.get_span_context().span_id
        otel_genai.feedback("up", of=reference)
        assert span(seen, "evaluate user_feedback")["parent"] == "chat toy-1"
        found, _ = event(seen)
    known = (s.RESPONSE_ID, s.REQUEST_MODEL, s.PROMPT_NAME, s.PROMPT_VERSION)
    assert [found[key] for key in known] == ["a-1", "toy-1", "sky", "3"]


@ELSEWHERE
def test_without_a_trace_what_was_asked_elsewhere_is_not_known(elsewhere):
    """It may be anybody's."""
    with testing.capture(toy.PROVIDER, threads=True):
        assert elsewhere() == ""


def test_traces_that_take_turns_do_not_mix(seen):
    """Each knows the last of its own."""

    async def endpoint(turn, other):
        with seen.tracer_provider.get_tracer("server").start_as_current_span("POST /ask") as around:
            await asyncio.create_task(ask(AsyncClient()))
            other.set()
            await turn.wait()
            return around.get_span_context().trace_id, otel_genai.reference()

    async def both():
        first, second = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(endpoint(first, second), endpoint(second, first))

    answered = asyncio.run(both())
    chats = {one.context.trace_id: one.context.span_id for one in seen.finished if one.name == "chat toy-1"}
    assert {trace_id: referred(reference) for trace_id, reference in answered} == chats
    assert len(chats) == 2


def test_of_several_at_once_a_reference_is_of_the_one_that_ended_last(seen):
    """Unless one ended in the same task: each knows its own."""

    async def asks(before, after):
        await before.wait()
        await ask(AsyncClient())
        after.set()
        await asyncio.gather(*(one.wait() for one in (before, after)))
        return otel_genai.reference()

    async def endpoint():
        first, second, third = (asyncio.Event() for _ in range(3))
        first.set()
        own = await asyncio.gather(asks(second, third), asks(first, second))
        return own, otel_genai.reference()

    with seen.tracer_provider.get_tracer("server").start_as_current_span("POST /ask"):
        own, last = asyncio.run(endpoint())
    earlier, later = (one.context.span_id for one in seen.finished if one.name == "chat toy-1")
    assert [referred(one) for one in own] == [later, earlier]
    assert referred(last) == later


def test_what_a_call_is_made_of_is_not_the_last(seen):
    """A call within another for the same inference has no span of its own, and so no reference."""

    async def endpoint():
        async def framework():
            with otel_genai.inference("toy-1", provider="toy"):
                await ask(AsyncClient())

        await asyncio.create_task(framework())
        return otel_genai.reference()

    with seen.tracer_provider.get_tracer("server").start_as_current_span("POST /ask"):
        reference = asyncio.run(endpoint())
    assert referred(reference) == ids(seen, "chat toy-1")[1]


def test_a_judge_s_own_call_is_not_the_last():
    """It is of the same trace, and ends later."""

    def judge(_):
        Client().chat()
        return 1.0

    with testing.capture(toy.PROVIDER, judges=[judge]) as seen:
        with seen.tracer_provider.get_tracer("server").start_as_current_span("POST /ask"):
            asyncio.run(_asked(AsyncClient()))
            assert any(one["name"] == "evaluate judge" for one in seen.spans)  # which waits for it
            reference = otel_genai.reference()
        judged, judges_own = sorted(
            (one for one in seen.finished if one.name == "chat toy-1"),
            key=lambda one: s.JUDGE in one.attributes,
        )
    assert s.JUDGE in judges_own.attributes
    assert referred(reference) == judged.context.span_id


def test_only_the_latest_answers_are_kept(monkeypatch):
    """Of however many traces, and nothing of what they say."""
    monkeypatch.setattr(_answers, "latest", latest := _answers.Latest())
    with testing.capture(toy.PROVIDER, capture="SPAN_AND_EVENT") as seen:
        tracer = seen.tracer_provider.get_tracer("server")
        for _ in range(_answers.KEPT + 2):
            with tracer.start_as_current_span("POST /ask"):
                Client().chat()
        assert "hello there" in str(seen.spans[-2])
        traces = [one.context.trace_id for one in seen.finished if one.parent is None]
    known = [latest.of(trace_id) for trace_id in traces]
    assert known[:2] == [None, None]
    assert None not in known[2:]
    assert "hello there" not in str(known)


def test_a_root_s_answer_is_not_kept(monkeypatch, seen):
    """Nobody else is in its trace; whoever asks where it ended is told by the task or thread."""
    monkeypatch.setattr(_answers, "latest", latest := _answers.Latest())
    Client().chat()
    assert latest.of(seen.finished[0].context.trace_id) is None
    assert referred(otel_genai.reference()) == ids(seen, "chat toy-1")[1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process: needs a system that can")
def test_a_forked_process_knows_nothing_of_what_was_answered_before():
    """It is the parent's to tell."""
    printed = program(
        """
        import os, warnings, toy
        warnings.simplefilter("ignore")
        from otel_genai import _answers, testing
        with testing.capture(toy.PROVIDER) as seen:
            tracer = seen.tracer_provider.get_tracer("server")
            def ask():
                with tracer.start_as_current_span("POST /ask"):
                    toy.Client().chat()
                return seen.finished[-1].context.trace_id
            trace_id = ask()
            if child := os.fork():
                os.waitpid(child, 0)
                os.write(1, f"parent {_answers.latest.of(trace_id) is not None}".encode())
            else:
                mine = ask()
                known = [_answers.latest.of(one) is not None for one in (trace_id, mine)]
                os.write(1, f"child {known}, ".encode())
                os._exit(0)
        """
    ).stdout
    assert printed == "child [False, True], parent True"


def test_without_a_span_around_the_last_inference_is_meant(seen):
    """In a script or a notebook."""
    Client().chat()
    otel_genai.feedback("up")
    assert span(seen, "evaluate user_feedback")["parent"] == "chat toy-1"


def test_an_embedding_is_no_answer(seen):
    """A reference is of what a user reads."""
    client = Client()
    client.chat()
    client.embed()
    assert otel_genai.reference().split("-")[2] == f"{ids(seen, 'chat toy-1')[1]:016x}"


def test_nothing_has_no_reference(seen):
    """Where nothing was asked there is nothing to evaluate, and no id that looks like one."""
    assert otel_genai.reference() == ""
    otel_genai.feedback("up", of=otel_genai.reference())
    assert (seen.finished, event(seen)[1]) == ((), 0)


def test_a_reference_is_read_with_care(seen):
    """What came back from a browser may be anything: what is too long, hidden or unknown is left out."""
    members = f"model={'m' * 300};prompt=a%00b;version=%ff;experiment=blue;user.id=u-7;id"
    otel_genai.feedback("up", of=f"{PARENT};{members}")
    found, span_id = event(seen)
    assert found.keys() == {
        s.EVALUATION_NAME,
        s.EVALUATION_SCORE_VALUE,
        s.EVALUATION_SCORE_LABEL,
        s.EXPERIMENT,
    }
    assert span_id


def test_feedback_from_another_process_is_in_the_same_trace(seen):
    """The reference is all that goes there."""
    with otel_genai.context(prompt="sky@3"):
        Client().chat()
    reference = otel_genai.reference()
    printed = program(
        """
        import sys, otel_genai
        from otel_genai import testing
        with testing.capture() as seen:
            otel_genai.feedback("down", comment="too long", of=sys.argv[1])
            (span,) = seen.finished
            print(f"{span.context.trace_id:x} {span.parent.span_id:x}", sorted(span.attributes.items()))
        """,
        reference,
    ).stdout
    trace_id, span_id, _ = ids(seen, "chat toy-1")
    known = {
        s.EVALUATION_NAME: "user_feedback",
        s.EVALUATION_SCORE_LABEL: "down",
        s.EVALUATION_SCORE_VALUE: 0.0,
        s.PROMPT_NAME: "sky",
        s.PROMPT_VERSION: "3",
        s.REQUEST_MODEL: "toy-1",
        s.RESPONSE_ID: "a-1",
    }
    assert printed == f"{trace_id:x} {span_id:x} {sorted(known.items())}\n"


# --- What was thought ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "score", "label"),
    [
        ("up", 1.0, "up"),
        ("Down ", 0.0, "down"),
        (True, 1.0, "up"),
        (False, 0.0, "down"),
        (1, 1.0, None),
        (0.25, 0.25, None),
        ("off topic", None, "off topic"),
    ],
)
def test_feedback_is_a_thumb_a_number_or_a_word(seen, value, score, label):
    """One of three, and 1 is a number, not a thumb."""
    otel_genai.feedback(value, of=PARENT)
    found, _ = event(seen)
    assert (found.get(s.EVALUATION_SCORE_VALUE), found.get(s.EVALUATION_SCORE_LABEL)) == (score, label)
    assert len(points(seen, SCORES)) == (score is not None)


def test_an_evaluation_that_failed_has_no_score(seen):
    """Its type is an error of the evaluation, not of the answer."""
    otel_genai.evaluate("relevance", of=PARENT, error=TimeoutError(CANARY))
    found = span(seen, "evaluate relevance")
    assert (found["status"], found["description"]) == ("ERROR", None)
    assert event(seen)[0] == {s.EVALUATION_NAME: "relevance", s.ERROR_TYPE: "TimeoutError"}
    assert points(seen, COUNTS) == [(1, {s.EVALUATION_NAME: "relevance", s.ERROR_TYPE: "TimeoutError"})]
    assert SCORES not in seen.metrics


@pytest.mark.parametrize("score", ["0.5", float("nan"), float("inf"), object(), [1]])
def test_a_score_is_a_finite_number(lenient, caplog, score):
    """What is none is said once, with what to do, and raises nothing."""
    for _ in range(2):
        otel_genai.evaluate("relevance", score=score, of=PARENT)
    assert lenient.events == []
    assert [one.levelno for one in caplog.records] == [logging.WARNING]
    assert f"evaluate(score=...) is a {type(score).__name__}; give a finite number" in caplog.text


def test_what_cannot_be_evaluated_is_said(lenient, caplog):
    """With what can be."""
    otel_genai.evaluate("relevance", score=1, of=7)
    assert lenient.events == []
    assert "evaluate(of=...) is a int; give a block of ours, a span, what reference() gave" in caplog.text


@pytest.mark.parametrize("quiet", [otel_genai.suppress, suppress_instrumentation])
def test_suppressed_is_suppressed(seen, quiet):
    """Nothing is recorded of anything within."""
    with quiet():
        otel_genai.feedback("up", of=PARENT)
        with otel_genai.inference("m", provider="p") as call:
            otel_genai.feedback("up", of=call)
    assert (seen.spans, seen.events, seen.metrics) == ([], [], {})


def test_without_a_trace_there_is_an_event_and_a_score():
    """Where spans are sampled away, the event names the span that is not there."""
    with testing.capture(toy.PROVIDER, sampler=ALWAYS_OFF) as seen:
        Client().chat()
        otel_genai.feedback("up")
        assert seen.finished == ()
        assert event(seen)[1] != 0
        assert len(points(seen, SCORES)) == 1


def test_evaluations_are_told_where_inferences_are_not():
    """Whoever evaluates wants it told: the setting is about inferences."""
    with testing.capture(toy.PROVIDER, emit_event=False) as seen:
        Client().chat()
        otel_genai.feedback("up")
        assert [one["name"] for one in seen.events] == [s.EVENT_EVALUATION]


# --- Content ---------------------------------------------------------------------------------------------

MODES = {
    "NO_CONTENT": (False, False),
    "SPAN_ONLY": (True, False),
    "EVENT_ONLY": (False, True),
    "SPAN_AND_EVENT": (True, True),
}


@pytest.mark.parametrize(("capture", "places"), MODES.items())
def test_explanations_are_content(capture, places):
    """They are where content is, and nowhere else; the event itself is always there."""
    with testing.capture(capture=capture) as seen:
        otel_genai.evaluate("x", score=1, explanation=CANARY, of=PARENT)
        otel_genai.feedback("up", comment=CANARY, of="chatcmpl-1")
        (found,) = seen.spans
        said = [one["attributes"].get(s.EVALUATION_EXPLANATION) for one in seen.events]
        assert (found["attributes"].get(s.EVALUATION_EXPLANATION) == CANARY, said == [CANARY] * 2) == places
        assert (CANARY in str(seen.spans), CANARY in str(seen.events)) == places
        assert CANARY not in str(seen.metrics)


def test_a_context_can_take_the_right_away():
    """Content is not recorded where it may not be."""
    with testing.capture(capture="SPAN_AND_EVENT") as seen, otel_genai.context(capture="NO_CONTENT"):
        otel_genai.feedback("up", comment=CANARY, of=PARENT)
    assert CANARY not in str((seen.spans, seen.events))


def test_explanations_are_masked_and_fit_the_budget():
    """As all content is."""
    with testing.capture(capture="SPAN_AND_EVENT", mask="email", content_budget=256) as seen:
        otel_genai.feedback("up", comment="I am a@example.org. " + "word " * 500, of=PARENT)
        texts = [seen.spans[0]["attributes"][s.EVALUATION_EXPLANATION]]
        texts.append(event(seen)[0][s.EVALUATION_EXPLANATION])
    for text in texts:
        assert "example.org" not in text
        assert text.startswith("I am [email]. word")
        assert len(text) <= 256


def test_a_masker_that_fails_leaves_the_explanation_out(monkeypatch, caplog):
    """And the rest goes on; what it was given is not in the log."""
    monkeypatch.delenv(_telemetry.STRICT)

    def mask(text):
        raise RuntimeError(text)

    with testing.capture(capture="SPAN_AND_EVENT", mask=[mask]) as seen:
        otel_genai.feedback("up", comment=CANARY, of=PARENT)
        assert event(seen)[0][s.EVALUATION_SCORE_VALUE] == 1
    assert CANARY not in str((seen.spans, seen.events)) + caplog.text


def test_content_of_failures_alone_is_of_failures_alone():
    """An evaluation that succeeded says nothing then."""
    with testing.capture(capture="SPAN_ONLY", capture_on_error=True) as seen:
        otel_genai.evaluate("a", score=1, explanation=CANARY, of=PARENT)
        otel_genai.evaluate("b", explanation=CANARY, error="refused", of=PARENT)
        assert [CANARY in str(one) for one in seen.spans] == [False, True]


# --- Metrics ---------------------------------------------------------------------------------------------


def test_metrics_are_capped():
    """However many names, labels and prompts there are."""
    with testing.capture(metric_limit=3) as seen:
        for number in range(9):
            otel_genai.evaluate(f"n{number}", score=0.5, label=f"l{number}", of=PARENT, model=f"m{number}")
        for metric in (SCORES, COUNTS):
            said = [attributes for _, attributes in points(seen, metric)]
            assert {one[s.EVALUATION_NAME] for one in said} == {"n0", "n1", "n2", "_other"}
            assert {one[s.REQUEST_MODEL] for one in said} == {"m0", "m1", "m2", "_other"}
        assert {one[s.EVALUATION_SCORE_LABEL] for one in said} == {"l0", "l1", "l2", "_other"}
        assert sum(count for count, _ in points(seen, SCORES)) == 9


def test_counts_have_the_dimensions_that_counters_have():
    """The histogram has not; what both have is there once."""
    with testing.capture(metric_dimensions="team,experiment") as seen:
        with otel_genai.context(team="search", experiment="blue"):
            otel_genai.feedback("up", of=PARENT)
        ((_, counted),), ((_, scored),) = points(seen, COUNTS), points(seen, SCORES)
    assert (counted[s.TEAM], counted[s.EXPERIMENT]) == ("search", "blue")
    assert (s.TEAM in scored, scored[s.EXPERIMENT]) == (False, "blue")


def test_scores_lead_to_the_answer(seen):
    """The exemplar is the answer's span."""
    with otel_genai.inference("m", provider="p") as call:
        pass
    otel_genai.evaluate("x", score=0.2, of=call)
    assert [one["exemplars"] for one in seen.metrics[SCORES]] == [1]


def test_threads_may_evaluate_at_once(seen):
    """No evaluation is lost."""
    threads = [
        threading.Thread(target=lambda: [otel_genai.feedback("up", of=PARENT) for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert points(seen, COUNTS)[0][0] == points(seen, SCORES)[0][0] == len(seen.events) == 200


async def _asked(client):
    await ask(client)
    return otel_genai.reference()


def test_tasks_know_their_own_answers(seen):
    """Two that run at once do not take each other's."""

    async def both():
        return await asyncio.gather(_asked(AsyncClient()), _asked(AsyncClient()))

    references = asyncio.run(both())
    assert {one.split("-")[2] for one in references} == {
        f"{one.context.span_id:016x}" for one in seen.finished
    }


@pytest.mark.parametrize(
    "part",
    ["_target", "_latest", "_read", "Target.__init__", "Evaluation.__init__", "Evaluation.done", "Gate"],
)
def test_no_failure_of_ours_reaches_the_caller(lenient, monkeypatch, part):
    """Whatever breaks within: it is counted, and the program goes on."""

    def breaks(*_, **__):
        raise RuntimeError("made up")

    owner, _, name = f"_evaluation.{part}".rpartition(".")
    monkeypatch.setattr(f"otel_genai.{owner}.{name}", breaks)
    Client().chat()
    reference = otel_genai.reference()
    otel_genai.feedback("up", of=reference or PARENT)
    assert len(points(lenient, s.INTERNAL_ERRORS.name)) == 1
