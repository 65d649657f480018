"""Bad data is nobody's bug, whichever SDK reads it: what `test_fuzz.py` shows of two, here of all in `sdks`.

A server that stays answers clients that stay: with bodies, event streams, lines of JSON and frames of AWS.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import strategies as st

from odd import EXAMPLES, KIND, bodies, cut, frames, lines, over, sound, streams
from otel_genai import semconv as s
from sdk_calls import SDKS, Lab, quick, turns
from sdks.kit import Reply, Sdk, Way
from side_by_side import instrumented

pytestmark = pytest.mark.filterwarnings("ignore")  # SDKs warn of odd data, and do not close all they open
STATUS = st.sampled_from((200,) * 12 + (201, 202, 204, 206, 299, 400, 403))
"""Without those after which some SDKs wait and try again."""
KINDS = {"sse": "text/event-stream", "json": "application/json"}


@pytest.fixture(autouse=True, scope="module")
def _quick():
    with quick():
        yield


# --- One case --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Case:
    """One call with one odd answer; of a stream, `most` events are read."""

    sdk: Sdk
    way: Way
    colour: str
    reply: Reply
    most: int | None = None

    @property
    def replies(self) -> list[Reply]:
        """All that is answered."""
        return [*self.way.replies[:-1], self.reply]

    def _repr_pretty_(self, printer: Any, _: bool) -> None:  # noqa: FBT001 (Hypothesis calls it)
        printer.text(repr(self))

    def __repr__(self) -> str:
        given = self.reply.pieces or [self.reply.body]
        pieces = [piece if len(piece) < 3000 else piece[:3000] + b"..." for piece in given]
        of = f"{self.sdk.name}, {self.way.name}, {self.colour}, {self.most}"
        return f"<{of}: {self.reply.status} {self.reply.kind} {pieces}>"


def _body(draw: Any, way: Way, ways: list[Way]) -> bytes:
    """Make an odd body for a way of calling, mostly of what answers it, sometimes of what answers another."""
    [*_, reply] = (draw(st.sampled_from(ways)) if draw(st.integers(0, 9)) == 0 else way).replies
    if not reply.pieces:
        return bodies(draw, (reply.body,))
    if reply.kind == KINDS["sse"]:
        return streams(draw, (b"".join(reply.pieces),))
    if reply.kind == "application/vnd.amazon.eventstream":
        return frames(draw, reply.pieces)
    return lines(draw, (b"".join(reply.pieces),))


@st.composite
def cases(draw: Any, sdk: Sdk) -> Case:
    """Make a case."""
    ways = [way for way in sdk.ways if not way.is_local]
    way = draw(st.sampled_from(ways))
    reply = way.replies[-1]
    is_stream = bool(reply.pieces)
    body = _body(draw, way, [other for other in ways if bool(other.replies[-1].pieces) is is_stream])
    kind = draw(KIND)
    odd = dataclasses.replace(
        reply,
        body=b"" if is_stream else body,
        pieces=tuple(piece for piece in cut(draw, body) if piece) if is_stream else (),
        status=draw(STATUS),
        kind=reply.kind if kind == "right" else KINDS.get(kind, kind),
    )
    most = draw(st.sampled_from((None, None, None, None, 0, 1, 2, 5))) if way.stream else None
    return Case(sdk, way, draw(st.sampled_from(way.colours)), odd, most)


# --- Many cases ------------------------------------------------------------------------------------------


def check(lab: Lab, case: Case) -> None:
    """Call without us and with us: the same is seen, the span ends, and what it says can be sent."""
    bare = lab.call(case.way, case.colour, case.replies, case.most)
    with instrumented(case.sdk, "SPAN_AND_EVENT") as (seen, balance):
        ours = lab.call(case.way, case.colour, case.replies, case.most)
        assert ours == bare
        assert balance.begun or not ours["requests"]
        if balance.open:
            lab.within(turns())
        balance.settle()
        assert s.INTERNAL_ERRORS.name not in seen.metrics
        sound(seen)


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", SDKS)
def test_an_odd_answer_does_no_harm(name: str, examples: int, record_property: Any) -> None:
    """Whatever is answered, a call ends as without us, its span ends, and nothing of ours fails."""
    with Lab(SDKS[name]).open() as lab:

        def checked(case: Case) -> None:
            check(lab, case)

        over(checked, cases(SDKS[name]), examples)
    record_property("counted", f"{examples} odd answers to {name}")
