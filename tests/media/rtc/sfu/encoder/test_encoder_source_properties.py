"""Random sequences of events on an encoder's source: both streams of a viewer stay continuous."""

from itertools import pairwise
from typing import TypeAlias

from hypothesis import example, given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.sfu.encoder.encoder_source import SILENCE_SECONDS
from tests.media.rtc.sfu.encoder.encoder_source_scenario import (
    FRAME_SECONDS,
    Scenario,
    payload_strings,
)

Event: TypeAlias = tuple[str, str]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["video", "video", "key", "audio", "audio", "time", "stall", "turn", "remove", "end"]),
        st.sampled_from("abc"),
    ),
    max_size=80,
)


def apply(scenario: Scenario, event: Event) -> None:
    """Apply one event. A feed is added with its first unit."""
    kind, name = event
    if kind in ("time", "stall"):
        scenario.pass_time(FRAME_SECONDS if kind == "time" else SILENCE_SECONDS)
    elif kind == "turn":
        scenario.loop.run()
    elif kind == "remove":
        scenario.source.remove(name)
    elif kind == "end":
        scenario.source.set_ended(name)
    else:
        if name not in scenario.source.feeds:
            scenario.open_feed(name)
        # An encoder never sends two units of one kind with the same timestamp.
        scenario.media_seconds[name] += FRAME_SECONDS / 8
        scenario.loop.now += FRAME_SECONDS / 8
        if kind == "audio":
            scenario.send_audio(name)
        else:
            scenario.send_video(name, key=kind == "key")


@settings(max_examples=200)
@example(
    [
        *[("video", "a"), ("stall", "a"), ("video", "b"), ("remove", "b")],
        *[("audio", "a"), ("video", "b"), ("audio", "b")],
    ]
)
@given(EVENTS)
def test_after_any_events_both_streams_are_continuous(events: list[Event]) -> None:
    scenario = Scenario()
    for event in events:
        apply(scenario, event)
    for viewer in (scenario.video, scenario.audio):
        packets = viewer.packets
        for before, packet in pairwise(packets):
            assert packet.sequence == (before.sequence + 1) & 0xFFFF
            assert 0 < (packet.timestamp - before.timestamp) & 0xFFFFFFFF < 2**31
        if viewer is scenario.video:
            assert is_decodable(payload_strings(packets))


def is_decodable(frames: list[str]) -> bool:
    """Whether each frame is a keyframe or follows its predecessor."""
    before = ("", 0)
    for frame in frames:
        name, number, key = frame.split(":")
        if not key and before != (name, int(number) - 1):
            return False
        before = (name, int(number))
    return True
