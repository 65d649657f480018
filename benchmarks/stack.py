"""`make bench-stack`: what two cores carry, from the sender to what is stored; writes STACK.md."""

from __future__ import annotations

import argparse
import http
import json
import os
import re
import shutil
import tempfile
import time
import urllib.error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import yaml
from programs import COLLECTOR, HOME
from stack import DIRECT, Ports, Stack, built

from benchmarks.load import SPANS, SPANS_OF_A_TRACE, Load, Senders, points, spans, trace_id

RESULTS = Path(__file__).with_name("STACK.md")
CORES = 2
SECONDS = 25.0
WAITING_BYTES = 16 * 1024 * 1024
"""Senders pause while more than this waits for a back end: what is measured is carried, not queued."""
DRAINED_WITHIN = 120.0
LOOKED_UP = 100
PUBLISHED = {"spans": 15_000, "points": 20_000}
"""Per second and core, as published for the Collector (Splunk, sizing)."""
QUEUED, SENT = re.compile("exporter_queue_size$"), re.compile("exporter_sent_spans$")
LOST = re.compile(r"refused|failed|dropped")
METRIC = re.compile(r"^(\w+?)(?:_total)?(?:\{.*\})? (\S+)$", re.MULTILINE)
SERVICES = {"collector": "otel-collector"}
"""Where docker-compose.yml has another name for a program."""
ONE_A_POINT = ("bench_calls_total", "bench_duration_seconds_count")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    """What one program used."""

    name: str
    cores: float
    peak_mib: float


@dataclass(frozen=True)
class Result:
    """What one kind of export came to."""

    load: Load
    seconds: float
    sent: int
    """Spans or points, as are the next three."""
    refused: int
    stored: int
    lost: dict[str, float]
    """What the Collector and Jaeger count as refused, failed or dropped, and traces that are not whole."""
    used: list[Used]

    @property
    def rate(self) -> float:
        """Stored in a second."""
        return self.stored / self.seconds

    @property
    def whole(self) -> bool:
        """Tell whether all that was sent is stored, and nothing was refused on the way."""
        return self.sent == self.stored and not self.refused and not self.lost


# --- Asking ----------------------------------------------------------------------------------------------


def fetch(url: str) -> str:
    """Fetch a text."""
    with DIRECT.open(url, timeout=30) as answer:
        return str(answer.read().decode())


def own(url: str, wanted: re.Pattern[str]) -> dict[str, float]:
    """Sum a program's own metrics by name."""
    sums: dict[str, float] = {}
    for name, value in METRIC.findall(fetch(url)):
        if wanted.search(name):
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def waiting(stack: Stack) -> float:
    """Give the bytes that wait in the Collector's queues."""
    return sum(own(stack.collector_metrics_url, QUEUED).values())


def told_lost(stack: Stack) -> dict[str, float]:
    """Ask the Collector, and Jaeger, which is one too, what they have lost."""
    urls = {"collector": stack.collector_metrics_url, "jaeger": jaeger_metrics(stack)}
    told = {
        f"{program} {name}": value for program in urls for name, value in own(urls[program], LOST).items()
    }
    return {name: value for name, value in told.items() if value}


def jaeger_metrics(stack: Stack) -> str:
    """Give where Jaeger tells of itself."""
    return f"http://127.0.0.1:{stack.ports.jaeger_metrics}/metrics"


def stored_spans(stack: Stack) -> int:
    """Ask Jaeger how many spans its store has taken."""
    return int(sum(own(jaeger_metrics(stack), SENT).values()))


def stored_points(stack: Stack) -> int:
    """Count the points in Prometheus: one sample of a counter, one of a histogram's count."""
    query = " + ".join(f"sum(count_over_time({name}[1h]))" for name in ONE_A_POINT)
    url = f"{stack.prometheus_url}/api/v1/query?{urlencode({'query': query})}"
    found = json.loads(fetch(url))["data"]["result"]
    return int(found[0]["value"][1]) if found else 0


