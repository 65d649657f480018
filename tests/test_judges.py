"""Judges: in the background, of a share, within a budget; never the caller's trouble, and nothing leaks."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import openai
import pytest

import otel_genai
import toy
from child import program
from otel_genai import _judging, _telemetry, judges, testing
from otel_genai import semconv as s
from otel_genai.judges import Answer, Verdict
from toy import CLIENTS, Client, ask, close, drain
from ways import Wire, client

SCORES, COUNTS = s.EVALUATION_SCORES.name, s.EVALUATIONS.name
DROPPED = s.JUDGEMENTS_DROPPED.name
CANARY = "canary-4711"
PRICES = [{"model": "*", "input": 1, "output": 2}]


def always(answer: Answer) -> float:
    """Find everything good."""
    return 1.0


class Keeper:
    """A judge that keeps what it is given."""

    name = "keeper"

    def __init__(self, verdict: Any = 1.0) -> None:
        """Say the same of everything."""
        self.given: list[Answer] = []
        self._verdict = verdict

    def __call__(self, answer: Answer) -> Any:
        """Keep the answer; what is to be said may be an error."""
        self.given.append(answer)
        if isinstance(self._verdict, BaseException):
            raise self._verdict
        return self._verdict


def answered(text, *, question="Why?", tools=False, **more):
    """Make an answer by hand."""
    parts = [{"type": "text", "content": text}] if text else []
    parts += [{"type": "tool_call", "id": "1", "name": "look", "arguments": {}}] if tools else []
    asked = [{"role": "user", "parts": [{"type": "text", "content": question}]}]
    return Answer({}, (), asked, [{"role": "assistant", "parts": parts}], **more)


def points(seen, metric):
    """Give what a metric says: its value or count, and what of."""
    return [(one.get("value", one.get("count")), one["attributes"]) for one in seen.metrics.get(metric, [])]


def total(seen, metric, **chosen):
    """Add up what a metric says of some attributes."""
    wanted = {key: chosen[key] for key in chosen}
    return sum(
        value
        for value, attributes in points(seen, metric)
        if all(attributes.get(getattr(s, key)) == value for key, value in wanted.items())
    )


# --- At work ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("toy_client", CLIENTS, ids=["sync", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_every_answer_is_judged_beside_it(toy_client, stream):
    """Whatever way it came; the verdict is an evaluation like any other."""
    keeper = Keeper(Verdict(0.5, "fair", CANARY))

    async def call():
        with otel_genai.context(prompt="sky@3", user="u-7"):
            answer = await ask(toy_client(), stream=stream)
            if stream:
                await drain(answer)

    with testing.capture(toy.PROVIDER, judges=[keeper]) as seen:
        asyncio.run(call())
        chat, evaluated = sorted(seen.finished, key=lambda span: span.name)  # either may end first
        (event,) = seen.events
        assert (evaluated.name, evaluated.parent.span_id) == ("evaluate keeper", chat.context.span_id)
        assert (event["name"], event["span_id"]) == (s.EVENT_EVALUATION, chat.context.span_id)
        assert event["attributes"][s.PROMPT_NAME] == "sky"
        assert event["attributes"][s.RESPONSE_ID] == "a-1"
        (scored,) = points(seen, SCORES)
        assert scored == (
            1,
            {
                s.EVALUATION_NAME: "keeper",
                s.REQUEST_MODEL: "toy-1",
                s.PROMPT_NAME: "sky",
                s.PROMPT_VERSION: "3",
            },
        )
    (given,) = keeper.given
    assert (given.question, given.text) == ("say hello", "hello there")
    assert (given.attributes[s.REQUEST_MODEL], given.attributes[s.USER_ID]) == ("toy-1", "u-7")


def test_blocks_by_hand_and_real_sdks_are_judged_alike():
    """OpenAI's over a wire, and an inference that no patch sees."""
    keeper = Keeper()
    with testing.capture("openai", judges=[keeper]) as seen:
        body = [{"role": "user", "content": "When?"}]
        client(Wire(["chat"]), openai.OpenAI).chat.completions.create(model="gpt-4.1-mini", messages=body)
        with otel_genai.inference("llama-3", provider="vllm", input="Who?") as call:
            call.answer("nobody")
        assert total(seen, SCORES) == 2
    assert [(one.question, one.text) for one in keeper.given] == [
        ("When?", "The lighthouse opens at nine."),
        ("Who?", "nobody"),
    ]


