"""How good answers are: what users and judges say, by prompt version, model and experiment."""

from __future__ import annotations

from boards import promql as q
from boards.panels import COUNT, DOLLARS, SHARE, Column, Query, above, below, graph, linked, stat, table

CHOSEN = f'{q.SERVICE}, gen_ai_request_model=~"$model"'
RATED = f'{CHOSEN}, gen_ai_evaluation_name="user_feedback"'
FAILED = f'{CHOSEN}, error_type!=""'
EVALUATION, PROMPT = "gen_ai_evaluation_name", "gen_ai_prompt_name, gen_ai_prompt_version"
COUNTED = "otel_genai_evaluations_total"


def _mean(chosen: str, by: str = "") -> str:
    """Give the mean score of the hour before each point."""
    total, many = (q.increase(f"otel_genai_evaluation_score_{part}", chosen, by) for part in ("sum", "count"))
    return f"{total} / ({many} > 0)"


def _by(by: str) -> str:
    return _mean(CHOSEN, f"{EVALUATION}, {by}")


LABELS = {
    "gen_ai_evaluation_name": "Evaluation",
    "gen_ai_prompt_name": "Prompt",
    "gen_ai_prompt_version": "Version",
    "gen_ai_request_model": "Model",
}
PANELS = (
    stat(
        "Evaluations",
        "Of users and judges, in the last hour.",
        COUNT,
        q.NO_SCORES,
        Query(q.increase(COUNTED, CHOSEN)),
    ),
    stat(
        "User feedback",
        "Mean score of the last hour: 1 where every thumb is up.",
        SHARE,
        q.NO_SCORES,
        Query(_mean(RATED)),
        steps=below(0.5, 0.8),
    ),
    stat(
        "Failed",
        "Share of evaluations that failed: the judge's trouble, not the answer's.",
        SHARE,
        q.NO_SCORES,
        Query(q.ratio(q.increase(COUNTED, FAILED), q.increase(COUNTED, CHOSEN))),
        steps=above(0.05, 0.25),
    ),
    stat(
        "Not judged",
        "Judgements of the last hour that were dropped: over a judge's budget, or too many waited.",
        COUNT,
        "Every answer that a judge was to judge was judged",
        Query(q.increase("otel_genai_judgements_dropped_total", q.SERVICE)),
    ),
    stat(
        "Judges' cost",
        "US dollars of the last hour for calls of models that judges make; in no other panel of costs.",
        DOLLARS,
        q.NO_JUDGES,
        Query(q.increase("otel_genai_judge_cost_total", q.SERVICE)),
    ),
    stat(
        "Evaluated",
        "Evaluations for each call of a model, in the last hour.",
        SHARE,
        q.NO_SCORES,
        Query(f"{q.increase(COUNTED, CHOSEN)} / ({q.increase('otel_genai_calls_total', CHOSEN)} > 0)"),
    ),
    graph(
        "Score by prompt version",
        "Mean score of the hour before each point.",
        SHARE,
        q.NO_SCORES,
        Query(_by(PROMPT), "{{gen_ai_evaluation_name}}, {{gen_ai_prompt_name}} {{gen_ai_prompt_version}}"),
    ),
    graph(
        "Score by model",
        "Mean score of the hour before each point.",
        SHARE,
        q.NO_SCORES,
        Query(_by("gen_ai_request_model"), "{{gen_ai_evaluation_name}}, {{gen_ai_request_model}}"),
    ),
    graph(
        "Score by experiment",
        "Mean score of the hour before each point; context(experiment=...) names the variant.",
        SHARE,
        q.NO_SCORES,
        Query(_by("otel_genai_experiment"), "{{gen_ai_evaluation_name}}, {{otel_genai_experiment}}"),
    ),
    graph(
        "Lowest tenth",
        "A tenth of the scores of 5 minutes are below. A diamond is one answer: click it for its trace.",
        SHARE,
        q.NO_SCORES,
        Query(
            f"histogram_quantile(0.1, sum by (le, {EVALUATION}) "
            f"(rate(otel_genai_evaluation_score_bucket{{{CHOSEN}}}[5m])))",
            "{{gen_ai_evaluation_name}}",
            exemplars=True,
        ),
    ),
    graph(
        "Evaluations by label",
        "In the hour before each point.",
        COUNT,
        q.NO_SCORES,
        Query(
            q.increase(COUNTED, CHOSEN, f"{EVALUATION}, gen_ai_evaluation_score_label"),
            "{{gen_ai_evaluation_name}}, {{gen_ai_evaluation_score_label}}",
        ),
        stack=True,
    ),
    graph(
        "Dropped judgements",
        "In the hour before each point, by what was in the way: the judge's budget, or the queue.",
        COUNT,
        "Every answer that a judge was to judge was judged",
        Query(
            q.increase("otel_genai_judgements_dropped_total", q.SERVICE, f"{EVALUATION}, error_type"),
            "{{gen_ai_evaluation_name}}, {{error_type}}",
        ),
        stack=True,
    ),
    table(
        "Prompts and models",
        "The last hour.",
        q.NO_SCORES,
        LABELS,
        (
            Column("Mean score", _mean(CHOSEN, ", ".join(LABELS)), SHARE),
            Column(
                "Scores", q.increase("otel_genai_evaluation_score_count", CHOSEN, ", ".join(LABELS)), COUNT
            ),
        ),
        overrides=(linked("Model", "Latency of this model", q.MODEL_LINK),),
    ),
)
