"""The limit on the nesting of JSON: exact for valid documents, and linear for all."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stagebook.stage import json_depth
from stagebook.stage.json_depth import MAX_JSON_DEPTH, is_too_deep

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('[]{}"\\:,aé', max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('[]{}"\\', max_size=4), inner, max_size=4),
    max_leaves=40,
)


def depth_of(value: Any) -> int:  # noqa: ANN401 - decoded JSON
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(depth_of, children), default=0)


@given(documents, st.integers(1, 8), st.booleans())
def test_the_depth_of_a_valid_document_is_exact(value: object, limit: int, is_ascii: bool) -> None:  # noqa: FBT001
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_depth, "MAX_JSON_DEPTH", limit)
        text = json.dumps(value, ensure_ascii=is_ascii)
        assert is_too_deep(text) is is_too_deep(text.encode()) is (depth_of(value) > limit)


@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_the_limit(pair: str) -> None:
    assert not is_too_deep(pair[0] * MAX_JSON_DEPTH + pair[1] * MAX_JSON_DEPTH)
    assert is_too_deep(pair[0] * (MAX_JSON_DEPTH + 1))


@given(st.text('[]{}"\\:,0', max_size=300), st.integers(1, 40))
@example('"\\"', 4_000)
@example('"', 4_001)
def test_any_text_below_the_limit_is_decoded_without_exhausting_the_stack(text: str, times: int) -> None:
    document = text * times
    if not is_too_deep(document):
        for decode in (msgspec.json.decode, json.loads):
            with contextlib.suppress(msgspec.DecodeError, ValueError):
                decode(document)


@pytest.mark.parametrize("piece", ['"\\"', '"', "\\", '"[', '[]"'])
def test_the_work_is_linear(piece: str) -> None:
    """Every match begins where the one before ended or later, so the work is at most one step for each byte."""
    document = ("[{" * MAX_JSON_DEPTH + piece * 10_000).encode()
    spans = [match.span() for match in json_depth._STRING_OR_BRACKET.finditer(document)]
    assert all(start < end for start, end in spans)
    # A search that failed inside a string would begin again at the next character: no string may be skipped.
    quotes = [position for position in range(len(document)) if document[position : position + 1] == b'"']
    covered = set().union(*(range(start, end) for start, end in spans)) if spans else set()
    assert covered.issuperset(quotes)