def test_only_answers_are_judged():
    """Not what failed, was stopped or is no inference; a call that only asks for tools has no text."""
    keeper = Keeper()

    def refuse(body):
        raise RuntimeError

    with testing.capture(toy.PROVIDER, judges=[keeper]) as seen:
        with pytest.raises(RuntimeError):
            Client(refuse).chat()
        stream = Client().chat(stream=True)
        next(stream)
        asyncio.run(close(stream))
        Client().embed()
        with otel_genai.tool("look") as run:
            run.result("x")
        with otel_genai.inference("m", provider="p"):
            pass
        assert seen.metrics.keys() & {SCORES, COUNTS, DROPPED} == set()
    assert keeper.given == []


def test_an_inference_within_another_is_judged_once():
    """A gateway's call and the client's beneath are one answer."""
    keeper = Keeper()
    with testing.capture(toy.PROVIDER, judges=[keeper]) as seen:
        toy.Gateway(Client()).request({"model": "toy-1", "prompt": "say hello"})
        assert total(seen, SCORES) == 1
    assert [one.text for one in keeper.given] == ["hello there"]


@pytest.mark.parametrize(
    ("said", "score", "label"),
    [
        (0.25, 0.25, None),
        (True, 1.0, None),
        ("fine", None, "fine"),
        (Verdict(0.5, "fair"), 0.5, "fair"),
        (None, "nothing", None),
    ],
)
def test_a_judge_may_say_it_in_short(said, score, label):
    """A number, a word, or nothing at all."""
    with testing.capture(toy.PROVIDER, judges=[Keeper(said)]) as seen:
        Client().chat()
        events = [one["attributes"] for one in seen.events]
        assert len(seen.spans) == 1 + len(events)
    if score == "nothing":
        assert events == []
    else:
        assert [(one.get(s.EVALUATION_SCORE_VALUE), one.get(s.EVALUATION_SCORE_LABEL)) for one in events] == [
            (score, label)
        ]


def test_a_judge_may_be_a_coroutine_function():
    """It is awaited where nobody waits for it, while a loop of the program's own runs, too."""

    async def later(answer):
        await asyncio.sleep(0)
        return 0.75

    async def main():
        await ask(toy.AsyncClient())

    with testing.capture(toy.PROVIDER, judges=[later]) as seen:
        asyncio.run(main())
        assert points(seen, SCORES)[0][1][s.EVALUATION_NAME] == "later"


def test_team_and_tenant_are_on_counters():
    """As the settings say, from the context of the call."""
    with testing.capture(toy.PROVIDER, judges=[always], metric_dimensions="team,app.tenant") as seen:
        with otel_genai.context(team="search", **{"app.tenant": "acme"}):
            Client().chat()
        ((_, counted),) = points(seen, COUNTS)
    assert (counted[s.TEAM], counted["app.tenant"]) == ("search", "acme")


# --- Nothing leaks ---------------------------------------------------------------------------------------

SECRET = {**toy.ANSWER, "text": CANARY}


def recorded(seen):
    """Write all that was recorded of calls, without evaluations."""
    spans = [one for one in seen.spans if not one["name"].startswith(s.EVALUATE)]
    events = [one["attributes"] for one in seen.events if one["name"] != s.EVENT_EVALUATION]
    return str([(one["name"], one["attributes"], one["events"]) for one in spans]), str(events)


