"""Several feeds of one source: who is shown, when another takes its place, and one clock for the viewers."""

from itertools import pairwise
from typing import TypeAlias, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import CLOCK_RATES, Unit
from stagebook.media.port import Connected
from stagebook.media.rtc.rtp.rtcp import SenderReport
from stagebook.media.rtc.rtp.rtcp_writer import write_pli
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.encoder_feed import EncoderFeed
from stagebook.media.rtc.sfu.encoder.encoder_source import SILENCE_SECONDS, EncoderSource
from stagebook.media.rtc.sfu.encoder.replay_pacer import INTERVAL_SECONDS, ReplayPacer
from stagebook.media.rtc.sfu.source_track import SourceTrack
from stagebook.media.rtc.sfu.viewer import Viewer
from tests.media.rtc.feeding import FeedClient, open_feed, running_fed_engine
from tests.media.rtc.raw_peer import RawPeer
from tests.media.rtc.running_engine import Engine
from tests.media.rtc.sfu.encoder.fake_event_loop import FakeEventLoop
from tests.media.rtc.sfu.fake_viewer import FakeViewer

PARAMETERS = "packetization-mode=1;profile-level-id=64001f"
PICTURE_SECONDS = 1 / 30


def unit(kind: MediaKind, *, seconds: float, key: bool = False, payloads: tuple[bytes, ...]) -> Unit:
    """A unit of this time by the encoder's clock."""
    return Unit(kind=kind, timestamp=round(seconds * CLOCK_RATES[kind]), is_keyframe=key, payloads=payloads)


class Bench:
    """A source with feeds by hand, and one viewer of both tracks."""

    def __init__(self) -> None:
        self.loop = FakeEventLoop()
        self.source = EncoderSource(
            "source",
            video_parameters=PARAMETERS,
            name="name",
            random_bits=lambda bits: (1 << bits) - 1,
            wall_clock=lambda: 1_000_000.0,
            pacer=ReplayPacer(call_later=self.loop.call_later, clock=lambda: self.loop.now),
        )
        self.video, self.audio = FakeViewer(ssrc=1), FakeViewer(ssrc=2)
        self.source.tracks[MediaKind.VIDEO].add(self.video.down_track, self.loop.now)
        self.source.tracks[MediaKind.AUDIO].add(self.audio.down_track, self.loop.now)
        self.media_seconds = {"a": 5.0, "b": 70_000.0, "c": 0.0}
        """Each encoder has a clock of its own."""
        self.numbers = dict.fromkeys(self.media_seconds, 0)

    def open(self, name: str) -> None:
        """A feed comes."""
        self.source.add(EncoderFeed(name, video_parameters=f"{PARAMETERS};{name}", now=self.loop.now))

    def pass_time(self, seconds: float = PICTURE_SECONDS) -> None:
        """Let time pass, for the encoders too."""
        self.loop.now += seconds
        for name in self.media_seconds:
            self.media_seconds[name] += seconds

    def picture(self, name: str, *, key: bool = False) -> None:
        """A feed brings a picture; its payload tells whose it is and which."""
        self.numbers[name] += 1
        payload = f"{name}:{self.numbers[name]}:{'key' if key else ''}".encode()
        self.source.receive(
            name, unit(MediaKind.VIDEO, seconds=self.media_seconds[name], key=key, payloads=(payload,)), self.loop.now
        )

    def sound(self, name: str, *, ahead: float = 0.0) -> None:
        """A feed brings sound, which may be so many seconds ahead of its pictures."""
        seconds = self.media_seconds[name] + ahead
        self.source.receive(name, unit(MediaKind.AUDIO, seconds=seconds, payloads=(name.encode(),)), self.loop.now)

    def both(self, *names: str, key: bool = False) -> None:
        """EncoderFeeds bring both, and time passes."""
        for name in names:
            self.picture(name, key=key)
            self.sound(name)
        self.pass_time()
        self.loop.run_all()

    def seen(self) -> list[str]:
        """The pictures that the viewer saw."""
        return texts(self.video.packets)

    def heard(self) -> list[str]:
        """Whose sound the viewer heard."""
        return texts(self.audio.packets)


def texts(packets: list[RtpPacket]) -> list[str]:
    """The payloads."""
    return [packet.payload.decode() for packet in packets]


def shown_after(*, before: int, first: str = "a", second: str = "b") -> Bench:
    """Two feeds, the first shown for so many pictures."""
    bench = Bench()
    bench.open(first)
    bench.open(second)
    bench.both(first, second, key=True)
    for _ in range(before - 1):
        bench.both(first, second)
    return bench


