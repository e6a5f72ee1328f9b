"""A clip of the ingest benchmark, and how it is sent again and again."""

from itertools import islice, takewhile
from pathlib import Path

import av
import pytest

from bench.ingest.clip import BLINKING, FRAMES_PER_SECOND, make_clip
from bench.ingest.encoder import packets_for_ever


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "blinking.flv"
    make_clip(path, picture=BLINKING, seconds=2)
    return path


def test_a_keyframe_begins_each_second_and_nothing_else_is_one(clip: Path) -> None:
    with av.open(str(clip), "r") as container:
        keyframes = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keyframes == [number % FRAMES_PER_SECOND == 0 for number in range(2 * FRAMES_PER_SECOND)]


def test_timestamps_go_on_at_the_seam(clip: Path) -> None:
    last: dict[str, int] = {}
    sent = takewhile(lambda sent: sent[1] < 5, packets_for_ever(clip))
    for packet, seconds in islice(sent, 1_000):
        assert packet.dts is not None
        assert packet.dts > last.get(packet.stream.type, -1)
        assert packet.dts * packet.time_base == pytest.approx(seconds, abs=0.001)
        last[packet.stream.type] = packet.dts
    assert min(last.values()) > 4_500  # milliseconds: both streams went over the seam twice