@pytest.mark.parametrize("capture", ["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"])
@pytest.mark.parametrize("narrowed", [None, "NO_CONTENT", "SPAN_ONLY"])
def test_what_a_judge_reads_is_recorded_as_without_it(capture, narrowed):
    """Its reading changes nothing of what leaves the process, wherever content may go."""
    found = []
    for judging in ([], [Keeper(Verdict(1, explanation=f"it says {CANARY}"))]):
        with testing.capture(toy.PROVIDER, capture=capture, judges=judging) as seen:
            with otel_genai.context(capture=narrowed, prompt_variables={"v": CANARY}):
                Client(lambda _: SECRET).chat(prompt=CANARY)
                with otel_genai.inference("m", provider="p", input=CANARY) as call:
                    call.answer(CANARY)
            found.append([CANARY in said for said in recorded(seen)])
            told = CANARY in str([one for one in seen.spans if one["name"].startswith(s.EVALUATE)])
            events = CANARY in str([one for one in seen.events if one["name"] == s.EVENT_EVALUATION])
            assert CANARY not in str(seen.metrics)
    assert found[0] == found[1]
    assert [told, events] == found[1]  # explanations go where content goes
    assert len(judging[0].given) == 2


@pytest.mark.parametrize("capture", ["SPAN_ONLY", "SPAN_AND_EVENT"])
def test_what_is_kept_back_within_is_not_recorded_outside(capture):
    """An inner call that may say less says nothing to the judge either, as both are one."""
    keeper = Keeper()
    with testing.capture(toy.PROVIDER, capture=capture, judges=[keeper]) as seen:
        with (
            otel_genai.inference("toy-1", provider="toy"),
            otel_genai.context(capture="NO_CONTENT"),
        ):
            Client(lambda _: SECRET).chat(prompt=CANARY)
        assert CANARY not in str((seen.spans, seen.events))


def test_content_of_failures_alone_is_of_failures_alone():
    """A judge reads what is completed; nothing of it is recorded where only failures are."""
    keeper = Keeper()
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY", capture_on_error=True, judges=[keeper]) as seen:
        Client(lambda _: SECRET).chat()
        assert CANARY not in str((seen.spans, seen.events))
    assert keeper.given[0].text == CANARY


# --- Never the caller's trouble --------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError(CANARY), SystemExit(CANARY), RecursionError()])
def test_a_judge_s_failure_is_counted_and_its_own(caplog, error):
    """The caller has the answer, the other judges have their say, and the log repeats no content."""
    with testing.capture(toy.PROVIDER, judges=[Keeper(error), always]) as seen:
        for _ in range(2):
            assert Client().chat().text == "hello there"
        kind = type(error).__name__
        assert total(seen, COUNTS, EVALUATION_NAME="keeper", ERROR_TYPE=kind) == 2
        assert total(seen, SCORES, EVALUATION_NAME="always") == 2
        assert s.INTERNAL_ERRORS.name not in seen.metrics
        assert CANARY not in str((seen.spans, seen.events))
    assert [one.getMessage() for one in caplog.records] == [
        f"the judge keeper failed ({kind}); its failures are counted in otel_genai.evaluations"
    ]


@pytest.mark.parametrize("said", [Verdict(float("nan")), Verdict("0.5"), object(), [1]])
def test_a_bad_verdict_is_the_judge_s_failure(said):
    """What is no score is no score of ours."""
    with testing.capture(toy.PROVIDER, judges=[Keeper(said)]) as seen:
        Client().chat()
        assert total(seen, COUNTS, ERROR_TYPE="TypeError") == 1
        assert SCORES not in seen.metrics


def test_a_slow_judge_keeps_nobody_waiting():
    """Calls come back while it thinks; what is more than may wait is dropped, and counted."""
    thinking, goes_on = threading.Event(), threading.Event()

    def slow(answer):
        thinking.set()
        assert goes_on.wait(60)
        return 1.0

    with testing.capture(toy.PROVIDER, judges=[slow], judge_budget=1000) as seen:
        Client().chat()
        assert thinking.wait(60)
        for _ in range(_judging.WAITING + 7):
            Client().chat()
        assert not goes_on.is_set()
        goes_on.set()
        assert total(seen, SCORES) == 1 + _judging.WAITING
        assert points(seen, DROPPED) == [(7, {s.EVALUATION_NAME: "slow", s.ERROR_TYPE: "queue"})]