def test_a_source_begins_with_its_first_picture_and_a_feed_that_stands_by_is_not_seen() -> None:
    bench = Bench()
    bench.open("a")
    bench.sound("a")
    bench.open("b")
    for _ in range(2):
        bench.both("a", "b", key=True)
    assert bench.seen() == ["a:1:key", "a:2:key"]
    assert bench.heard() == ["a", "a"]
    assert bench.source.format.video_parameters.endswith(";a")


def test_when_the_shown_feed_is_closed_the_other_follows_from_its_keyframe() -> None:
    bench = shown_after(before=3)
    bench.source.remove("a")
    bench.sound("b")
    bench.both("b")
    bench.both("b")
    assert bench.seen() == ["a:1:key", "a:2:", "a:3:", "b:1:key", "b:2:", "b:3:", "b:4:", "b:5:"]
    assert bench.heard() == ["a", "a", "a", "b", "b"]
    assert bench.source.format.video_parameters.endswith(";b")


def test_a_feed_whose_socket_has_closed_gives_way_at_once() -> None:
    bench = shown_after(before=1)
    bench.source.set_ended("a")
    bench.loop.run_all()
    bench.both("b")
    assert bench.seen() == ["a:1:key", "b:1:key", "b:2:"]


def test_a_feed_whose_socket_has_closed_takes_no_place() -> None:
    bench = shown_after(before=1)
    bench.source.set_ended("b")
    bench.source.set_ended("unknown")
    bench.source.remove("a")
    bench.source.remove("unknown")
    bench.both(key=True)
    assert bench.seen() == ["a:1:key"]


def test_a_feed_that_is_silent_gives_way_and_does_not_come_back_by_itself() -> None:
    bench = shown_after(before=1)
    for _ in range(round(SILENCE_SECONDS * 30) - 2):
        bench.both("b")
    assert bench.source.active is bench.source.feeds["a"]
    for _ in range(4):
        bench.sound("a")
        bench.both("b")
    assert bench.source.active is bench.source.feeds["b"]
    for _ in range(60):
        bench.both("a", "b")
    assert bench.source.active is bench.source.feeds["b"]
    assert "a" not in {text.partition(":")[0] for text in bench.seen()[1:]}


def test_without_another_feed_with_pictures_the_silent_one_stays() -> None:
    bench = Bench()
    bench.open("a")
    bench.open("b")
    bench.both("a", key=True)
    for _ in range(60):
        bench.sound("b")
        bench.pass_time()
    assert bench.source.active is bench.source.feeds["a"]
    bench.both("a")
    assert bench.seen() == ["a:1:key", "a:2:"]


def test_a_feed_whose_socket_has_closed_is_replaced_by_the_first_that_comes() -> None:
    bench = Bench()
    bench.open("a")
    bench.both("a", key=True)
    bench.source.set_ended("a")
    bench.open("b")
    bench.both("b", key=True)
    assert bench.seen() == ["a:1:key", "b:1:key"]
    assert bench.heard() == ["a", "b"]


def test_a_feed_that_takes_its_place_back_is_as_near_to_the_present_as_before() -> None:
    bench = shown_after(before=30)
    for _ in range(40):
        bench.both("b")
    bench.source.remove("b")
    bench.both("a", key=True)
    came, first = bench.loop.now - PICTURE_SECONDS - 100.0, bench.video.packets
    assert texts(first)[-1] == f"a:{bench.numbers['a']}:key"
    assert (first[-1].timestamp - first[0].timestamp) / 90_000 == pytest.approx(came, abs=0.05)


@pytest.mark.parametrize(("first", "second", "delay"), [(0.2, 0.0, 0.2), (0.2, 0.2, 0.0), (0.0, -0.2, 0.2)])
def test_sound_goes_on_however_far_an_encoder_sends_it_ahead(first: float, second: float, delay: float) -> None:
    bench, leads = Bench(), {"a": first, "b": second}
    for name in leads:
        bench.open(name)
    for number in range(20):
        for name in leads if number < 10 else "b":
            bench.picture(name, key=number == 0)
            bench.sound(name, ahead=leads[name])
        bench.pass_time()
        if number == 9:
            bench.source.remove("a")
    bench.loop.run_all()
    heard, seen = bench.audio.packets, bench.video.packets
    assert texts(heard) == ["a"] * 10 + ["b"] * 10
    assert all(0 < packet.timestamp - before.timestamp < 48_000 for before, packet in pairwise(heard))
    assert (seen[-1].timestamp - seen[0].timestamp) / 90_000 == pytest.approx(19 * PICTURE_SECONDS + delay, abs=0.05)


class Told:
    """A viewer of both tracks that only notes what it is told."""

    def __init__(self) -> None:
        self.reports: list[tuple[MediaKind, DownTrack | None, float]] = []

    def send_report(self, track: SourceTrack, *, ntp: int, rtp_timestamp: int, only: DownTrack | None = None) -> None:
        """Note which second of the source's clock it is."""
        assert ntp == (1_000_000 + 2_208_988_800) << 32
        self.reports.append((track.kind, only, rtp_timestamp / track.clock_rate))


