"""Writes the dashboards: `python collector/dashboards.py` puts them into grafana/dashboards beside it.

A test does the same and compares, so change what is in boards/, run this, and commit both.
"""

from __future__ import annotations

import json
from pathlib import Path

from boards import agents, cost, errors, latency, overview, pipeline, quality
from boards.panels import Json, dashboard
from boards.promql import VARIABLES

PLACE = Path(__file__).resolve().parent / "grafana" / "dashboards"
BOARDS = {
    "overview": ("Overview", overview),
    "cost": ("Cost", cost),
    "latency": ("Latency", latency),
    "agents": ("Agents and tools", agents),
    "errors": ("Errors and outcomes", errors),
    "quality": ("Quality of answers", quality),
    "pipeline": ("Pipeline health", pipeline),
}


def dashboards() -> dict[str, Json]:
    """Give every dashboard by the name of its file."""
    return {
        f"{name}.json": dashboard(
            f"genai-{name}", f"GenAI: {title}", board.__doc__ or "", VARIABLES, board.PANELS
        )
        for name, (title, board) in BOARDS.items()
    }


def text(made: Json) -> str:
    """Spell a dashboard as it is checked in."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for name, made in dashboards().items():
        (PLACE / name).write_text(text(made), encoding="utf-8")


if __name__ == "__main__":
    main()
