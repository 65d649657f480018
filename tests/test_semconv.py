"""The table of names against the conventions' own model, where that is at hand beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from otel_genai import semconv as s

MODELS = Path(__file__).parents[2] / "shared" / "semconv"
SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
CORE = {
    "error.type",
    "http.request.resend_count",
    "http.response.status_code",
    "exception.message",
    "exception.stacktrace",
    "exception.type",
    "server.address",
    "server.port",
    "session.id",
    "user.id",
}
"""Of the core conventions, which the model only refers to."""
ONLY_PUBLISHED = {
    "gen_ai.client.operation.time_per_output_chunk",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.token.usage",
    "gen_ai.token.type",
}
"""What the newest conventions have given up."""
PROPOSED = {
    "gen_ai.client.cost.usd",
    "gen_ai.client.operation.cost",
    "gen_ai.usage.cost.amount",
    "gen_ai.usage.cost.currency",
    "gen_ai.usage.cost.source",
}
"""What the conventions do not have yet."""
METRICS = [value for value in vars(s).values() if isinstance(value, s.Metric)] + list(
    s.USAGE_COUNTERS.values()
)
PROVIDERS = [
    "OPENAI",
    "AZURE_OPENAI",
    "AZURE_INFERENCE",
    "AWS_BEDROCK",
    "ANTHROPIC",
    "COHERE",
    "DEEPSEEK",
    "GCP_GEMINI",
    "GCP_VERTEX_AI",
    "GROQ",
    "IBM_WATSONX_AI",
    "MISTRAL_AI",
    "MOONSHOT_AI",
    "PERPLEXITY",
    "X_AI",
]
OPERATIONS = [
    "CHAT",
    "GENERATE_CONTENT",
    "TEXT_COMPLETION",
    "EMBEDDINGS",
    "RETRIEVAL",
    "INVOKE_AGENT",
    "EXECUTE_TOOL",
    "INVOKE_WORKFLOW",
]
ATTRIBUTES = {
    name: value
    for name, value in vars(s).items()
    if name.isupper() and isinstance(value, str) and "." in value
    if not name.startswith("EVENT_") and name not in PROVIDERS
}
BUCKETS = {
    "gen_ai.client.operation.cost": [tokens / 1e6 for tokens in TOKENS],
    "gen_ai.client.operation.duration": [*SECONDS, 163.84, 327.68],
    "gen_ai.client.inference.duration": [*SECONDS, 163.84, 327.68],
    "gen_ai.client.operation.time_to_first_chunk": SECONDS,
    "gen_ai.client.operation.time_per_output_chunk": SECONDS,
    "gen_ai.client.inference.time_to_first_chunk": SECONDS,
    "gen_ai.client.inference.time_per_output_chunk": SECONDS,
    "gen_ai.client.token.usage": TOKENS,
    "gen_ai.client.inference.operation.input_tokens": TOKENS,
    "gen_ai.client.inference.operation.output_tokens": TOKENS,
    "gen_ai.invoke_workflow.duration": [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200],
    "gen_ai.invoke_agent.duration": [
        0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6,
    ],
    "gen_ai.execute_tool.duration": SECONDS,
    "otel_genai.evaluation.score": [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
}  # fmt: skip


class Model:
    """The names of one state of the conventions."""

    def __init__(self, folder):
        """Read every file."""
        self.attributes, self.values, self.metrics, self.events, self.defined = set(), {}, {}, set(), {}
        for path in sorted(folder.rglob("*.yaml")):
            self._read(yaml.safe_load(path.read_text()))

    def _read(self, document):
        for attribute in document.get("attributes", ()):
            self._attribute(attribute)
        for metric in document.get("metrics", ()):
            self.metrics[metric["name"]] = metric
        for event in document.get("events", ()):
            self.events.add(event["name"])
        for group in document.get("groups", ()):
            for attribute in group.get("attributes", ()):
                self._attribute(attribute)
            if group["type"] == "metric":
                self.metrics[group["metric_name"]] = group
            if group["type"] == "event":
                self.events.add(group["name"])

    def _attribute(self, attribute):
        name = attribute.get("key") or attribute.get("id")
        if name is None:
            return
        self.attributes.add(name)
        kind = attribute.get("type")
        if isinstance(kind, dict):
            self.values[name] = {member["value"] for member in kind["members"]}


@pytest.fixture(scope="module")
def newest():
    """Read the newest conventions."""
    return _model("model")


@pytest.fixture(scope="module")
def older():
    """Read those of the published packages."""
    return _model("model-2026-08-03")


def _model(name):
    if not (MODELS / name).is_dir():
        pytest.skip(f"the conventions' model is not beside the checkout: no {name}")
    return Model(MODELS / name)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_attribute_is_one_of_the_conventions(newest, older, name):
    """Each is in the newest model, or known to be older, of the core, or our own."""
    attribute = ATTRIBUTES[name]
    if attribute.startswith("otel_genai.") or attribute in CORE | PROPOSED:
        return
    known = older if attribute in ONLY_PUBLISHED else newest
    assert attribute in known.attributes


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_one_of_the_conventions(newest, older, metric):
    """Name, unit and kind are those of the model."""
    if metric.name.startswith("otel_genai.") or metric.name in PROPOSED:
        return
    known = (older if metric.name in ONLY_PUBLISHED else newest).metrics[metric.name]
    assert metric.unit == known["unit"]
    assert known["instrument"] == ("histogram" if metric.buckets else "counter")


def test_token_counts_are_attributes():
    """Whatever adds up, or is split, has a name in the table."""
    parts = {part for split in s.MODALITIES.values() for part in split.values()}
    assert parts | set(s.USAGE_COUNTERS) <= s.USAGE <= set(ATTRIBUTES.values())


def test_what_only_the_published_generation_has_is_gone_from_the_newest(newest, older):
    """The list of what has been given up is neither too long nor too short."""
    metrics = {metric.name for metric in METRICS}
    assert metrics & older.metrics.keys() - newest.metrics.keys() == ONLY_PUBLISHED & metrics
    assert not ONLY_PUBLISHED & newest.attributes


def test_what_only_the_newest_has_is_not_in_the_published_generation(newest, older):
    """The default emits no metric that published back ends do not know."""
    names = {
        metric.name
        for operation in OPERATIONS
        for metric in s.signals(getattr(s, operation), "published").durations
    }
    renamed = {"gen_ai.invoke_workflow.duration"}  # `gen_ai.workflow.duration` until the end of August 2026
    assert names - older.metrics.keys() <= renamed
    assert names <= newest.metrics.keys()


@pytest.mark.parametrize(
    ("attribute", "names"), [(s.PROVIDER_NAME, PROVIDERS), (s.OPERATION_NAME, OPERATIONS)]
)
def test_every_value_is_one_of_the_conventions(newest, attribute, names):
    """Providers and operations have the names that the conventions give them."""
    assert {getattr(s, name) for name in names} <= newest.values[attribute]


def test_events_are_those_of_the_conventions(newest):
    """The details of an inference, and the result of an evaluation."""
    assert {s.EVENT_INFERENCE_DETAILS, s.EVENT_EVALUATION} <= newest.events


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_buckets_are_those_of_the_conventions(metric):
    """To the digit; the durations of model calls go further up, for models that think for minutes."""
    assert (list(metric.buckets) if metric.buckets else None) == BUCKETS.get(metric.name)