def test_a_viewer_is_told_the_clock_as_soon_as_it_begins_and_then_each_second() -> None:
    bench, told = Bench(), Told()
    bench.source.viewers["v"] = cast("Viewer", told)
    bench.open("a")
    bench.picture("a", key=True)
    bench.sound("a")
    assert [(kind, only) for kind, only, _ in told.reports] == [
        (MediaKind.VIDEO, bench.video.down_track),
        (MediaKind.AUDIO, bench.audio.down_track),
    ]
    late = FakeViewer(ssrc=3)
    bench.source.tracks[MediaKind.VIDEO].add(late.down_track, bench.loop.now)
    then, bench.loop.now = bench.loop.now, bench.loop.now - INTERVAL_SECONDS
    bench.loop.run_all()
    assert bench.loop.now == then
    assert {(kind, only) for kind, only, _ in told.reports[2:]} == {(MediaKind.VIDEO, late.down_track)}
    bench.source.each_second(bench.loop.now)
    assert [(kind, only) for kind, only, _ in told.reports[-2:]] == [(MediaKind.VIDEO, None), (MediaKind.AUDIO, None)]
    assert {seconds for _, _, seconds in told.reports} == {told.reports[0][2]}


def test_after_the_last_feed_another_begins_with_its_first_keyframe() -> None:
    bench = Bench()
    bench.open("a")
    bench.both("a", key=True)
    bench.source.remove("a")
    bench.open("b")
    bench.both("b")
    bench.both("b", key=True)
    bench.both("b")
    assert bench.seen() == ["a:1:key", "b:2:key", "b:3:"]


def test_of_several_the_first_that_brings_a_picture_follows() -> None:
    bench = Bench()
    for name in "abc":
        bench.open(name)
    bench.both("a", "b", "c", key=True)
    bench.source.remove("a")
    bench.sound("b")
    bench.both("c")
    bench.both("b", "c")
    assert bench.source.active is bench.source.feeds["c"]
    assert bench.heard() == ["a", "c", "c"]


def test_measurements_are_of_each_feed() -> None:
    bench = shown_after(before=3)
    bench.open("c")
    facts = {fact.connection_id: fact for fact in bench.source.measure(bench.loop.now)}
    assert {name: (fact.video_codec, fact.audio_codec) for name, fact in facts.items()} == {
        "a": ("H264", "opus"),
        "b": ("H264", "opus"),
        "c": (None, None),
    }


Event: TypeAlias = tuple[str, str]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["picture", "picture", "key", "sound", "sound", "time", "stall", "turn", "remove", "end"]),
        st.sampled_from("abc"),
    ),
    max_size=80,
)


def happen(bench: Bench, event: Event) -> None:
    """Let one thing happen; a feed comes with its first picture."""
    what, name = event
    if what in ("time", "stall"):
        bench.pass_time(PICTURE_SECONDS if what == "time" else SILENCE_SECONDS)
    elif what == "turn":
        bench.loop.run()
    elif what == "remove":
        bench.source.remove(name)
    elif what == "end":
        bench.source.set_ended(name)
    else:
        if name not in bench.source.feeds:
            bench.open(name)
        # An encoder never brings two pictures, or two sounds, of one moment.
        bench.media_seconds[name] += PICTURE_SECONDS / 8
        bench.loop.now += PICTURE_SECONDS / 8
        if what == "sound":
            bench.sound(name)
        else:
            bench.picture(name, key=what == "key")


@settings(max_examples=200)
@example(
    [
        *[("picture", "a"), ("stall", "a"), ("picture", "b"), ("remove", "b")],
        *[("sound", "a"), ("picture", "b"), ("sound", "b")],
    ]
)
@given(EVENTS)
def test_whoever_is_shown_both_streams_go_on(events: list[Event]) -> None:
    bench = Bench()
    for event in events:
        happen(bench, event)
    for receiver in (bench.video, bench.audio):
        packets = receiver.packets
        for before, packet in pairwise(packets):
            assert packet.sequence == (before.sequence + 1) & 0xFFFF
            assert 0 < (packet.timestamp - before.timestamp) & 0xFFFFFFFF < 2**31
        if receiver is bench.video:
            assert is_decodable(texts(packets))


def is_decodable(pictures: list[str]) -> bool:
    """Whether each picture is a keyframe or follows the one that it needs."""
    before = ("", 0)
    for picture in pictures:
        name, number, key = picture.split(":")
        if not key and before != (name, int(number) - 1):
            return False
        before = (name, int(number))
    return True


# Clocks, as a viewer is told them