def test_every_judge_has_its_budget(monkeypatch):
    """Judgements of a minute; then there are new ones."""
    clock = [100.0]
    monkeypatch.setattr(_judging, "monotonic", lambda: clock[0])
    with testing.capture(toy.PROVIDER, judges=[always, Keeper()], judge_budget=3) as seen:
        for _ in range(5):
            Client().chat()
        assert total(seen, SCORES, EVALUATION_NAME="always") == 3
        assert total(seen, SCORES, EVALUATION_NAME="keeper") == 3
        assert total(seen, DROPPED, EVALUATION_NAME="always", ERROR_TYPE="budget") == 2
        clock[0] += 60
        Client().chat()
        assert total(seen, SCORES, EVALUATION_NAME="always") == 4


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_share_of_the_traces_is_judged(share):
    """The same traces in every process: by their ids, as content is sampled."""
    with testing.capture(toy.PROVIDER, judges=[always], judge_sample=share, judge_budget=1000) as seen:
        for _ in range(40):
            Client().chat()
        judged = {one.context.trace_id for one in seen.finished if one.name == "evaluate always"}
        traces = {one.context.trace_id for one in seen.finished}
    assert judged == {one for one in traces if one % 2**56 < share * 2**56}


def test_a_trace_is_judged_as_a_whole():
    """All of its answers, or none."""
    with testing.capture(toy.PROVIDER, judges=[always], judge_sample=0.5, judge_budget=1000) as seen:
        for _ in range(20):
            with otel_genai.workflow("answer"):
                Client().chat()
                Client().chat()
        names = [(one.context.trace_id, one.name) for one in seen.finished]
    assert {names.count((trace_id, "evaluate always")) for trace_id, _ in names} <= {0, 2}


def test_our_own_failures_stay_with_us(monkeypatch, caplog):
    """What goes wrong around a judge is counted, and the thread goes on."""
    monkeypatch.delenv(_telemetry.STRICT)

    def breaks(*_):
        raise RuntimeError("made up")

    with testing.capture(toy.PROVIDER, judges=[always]) as seen:
        with monkeypatch.context() as patch:
            patch.setattr(_judging.Judging, "_may", breaks)
            Client().chat()
            assert points(seen, s.INTERNAL_ERRORS.name)[0][0] == 1
        Client().chat()
        assert total(seen, SCORES) == 1
    assert "otel-genai failed on judges evaluate" in caplog.text


@pytest.mark.parametrize("part", ["_answers.judged", "_answers.ended", "wants", "take", "_keep", "_wake"])
def test_no_failure_of_ours_reaches_the_caller(monkeypatch, part):
    """Whatever breaks around a call, the caller has the answer."""
    monkeypatch.delenv(_telemetry.STRICT)

    def breaks(*_):
        raise RuntimeError("made up")

    with testing.capture(toy.PROVIDER, judges=["context", always]) as seen:
        with monkeypatch.context() as patch:
            where = part if part.startswith("_answers") else f"_judging.Judging.{part}"
            patch.setattr(f"otel_genai.{where}", breaks)
            with otel_genai.retrieval("docs") as search:
                search.documents([{"content": "x"}])
            assert Client().chat().text == "hello there"
            assert "".join(event.text or "" for event in Client().chat(stream=True)) == "hello there"
        assert points(seen, s.INTERNAL_ERRORS.name)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_judges_its_own_answers():
    """What waited is the parent's; what comes after is the child's."""
    printed = program(
        """
        import os, threading, warnings, toy
        warnings.simplefilter("ignore")
        from toy import Client
        from otel_genai import testing
        goes_on = threading.Event()
        judged, parent = [], os.getpid()
        def judge(answer):
            if os.getpid() == parent:  # a lock may be held where a process is forked
                goes_on.wait(60)
            judged.append(os.getpid())
            return 1.0
        with testing.capture(toy.PROVIDER, judges=[judge]) as seen:
            Client().chat(); Client().chat()
            child = os.fork()
            if child:
                goes_on.set()
            else:
                Client().chat()
            seen.metrics
            os.write(1, f"{'parent' if child else 'child'} {len(judged)}\\n".encode())
            if child:
                os.waitpid(child, 0)
            else:
                os._exit(0)
        """
    ).stdout
    assert sorted(printed.split("\n")) == ["", "child 1", "parent 2"]


