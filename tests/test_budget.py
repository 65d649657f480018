"""Fitting content into a number of bytes, whatever it is."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_genai import _budget

TEXTS = st.builds(lambda text, times: text * times, st.text(max_size=6), st.sampled_from([1, 40, 4000]))
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(-9, 9**20) | st.lists(st.just(1), max_size=3000),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["role", "parts", "type", "content", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=3), VALUES, min_size=1, max_size=4), st.integers(256, 9000)
)
def test_everything_fits_and_is_still_json(written, budget):
    """Never more than the budget; what fits is not touched; nothing becomes unreadable."""
    fitted = _budget.fitted(written, budget, budget)
    assert fitted.keys() == written.keys()
    assert sum(_budget.size(value) for value in fitted.values()) <= max(
        budget, len(written) * _budget.size(_budget._note(None, 1, 10**9))
    )
    json.dumps(fitted)
    if sum(_budget.size(value) for value in written.values()) <= budget:
        assert fitted == written


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=400), st.integers(48, 300))
def test_a_text_is_cut_between_its_characters(text, budget):
    """Never more bytes than there may be, and no half characters."""
    cut = _budget.text(text, budget)
    assert len(cut.encode(errors="replace")) <= budget
    assert "\ufffd" not in cut or "\ufffd" in text