def look_up(stack: Stack, exports: list[int]) -> list[str]:
    """Ask Jaeger for traces by their ids, and give those that are not whole."""
    ids = [trace_id(one, index).hex() for one in exports for index in range(SPANS // SPANS_OF_A_TRACE)]
    every = max(1, len(ids) // LOOKED_UP)
    return [one for one in ids[::every] if spans_of(stack, one) != SPANS_OF_A_TRACE]


def spans_of(stack: Stack, trace: str) -> int:
    """Count a trace's spans."""
    try:
        text = fetch(f"{stack.jaeger_url}/api/v3/traces/{trace}")
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.NOT_FOUND:
                return 0
            raise
    found = json.loads(text)["result"]["resourceSpans"]
    return sum(len(scoped["spans"]) for group in found for scoped in group["scopeSpans"])


# --- Measuring -------------------------------------------------------------------------------------------


def processor_seconds(pid: int) -> float:
    """Read how long a program has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def held_mib(pid: int) -> float:
    """Read the memory that a program holds, without pages of files, which the system takes back."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024


def limit(stack: Stack) -> None:
    """Tell each program's garbage collector what docker-compose.yml tells it."""
    services = yaml.safe_load((COLLECTOR.parent / "docker-compose.yml").read_text())["services"]
    for program in stack.programs:
        told = services[SERVICES.get(program.name, program.name)].get("environment", {})
        program.env |= {name: value for name, value in told.items() if name == "GOMEMLIMIT"}


def drive(stack: Stack, senders: Senders, pids: list[int], seconds: float) -> list[float]:
    """Let them send as fast as the back ends store; give the most memory that each program held."""
    ends = time.monotonic() + seconds
    most = [0.0] * len(pids)
    while time.monotonic() < ends:
        most = [max(one, held_mib(pid)) for one, pid in zip(most, pids, strict=True)]
        if waiting(stack) > WAITING_BYTES:
            senders.go.clear()
        else:
            senders.go.set()
        time.sleep(0.1)
    return most


def drain(count: Callable[[Stack], int], stack: Stack, sent: int) -> int:
    """Wait until all is stored, or what there is does not become more in time."""
    ends = time.monotonic() + DRAINED_WITHIN
    while (stored := count(stack)) < sent and time.monotonic() < ends:
        time.sleep(0.2)
    return stored


def measure(load: Load, root: Path, seconds: float) -> Result:
    """Send one kind of export through a stack of its own."""
    of_spans = load.path == "/v1/traces"
    stack = Stack(root, Ports.free())
    limit(stack)
    with stack:
        pids = [program._child.pid for program in stack.programs] + [os.getpid()]
        names = [program.name for program in stack.programs] + ["senders"]
        before, began = [processor_seconds(pid) for pid in pids], time.monotonic()
        with Senders(load, stack.ports.collector_http) as senders:
            most = drive(stack, senders, pids, seconds)
        sent = len(senders.sent) * load.items
        stored = drain(stored_spans if of_spans else stored_points, stack, sent)
        took = time.monotonic() - began
        cores = [(processor_seconds(pid) - then) / took for pid, then in zip(pids, before, strict=True)]
        lost = told_lost(stack)
        if of_spans and (broken := look_up(stack, senders.sent)):
            lost["traces looked up that are not whole"] = len(broken)
    used = [Used(*one) for one in zip(names, cores, most, strict=True)]
    return Result(load, took, sent, senders.refused * load.items, stored, lost, used)


# --- Telling ---------------------------------------------------------------------------------------------


def report(results: list[Result], seconds: float) -> str:
    """Write what was measured."""
    day, busy = time.strftime("%Y-%m-%d", time.gmtime()), os.getloadavg()[0]
    names = [used.name for used in results[0].used]
    lines = [
        "# What the stack carries",
        "",
        f"`make bench-stack` on {CORES} cores, {day}; {seconds:g} s of sending each; load {busy:.1f}.",
        "",
        "| | bytes each | stored/s | sent | stored | refused | /s per core of the Collector | published |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in results:
        collector = next(used for used in one.used if used.name == "collector")
        published = PUBLISHED[one.load.name.split()[0]]
        lines.append(
            f"| {one.load.name} | {one.load.size:,} | {one.rate:,.0f} | {one.sent:,} | {one.stored:,} "
            f"| {one.refused:,} | {one.rate / collector.cores:,.0f} | {published:,} |"
        )
    lines += ["", f"| cores, peak MiB | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for one in results:
        cells = [f"{used.cores:.2f}, {used.peak_mib:,.0f}" for used in one.used]
        lines.append(f"| {one.load.name} | {' | '.join(cells)} |")
    lines += [f"\n**{one.load.name}: not all is stored.** {one.lost}" for one in results if not one.whole]
    return "\n".join(lines) + "\n" + NOTES


NOTES = """
- The programs are those of `make stack` with the same files ([config.yaml](../collector/config.yaml) is the
  Collector's): masking, a queue on disk that is written through, metrics made of spans, then Jaeger (badger)
  and Prometheus. All share the two cores, the senders too.
- *Stored/s* is from the first export to when the last was stored. Senders wait while more than 16 MiB are
  in the Collector's queues: the rate is what Jaeger and Prometheus keep up with, not what can be queued.
- *Stored* is counted by the stores: spans by Jaeger, points by a query over all of them. 100 traces are then
  looked up by their ids, and each has to be whole. A run in which anything is refused or lost fails.
- An export has 512 spans (8 of a trace) or 1,000 points: as many of counters as of histograms with 15
  buckets, of which each becomes 17 samples in Prometheus. Content is English prose, with nothing to mask.
- *Peak MiB* is what a program held itself, without files mapped into it. `GOMEMLIMIT` is set as in
  docker-compose.yml.
- *Per core of the Collector* is what it carries in a second of its own CPU time. *Published* is Splunk's
  figure for that: spans of unstated size, handed on and not stored.
- *Load* is the machine's load average. Above 3 others were at work too, and the rates are lower than they
  could be; what a core of the Collector carries hardly changes.
"""


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what the stack carries on two cores.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of sending, each (%(default)s)")
    parser.add_argument("--to", type=Path, default=RESULTS, help="where the results go (%(default)s)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything; 1 if something was refused or lost."""
    chosen = _parse(arguments)
    if not built():
        print("The programs are not built: run `make stack` once")  # noqa: T201 (a program that prints)
        return 1
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    results = []
    for load in (spans(), spans(content=True), points()):
        root = Path(tempfile.mkdtemp(prefix="bench-", dir=HOME))  # a disk, where /tmp may be memory
        try:
            results.append(measure(load, root, chosen.seconds))
        finally:
            shutil.rmtree(root)
    text = report(results, chosen.seconds)
    chosen.to.write_text(text)
    print(text)  # noqa: T201 (a program that prints)
    return 0 if all(one.whole for one in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
