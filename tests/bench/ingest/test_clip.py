"""The clips of the ingest benchmark, and their packets in a loop."""

from itertools import islice, takewhile
from pathlib import Path

import av
import pytest

from bench.ingest.clip import BLINKING, FRAMES_PER_SECOND, make_clip
from bench.ingest.encoder import looped_packets


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "blinking.flv"
    make_clip(path, video_filter=BLINKING, seconds=2)
    return path


def test_only_the_first_frame_of_each_second_is_a_keyframe(clip: Path) -> None:
    with av.open(str(clip), "r") as container:
        keyframes = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keyframes == [number % FRAMES_PER_SECOND == 0 for number in range(2 * FRAMES_PER_SECOND)]


def test_timestamps_continue_over_the_loop(clip: Path) -> None:
    last: dict[str, int] = {}
    sent = takewhile(lambda sent: sent[1] < 5, looped_packets(clip))
    for packet, seconds in islice(sent, 1_000):
        assert packet.dts is not None
        assert packet.dts > last.get(packet.stream.type, -1)
        assert packet.dts * packet.time_base == pytest.approx(seconds, abs=0.001)
        last[packet.stream.type] = packet.dts
    assert min(last.values()) > 4_500  # milliseconds: both streams were looped twice