def test_what_waits_at_the_program_s_end_is_judged():
    """Before the exporters are shut down."""
    printed = program(
        """
        import os, toy, otel_genai
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        class Printer:
            def export(self, spans):
                os.write(1, f"{spans[0].name}\\n".encode())  # at once: two threads write
            def shutdown(self): os.write(1, b"shut down\\n")
            def force_flush(self, timeout_millis=0): return True
        trace.set_tracer_provider(TracerProvider())
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(Printer()))
        def good(answer): return 1.0
        otel_genai.instrument(toy.PROVIDER, judges=[good])
        toy.Client().chat()
        """
    ).stdout
    *ended, last = printed.splitlines()
    assert (sorted(ended), last) == (["chat toy-1", "evaluate good"], "shut down")


def test_a_judge_that_flushes_does_not_wait_for_itself():
    """It runs where judges are waited for."""
    done = []

    def flushing(answer):
        _telemetry.settle(60)
        done.append(answer)

    with testing.capture(toy.PROVIDER, judges=[flushing]) as seen:
        Client().chat()
        assert seen.events == []
    assert len(done) == 1


def test_what_nobody_wants_is_not_imported():
    """A program without judges has none."""
    printed = program(
        """
        import sys, toy, otel_genai
        otel_genai.instrument(toy.PROVIDER)
        toy.Client().chat()
        print([name for name in sys.modules if "judg" in name])
        """
    ).stdout
    assert printed == "[]\n"


def test_judges_come_from_the_environment():
    """The built-in ones, by their names."""
    printed = program(
        """
        import toy, otel_genai
        from otel_genai import testing
        with testing.capture(toy.PROVIDER) as seen:
            toy.Client().chat()
            print(*sorted(point["attributes"]["gen_ai.evaluation.name"]
                          for point in seen.metrics["otel_genai.evaluations"]))
        """,
        OTEL_GENAI_JUDGES="length, refusal,json,context",
    ).stdout
    assert printed == "length refusal\n"


# --- The built-in ones -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judge", "answer", "said"),
    [
        (judges.length(), answered("so it is"), (1.0, "fits")),
        (judges.length(most=2), answered("so it is, or not"), (0.4, "long")),
        (judges.length(), answered(" "), (0.0, "empty")),
        (judges.length(), answered(""), (0.0, "empty")),
        (judges.length(), answered("", tools=True), None),
        (judges.refusal(), answered("The sky is blue."), (1.0, "answered")),
        (judges.refusal(), answered("I'm sorry, but I can't help with that."), (0.0, "refused")),
        (judges.refusal(), answered("I can\u2019t assist with this."), (0.0, "refused")),
        (judges.refusal(), answered("As an AI language model, I ..."), (0.0, "refused")),
        (judges.refusal(), answered("Unfortunately, I cannot say."), (0.0, "refused")),
        (judges.refusal(), answered("I'm sorry to hear that. Try to restart it."), (1.0, "answered")),
        (judges.refusal(), answered("They said: " + "x " * 200 + "I cannot do that."), (1.0, "answered")),
        (judges.refusal(), answered("", tools=True), None),
        (judges.valid_json(always=True), answered('{"a": [1]}'), (1.0, "valid")),
        (judges.valid_json(always=True), answered('```json\n{"a": 1}\n```'), (0.0, "invalid")),
        (judges.valid_json(always=True), answered("[" * 10000), (0.0, "invalid")),
        (judges.valid_json(), answered("no"), None),
        (judges.context_utilisation(["blue light", "scatters"]), answered("Light is blue"), (2 / 3, None)),
        (judges.context_utilisation([{"text": "sky"}, {"content": "blue"}]), answered("Blue!"), (1.0, None)),
        (judges.context_utilisation(), answered("Blue!", documents=({"content": "blue"},)), (1.0, None)),
        (judges.context_utilisation(), answered("Blue!"), None),
        (judges.context_utilisation(["blue"]), answered(""), None),
    ],
)
def test_what_the_built_in_judges_say(judge, answer, said):
    """Of answers of many kinds."""
    verdict = judge(answer)
    assert (verdict and (pytest.approx(verdict.score), verdict.label)) == said


