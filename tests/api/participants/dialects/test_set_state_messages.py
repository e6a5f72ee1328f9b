"""SET_STATE messages of clients."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.participants.dialects.set_state_messages import SetState, parse_set_state

SDK_MESSAGE = '{"audioMuted":false,"type":"SET_STATE","version":"0","videoStopped":true}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SDK_MESSAGE, SetState(audio_muted=False, video_stopped=True)),
        ('{"type":"SET_STATE","audioMuted":true}', SetState(audio_muted=True)),
        ('{"type":"SET_STATE","videoStopped":false,"audioMuted":null}', SetState(video_stopped=False)),
        ('{"type":"SET_STATE"}', SetState()),
    ],
)
def test_a_member_that_is_missing_says_nothing(text: str, said: SetState) -> None:
    assert parse_set_state(text) == said


@pytest.mark.parametrize("value", ['"true"', "1", "0", "[]", "{}"])
@pytest.mark.parametrize("member", ["audioMuted", "videoStopped"])
def test_a_message_with_a_member_of_another_type_is_ignored(member: str, value: str) -> None:
    other = {"audioMuted": "videoStopped", "videoStopped": "audioMuted"}[member]
    assert parse_set_state(f'{{"type":"SET_STATE","{member}":{value},"{other}":true}}') is None


@pytest.mark.parametrize("text", ["", "[]", "null", '"SET_STATE"', "{", '{"audioMuted":true', "\ud800", "[" * 10_000])
def test_a_text_that_is_no_object_is_ignored(text: str) -> None:
    assert parse_set_state(text) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional={"audioMuted": json_values, "videoStopped": json_values}))
def test_a_message_says_its_booleans_or_nothing(members: dict[str, object]) -> None:
    said = parse_set_state(json.dumps(members))
    values = (members.get("audioMuted"), members.get("videoStopped"))
    is_well_formed = all(value is None or isinstance(value, bool) for value in values)
    assert (None if said is None else (said.audio_muted, said.video_stopped)) == (values if is_well_formed else None)
