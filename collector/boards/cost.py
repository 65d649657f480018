"""What calls cost: by team and model, against budgets, and where it heads."""

from __future__ import annotations

from boards import promql as q
from boards.panels import COUNT, DOLLARS, SHARE, Column, Query, above, bars, graph, linked, stat, table

_TODAY = {"timeFrom": "now/d", "hideTimeOverride": True}
HOUR = q.total("genai:cost_usd:increase1h", q.CALL)
MONTH = "scalar(days_in_month())"
PANELS = (
    stat("Last hour", "US dollars, exactly as counted.", DOLLARS, q.NO_COST, Query(q.SPENT_1H), decimals=2),
    stat(
        "Last 24 hours", "US dollars, exactly as counted.", DOLLARS, q.NO_COST, Query(q.SPENT_1D), decimals=2
    ),
    stat(
        "Today so far",
        "US dollars since midnight UTC, exactly as counted; of all teams.",
        DOLLARS,
        q.NO_COST,
        Query(q.SPENT_IN_RANGE),
        decimals=2,
        extra=_TODAY,
    ),
    stat(
        "Today, forecast",
        "Today so far, and the last hour's pace until midnight UTC; of all teams.",
        DOLLARS,
        q.NO_COST,
        Query(f"{q.SPENT_IN_RANGE} + {HOUR} * (86400 - $__range_s) / 3600"),
        decimals=2,
        extra=_TODAY,
    ),
    stat(
        "This month, forecast",
        "A month of as many days as this one has, at the pace of the last 24 hours.",
        DOLLARS,
        q.NO_COST,
        Query(f"{q.SPENT_1D} * {MONTH}"),
        decimals=2,
    ),
    stat(
        "A call",
        "Average of the last hour.",
        DOLLARS,
        q.NO_COST,
        Query(f"{HOUR} / ({q.increase('otel_genai_calls_total', q.CALL)} > 0)"),
    ),
    bars(
        "Budgets of the day",
        "What teams have spent in the last 24 hours, of the budget in rules/budgets.yaml.",
        SHARE,
        "No budgets: rules/budgets.yaml says what each team may spend",
        Query(
            'sum by (team) (genai:team_cost_usd:increase1d{team=~"$team"})'
            ' / on (team) sum by (team) (genai_budget_usd{window="1d"})',
            "{{team}}",
        ),
        steps=above(0.8, 1),
    ),
    bars(
        "Budgets of the hour",
        "What teams have spent in the last hour, of the budget in rules/budgets.yaml.",
        SHARE,
        "No budgets: rules/budgets.yaml says what each team may spend",
        Query(
            'sum by (team) (genai:team_cost_usd:increase1h{team=~"$team"})'
            ' / on (team) sum by (team) (genai_budget_usd{window="1h"})',
            "{{team}}",
        ),
        steps=above(0.8, 1),
    ),
    graph(
        "Spend per hour by team",
        "US dollars in the hour before each point.",
        DOLLARS,
        q.NO_TEAMS,
        Query(q.total("genai:cost_usd:increase1h", q.COST, "team"), "{{team}}"),
        stack=True,
    ),
    graph(
        "Spend per hour by model",
        "US dollars in the hour before each point.",
        DOLLARS,
        q.NO_COST,
        Query(
            q.total("genai:cost_usd:increase1h", q.COST, "gen_ai_request_model"), "{{gen_ai_request_model}}"
        ),
        stack=True,
    ),
    graph(
        "Spend per day, and where it heads",
        "US dollars in the 24 hours before each point; the forecast is what a straight line through the "
        "last 6 hours reaches 24 hours later.",
        DOLLARS,
        q.NO_COST,
        Query(q.SPENT_1D, "24 hours"),
        Query(f"clamp_min(predict_linear(({q.SPENT_1D})[6h:5m], 86400), 0)", "forecast for a day later"),
    ),
    graph(
        "Not counted",
        "Calls per hour that have no price (a model the table does not know) or reported no usage.",
        COUNT,
        "Every call has a price and reported its usage",
        Query(
            q.increase("otel_genai_unpriced_total", q.CALL, "gen_ai_request_model"),
            "no price: {{gen_ai_request_model}}",
        ),
        Query(
            q.increase("otel_genai_usage_missing_total", q.CALL, "gen_ai_request_model"),
            "no usage: {{gen_ai_request_model}}",
        ),
    ),
    table(
        "Teams",
        "US dollars and the budgets of rules/budgets.yaml.",
        q.NO_TEAMS,
        {"team": "Team"},
        (
            Column("24 hours", 'sum by (team) (genai:team_cost_usd:increase1d{team=~"$team"})', DOLLARS),
            Column(
                "Budget of a day", 'sum by (team) (genai_budget_usd{team=~"$team", window="1d"})', DOLLARS
            ),
            Column("Last hour", 'sum by (team) (genai:team_cost_usd:increase1h{team=~"$team"})', DOLLARS),
            Column(
                "Budget of an hour", 'sum by (team) (genai_budget_usd{team=~"$team", window="1h"})', DOLLARS
            ),
        ),
        overrides=(linked("Team", "Costs of this team", q.TEAM_LINK),),
        width=12,
    ),
    table(
        "Models",
        "The last 24 hours.",
        q.NO_COST,
        {"gen_ai_provider_name": "Provider", "gen_ai_request_model": "Model"},
        (
            Column(
                "Spend",
                q.total("genai:cost_usd:increase1d", q.COST, "gen_ai_provider_name, gen_ai_request_model"),
                DOLLARS,
            ),
            Column(
                "Tokens",
                q.total("genai:tokens:increase1d", q.CALL, "gen_ai_provider_name, gen_ai_request_model"),
                COUNT,
            ),
        ),
        overrides=(linked("Model", "Latency of this model", q.MODEL_LINK),),
        width=12,
    ),
)