def test_json_is_judged_where_it_was_asked_for():
    """The request says so."""
    with testing.capture(toy.PROVIDER, judges="json") as seen:
        Client().chat(format={"type": "json"})
        Client().chat()
        assert points(seen, COUNTS)[0][0] == total(seen, COUNTS, EVALUATION_SCORE_LABEL="invalid") == 1


@pytest.mark.parametrize("capture", ["NO_CONTENT", "SPAN_ONLY"])
def test_documents_are_those_retrieved_in_the_trace(capture):
    """With content off, too; those of another trace are not."""
    keeper = Keeper()
    with testing.capture(toy.PROVIDER, capture=capture, judges=["context", keeper]) as seen:
        with otel_genai.workflow("answer"):
            for text in ("hello world", "there"):
                with otel_genai.retrieval("docs") as search:
                    search.documents([{"id": CANARY, "score": 0.9, "content": text}])
            Client().chat()
        with otel_genai.workflow("another"):
            Client().chat()
        (scored,) = (one for one in seen.events if one["attributes"][s.EVALUATION_NAME] != "keeper")
        assert scored["attributes"][s.EVALUATION_SCORE_VALUE] == pytest.approx(2 / 3)
        assert (CANARY in str(seen.spans)) == (capture == "SPAN_ONLY")
    assert [[one["content"] for one in given.documents] for given in keeper.given] == [
        ["hello world", "there"],
        [],
    ]


def test_documents_of_many_threads_are_kept_at_once(monkeypatch):
    """However many search at the same time."""
    monkeypatch.setattr(_judging, "TRACES", 5)

    def search():
        for _ in range(200):
            with otel_genai.retrieval("docs") as found:
                found.documents([{"id": "1"}])

    with testing.capture(judges="context") as seen:
        threads = [threading.Thread(target=search) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen.finished) == 800
        assert s.INTERNAL_ERRORS.name not in seen.metrics
        assert len(_telemetry.active().judging._documents) == 5


def test_documents_are_not_kept_for_ever(monkeypatch):
    """Of a number of traces, and a number of each."""
    monkeypatch.setattr(_judging, "TRACES", 2)
    monkeypatch.setattr(_judging, "DOCUMENTS", 3)
    with testing.capture(judges="context"):
        for _ in range(5):
            with otel_genai.retrieval("docs") as search:
                search.documents([{"id": str(number)} for number in range(5)])
        kept = _telemetry.active().judging._documents
        assert [len(one) for one in kept.values()] == [3, 3]


# --- A model as a judge ----------------------------------------------------------------------------------


def test_a_model_s_own_calls_are_kept_apart():
    """Below the evaluation, marked, judged by nobody, and no part of what the program spends."""
    replies = iter(
        [toy.ANSWER, {**toy.ANSWER, "text": '{"score": 0.5, "label": "fair", "explanation": "x"}'}]
    )
    serving = Client(lambda _: next(replies))
    judge = judges.llm(lambda prompt: serving.chat(model="toy-judge", prompt=prompt).text, name="helpful")
    settings = {"cost": None, "prices": PRICES, "cost_histogram": True, "semconv": "both"}
    with testing.capture(toy.PROVIDER, judges=[judge], **settings) as seen:
        serving.chat()
        spans = {one["name"]: one for one in seen.spans}
        assert spans["chat toy-judge"]["parent"] == "evaluate helpful"
        assert spans["chat toy-judge"]["attributes"][s.JUDGE] == "helpful"
        assert s.JUDGE not in spans["chat toy-1"]["attributes"]
        metrics = seen.metrics
    cost = (5 * 1 + 7 * 2) / 1e6
    for metric, key in ((s.COST, "value"), (s.OPERATION_COST, "sum"), (s.JUDGE_COST, "value")):
        (point,) = metrics[metric.name]
        assert point[key] == pytest.approx(cost)
        assert (s.JUDGE in point["attributes"]) == (metric is s.JUDGE_COST)
    for name in (s.CALLS.name, s.OPERATION_DURATION.name, s.TOKEN_USAGE.name, s.INFERENCE_DURATION.name):
        said = [(one["attributes"][s.REQUEST_MODEL], s.JUDGE in one["attributes"]) for one in metrics[name]]
        assert sorted(set(said)) == [("toy-1", False), ("toy-judge", True)]
    (score,) = metrics[SCORES]
    assert (score["sum"], score["attributes"][s.EVALUATION_NAME]) == (0.5, "helpful")


