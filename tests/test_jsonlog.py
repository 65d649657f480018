"""Logs as JSON lines, and their summary: whose each line is, one for each call, and no content."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest
from opentelemetry import trace

import otel_genai
import toy
from otel_genai import _report, cli, jsonlog
from otel_genai.testing import capture
from toy import Client


@pytest.fixture
def lines():
    """Give what was logged, as the formatter writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(jsonlog.JsonFormatter())
    logger = logging.getLogger("tests.jsonlog")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)


@pytest.fixture
def logger():
    """Give the logger that the lines come from."""
    return logging.getLogger("tests.jsonlog")


def test_a_line_says_whose_it_is(lines, logger):
    """Trace, span, what `context()` says, and what the program adds."""
    with (
        capture(toy.PROVIDER),
        otel_genai.context(conversation_id="c-1", user="u-7"),
        otel_genai.workflow("answer"),
    ):
        span = trace.get_current_span().get_span_context()
        logger.info("found %d", 3, extra={"shelf": "b"})
    [line] = lines()
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "tests.jsonlog",
        "message": "found 3",
        "trace_id": f"{span.trace_id:032x}",
        "span_id": f"{span.span_id:016x}",
        "gen_ai.conversation.id": "c-1",
        "user.id": "u-7",
        "shelf": "b",
    }


def test_a_line_outside_of_everything_is_plain(lines, logger):
    """Nothing is made up; exceptions and stacks are text; what is no JSON is shown as Python does."""
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logger.exception("no", stack_info=True, extra={"odd": {1}})
    [line] = lines()
    assert line["exception"].splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert line["stack"].startswith("Stack")
    assert line["odd"] == "{1}"
    assert {"trace_id", "span_id"} & line.keys() == set()


def test_each_call_has_its_line(lines, logger):
    """The span's attributes and duration, no content; failures are warnings; others' spans have none."""
    with capture(toy.PROVIDER, capture="SPAN_ONLY") as seen:
        seen.tracer_provider.add_span_processor(jsonlog.CallLog(logger))
        Client().chat(model="toy-1", messages=["marmalade"])
        with pytest.raises(ValueError, match="no"), otel_genai.tool("search"):
            raise ValueError("no")
        seen.tracer_provider.get_tracer("others").start_span("theirs").end()
        chat, tool, _ = seen.finished
    first, second = lines()
    assert (first["level"], second["level"]) == ("INFO", "WARNING")
    assert (first["trace_id"], first["span_id"]) == (
        f"{chat.context.trace_id:032x}",
        f"{chat.context.span_id:016x}",
    )
    assert first["gen_ai.request.model"] == "toy-1"
    assert first["duration"] == pytest.approx((chat.end_time - chat.start_time) / 1e9)
    assert "gen_ai.input.messages" in chat.attributes
    assert "marmalade" not in str(first)
    assert second["error.type"] == "ValueError"
    assert second["message"].startswith("execute_tool search: ValueError, ")
    assert tool.name == "execute_tool search"


def test_start_needs_an_sdk():
    """Without one no call has a span, nor a line: that is said."""
    with pytest.raises(RuntimeError, match="configure"):
        jsonlog.start()