async def fed(engine: Engine, name: str, *, seconds: float) -> FeedClient:
    """A redundant feed whose first keyframe and sound are of this time."""
    feed = await open_feed(engine, name, is_redundant=True)
    await engine.wait_for(Connected(connection_id=name))
    show(feed, seconds=seconds, key=True)
    return feed


def show(feed: FeedClient, *, seconds: float, key: bool = False) -> None:
    """Bring a picture and a sound of one moment."""
    feed.send(unit(MediaKind.VIDEO, seconds=seconds, key=key, payloads=(b"key" if key else b"picture",)))
    feed.send(unit(MediaKind.AUDIO, seconds=seconds, payloads=(b"sound",)))


class Clocks:
    """What a viewer learns: the wall's time of a moment of each stream."""

    def __init__(self) -> None:
        self.reports: dict[int, SenderReport] = {}
        self.packets: list[RtpPacket] = []

    async def learn(self, viewer: RawPeer, *, streams: int = 2) -> None:
        """Take all that comes until there are reports of so many streams."""
        while len(self.reports) < streams:
            received = await viewer.receive()
            if isinstance(received, RtpPacket):
                self.packets.append(received)
                continue
            for message in received:
                if isinstance(message, SenderReport):
                    self.reports[message.ssrc] = message

    def wall_seconds(self, packet: RtpPacket) -> float:
        """When a packet's content was, by the reports: what a receiver plays at one moment."""
        report = self.reports[packet.ssrc]
        rate = CLOCK_RATES[MediaKind.AUDIO if packet.payload == b"sound" else MediaKind.VIDEO]
        ahead = ((packet.timestamp - report.rtp_timestamp + 2**31) & 0xFFFFFFFF) - 2**31
        return report.ntp / 2**32 + ahead / rate


async def newest_of_both(viewer: RawPeer) -> dict[bytes, RtpPacket]:
    """The next picture and the next sound."""
    newest: dict[bytes, RtpPacket] = {}
    while not {b"picture", b"sound"} <= newest.keys():
        packet = await viewer.receive_rtp()
        newest[packet.payload] = packet
    return newest


@pytest.mark.parametrize("drift", [0.0, 3600.0])
async def test_pictures_and_sound_of_one_moment_are_together_by_the_first_reports_and_hours_later(drift: float) -> None:
    async with running_fed_engine() as engine:
        feed = await fed(engine, "f", seconds=50.0)
        viewer, clocks = await engine.viewer(codec="H264"), Clocks()
        show(feed, seconds=50.1)
        await clocks.learn(viewer)
        assert len(clocks.packets) <= 4
        # Later the encoder's clock has gone on at its own pace, which is not ours.
        engine.skipped_seconds += drift and 13.0
        clocks.reports.clear()
        await clocks.learn(viewer)
        show(feed, seconds=50.2 + drift)
        newest = await newest_of_both(viewer)
        video, audio = (clocks.wall_seconds(newest[kind]) for kind in (b"picture", b"sound"))
        assert video == pytest.approx(audio, abs=0.001)


async def test_a_switch_between_feeds_moves_no_clock() -> None:
    async with running_fed_engine() as engine:
        first = await fed(engine, "f", seconds=50.0)
        viewer, clocks = await engine.viewer(codec="H264"), Clocks()
        second = await fed(engine, "g", seconds=9000.0)
        show(first, seconds=50.1)
        await clocks.learn(viewer)
        before = dict(clocks.reports)
        engine.forwarder.close(connection_id="f")
        show(second, seconds=9000.1)
        newest = await newest_of_both(viewer)
        video, audio = (clocks.wall_seconds(newest[kind]) for kind in (b"picture", b"sound"))
        assert video == pytest.approx(audio, abs=0.001)
        clocks.reports.clear()
        await clocks.learn(viewer)
        for ssrc, report in clocks.reports.items():
            rate = 90_000 if newest[b"picture"].ssrc == ssrc else 48_000
            passed = (report.ntp - before[ssrc].ntp) / 2**32
            assert report.rtp_timestamp - before[ssrc].rtp_timestamp == pytest.approx(passed * rate, abs=2)


async def test_a_viewer_that_loses_its_picture_gets_the_group_again() -> None:
    async with running_fed_engine() as engine:
        feed = await fed(engine, "f", seconds=50.0)
        viewer = await engine.viewer(codec="H264")
        show(feed, seconds=50.1)
        picture = (await newest_of_both(viewer))[b"picture"]
        engine.skipped_seconds += 2
        await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=picture.ssrc))
        again = [await viewer.receive_rtp() for _ in range(2)]
        assert [packet.payload for packet in again] == [b"key", b"picture"]
        assert again[0].sequence == (picture.sequence + 1) & 0xFFFF
        assert [packet.timestamp - picture.timestamp for packet in again] == [1, 2]