def test_openai_judges_openai():
    """Any SDK that is patched will do; the prompt has the question and the answer."""
    wire = Wire(["chat"])
    sdk = client(wire, openai.OpenAI)

    def asked(prompt):
        messages = [{"role": "user", "content": prompt}]
        answer = sdk.chat.completions.create(model="judge", messages=messages)
        return f'Sure: {{"score": 1, "explanation": {len(answer.choices[0].message.content)}}}'

    with testing.capture("openai", judges=[judges.llm(asked)]) as seen:
        sdk.chat.completions.create(model="gpt-4.1-mini", messages=[{"role": "user", "content": "When?"}])
        assert total(seen, SCORES, EVALUATION_NAME="helpfulness", REQUEST_MODEL="gpt-4.1-mini") == 1
    assert len(wire.requests) == 2
    assert b"<question>When?</question>" in wire.requests[1]["body"]
    assert b"<answer>The lighthouse opens at nine.</answer>" in wire.requests[1]["body"]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ('{"score": 0.5, "label": "fair", "explanation": "so"}', Verdict(0.5, "fair", "so")),
        ('Here you are:\n```json\n{"score": 1}\n```', Verdict(1)),
        ('{"label": "bad"}', Verdict(None, "bad")),
        ("0.7", Verdict(0.7)),
        ("I give it 1 of 1.", Verdict(1.0)),
        ('{"score": "high"}', ValueError),
        ('{"score": NaN}', ValueError),
        ("{not json}", ValueError),
        ("no idea", ValueError),
        (None, TypeError),
    ],
)
def test_a_model_s_reply_is_read_with_care(reply, said):
    """What says neither a score nor a label is the judge's failure."""
    judge = judges.llm(lambda _: reply)
    if isinstance(said, Verdict):
        assert judge(answered("so")) == said
    else:
        with pytest.raises(said):
            judge(answered("so"))


def test_a_model_may_be_asked_by_a_coroutine():
    """Its verdict is awaited."""

    async def asked(prompt):
        return "0.25"

    with testing.capture(toy.PROVIDER, judges=[judges.llm(asked)]) as seen:
        Client().chat()
        assert seen.metrics[SCORES][0]["sum"] == 0.25


def test_a_prompt_is_filled_in_once():
    """What an answer says of the prompt's own words is left as it is."""
    prompts = []
    judge = judges.llm(
        lambda prompt: prompts.append(prompt) or "1", prompt="{question}|{answer}|{documents}|{x}"
    )
    judge(answered("{question}", question="{answer}", documents=({"text": "d"}, {"content": "e"})))
    assert prompts == ["{answer}|{question}|d\n\ne|{x}"]
    assert judge(answered("", tools=True)) is None
    assert len(prompts) == 1


# --- Settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ("lenght", "'lenght' is no judge: give length, refusal, json, context or a function of an answer"),
        ([judges.llm], "'llm' is no judge"),
        ([Keeper], "'Keeper' is no judge"),
        (7, "'int' is no judge"),
        (
            [lambda answer: 1],
            "every judge needs a name of its own, as a function has, and '<lambda>' is none",
        ),
        ([always, always], "every judge needs a name of its own, as a function has, and 'always' is none"),
    ],
    ids=["a typo", "a maker of judges", "a class", "a number", "a lambda", "two of one name"],
)
def test_what_is_no_judge_is_said_at_once(given, accepted):
    """When the program starts, with what is one."""
    with pytest.raises(ValueError, match=accepted):
        otel_genai.Settings(judges=given)