def test_a_program_logs_to_a_file_and_the_report_reads_it(tmp_path, monkeypatch, capsys):
    """From `start()` to `otel-genai report`."""
    path = tmp_path / "app.log"
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    with capture(toy.PROVIDER) as seen:
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: seen.tracer_provider)
        try:
            jsonlog.start(path)
            with otel_genai.context(team="search"):
                Client().chat(model="toy-1")
        finally:
            [ours] = [handler for handler in root.handlers if handler not in handlers]
            root.removeHandler(ours)
            ours.close()
            root.setLevel(level)
    assert cli.main(["report", str(path), "--by", "team", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["groups"]) == ["search"]
    assert report["groups"]["search"]["tokens"] == {"in": 5, "out": 7}
    monkeypatch.setattr(sys, "stdin", io.StringIO(path.read_text()))
    assert cli.main(["report", "-"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("1 call in 1 trace,")
    assert "chat toy toy-1" in shown


def call(seconds, **more):
    """Write a call's line."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "time": "2026-01-01T00:00:00.000+00:00",
        "trace_id": "t",
        "duration": seconds,
    }
    return json.dumps({**attributes, **{key.replace("__", "."): value for key, value in more.items()}})


TOKENS = {
    "gen_ai__usage__input_tokens": 10,
    "gen_ai__usage__output_tokens": 5,
    "gen_ai__usage__cost__amount": 0.5,
}


def test_a_report_adds_up():
    """Calls, latency, tokens, cost, what failed and what stands out; an agent's sums count once."""
    lines = [call(1 + n / 100, **TOKENS) for n in range(9)]
    lines.append(call(60.0, trace_id="slow", gen_ai__conversation__id="c-9", **TOKENS))
    lines.append(call(1.0, error__type="rate_limit_exceeded", otel_genai__outcome="failed"))
    lines.append(call(70.0, gen_ai__operation__name="invoke_agent", gen_ai__agent__name="a", **TOKENS))
    lines.append(json.dumps({"message": "hello", "level": "INFO"}))
    lines += ["no json", "", "[1]"]
    report = _report.read(lines)
    assert (report.calls, report.unread, report.unpriced, report.traces) == (12, 2, 0, 2)
    chat, agent = report.groups["chat openai m"], report.groups["invoke_agent openai m"]
    assert (chat.calls, chat.outcomes, chat.tokens, chat.cost) == (
        11,
        {"failed": 1},
        {"in": 100, "out": 50},
        5.0,
    )
    assert (chat.seconds["p50"], chat.seconds["max"]) == (pytest.approx(1.04), 60.0)
    assert (agent.tokens, agent.cost) == ({"in": None, "out": None}, None)
    assert report.errors == {"rate_limit_exceeded": 1}
    [outlier] = report.outliers
    assert (outlier.what, outlier.trace_id, outlier.conversation) == ("seconds", "slow", "c-9")
    assert outlier.times == pytest.approx(60 / 1.04)


def test_a_report_tells_scores_and_what_has_no_price():
    """Evaluations have lines of their own; tokens without a cost are counted."""
    score = {"gen_ai.evaluation.name": "helpful", "duration": 0.0}
    lines = [
        json.dumps({**score, "gen_ai.evaluation.score.value": 1.0, "gen_ai.evaluation.score.label": "yes"}),
        json.dumps({**score, "gen_ai.evaluation.score.value": 0.0, "gen_ai.evaluation.score.label": "no"}),
        call(1.0, gen_ai__usage__input_tokens=3),
    ]
    report = _report.read(lines)
    assert report.scores == {"helpful": {"results": 2, "mean": 0.5, "labels": {"yes": 1, "no": 1}}}
    assert report.unpriced == 1


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (1, ["1 call in 1 trace,", "1 call of a model has tokens, but no price on its line."]),
        (2, ["2 calls in 1 trace,", "2 calls of models have tokens, but no price on their lines."]),
        (1, ["\n1 line is no JSON and was left out."]),
        (2, ["2 lines are no JSON and were left out."]),
    ],
)
def test_a_report_says_one_and_more(tmp_path, capsys, times, said):
    """A price can be unknown, or known too late for the line: what is said holds for both."""
    path = tmp_path / "app.log"
    path.write_text(f"{call(1.0, gen_ai__usage__input_tokens=3)}\nno json\n" * times)
    assert cli.main(["report", str(path)]) == 0
    shown = capsys.readouterr().out
    assert [words for words in said if words not in shown] == []


def test_a_report_of_nothing(tmp_path, capsys):
    """An empty file has no calls; one that is not there is said to be so."""
    empty = tmp_path / "empty.log"
    empty.touch()
    assert cli.main(["report", str(empty)]) == 0
    assert capsys.readouterr().out == "0 calls in 0 traces\n"
    assert cli.main(["report", str(tmp_path / "none.log")]) == 2
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--json"]])
@pytest.mark.parametrize("line", ["INFO: started", '{"level": "info", "msg": "started"}', "[1]"])
def test_a_report_of_another_log_says_which_one_to_give(tmp_path, capsys, line, option):
    """It would be of no call, and all the same a success."""
    path = tmp_path / "other.log"
    path.write_text(f"{line}\n\n" * 15)
    assert cli.main(["report", str(path), *option]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    for words in (str(path), "none of its lines (15)", 'otel_genai.jsonlog.start("calls.log")'):
        assert words in shown.err


def test_a_log_without_calls_is_no_other_log(tmp_path, capsys):
    """The program has called no model yet."""
    path = tmp_path / "app.log"
    record = logging.makeLogRecord({"msg": "started", "name": "app", "levelname": "INFO"})
    path.write_text(f"Uvicorn running\n{jsonlog.JsonFormatter().format(record)}\n")
    assert cli.main(["report", str(path)]) == 0
    assert capsys.readouterr().out.startswith("0 calls in 0 traces\n")


def test_the_command_knows_every_grouping():
    """The parser's list is that of the report."""
    assert tuple(_report.GROUPS) == cli.GROUPS
