"""The work for the packets of a publisher, whatever it writes into them."""

import random
from collections.abc import Sequence

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.red_payload import MAX_REPEATED_FRAMES
from stagebook.media.rtc.sdp.header_extensions import HeaderExtensions
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, RemoteTransport, TrackPlan
from stagebook.media.rtc.sfu.published_source import PublishedSource
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters
from tests.media.rtc.operation_count import count_operations
from tests.media.rtc.packets import one_byte_extension, red, rtp

OPUS, RED, NUMBER_EXTENSION = 111, 63, 3
PACKETS_PER_SECOND = 1000

AUDIO = TrackPlan(
    section=0,
    kind=MediaKind.AUDIO,
    mid="0",
    protocol="UDP/TLS/RTP/SAVPF",
    codec=Codec.OPUS,
    payload_type=OPUS,
    red_payload_type=RED,
    encoding="opus",
    clock_rate=48_000,
    channels=2,
    parameters="",
    feedback=("nack", "transport-cc"),
    extensions=HeaderExtensions(transport_sequence=NUMBER_EXTENSION),
    rtcp_reduced_size=True,
)


class FeedbackSize:
    """Counts the feedback to a publisher."""

    connection_id = "p"
    waited_seconds = 0.0

    def __init__(self) -> None:
        self.bytes = self.messages = 0

    def send_rtcp(self, compound: bytes) -> None:
        """Count a compound."""
        self.messages += 1
        self.bytes += len(compound)


def audio_packet(number: int, sequence: int, payload: bytes, payload_type: int = OPUS) -> bytes:
    """Return an audio packet with a transport-wide number."""
    extension = one_byte_extension({NUMBER_EXTENSION: (number & 0xFFFF).to_bytes(2, "big")})
    return rtp(payload, payload_type=payload_type, sequence=sequence, timestamp=sequence * 960, extension=extension)


def receive(packets: Sequence[bytes]) -> tuple[int, FeedbackSize]:
    """Receive packets in a row. Returns the operations of it, and the feedback."""
    plan = PublisherPlan(remote=RemoteTransport(ufrag="", pwd="", fingerprints=()), video=None, audio=AUDIO)
    source = PublishedSource(
        "s",
        plan,
        name="s",
        video_codec=Codec.VP8,
        random_bits=random.getrandbits,
        wall_clock=lambda: 0.0,
        on_codec_changed=lambda *_: None,
    )
    publisher = Publisher(plan, ssrc=1, cname=b"c", ceiling_bps=8_500_000, listener=source, counters=MediaCounters())
    feedback = FeedbackSize()
    publisher.connected(feedback, 0.0)

    def run() -> None:
        for position, packet in enumerate(packets):
            publisher.receive_rtp(packet, position / PACKETS_PER_SECOND)

    return count_operations(run), feedback


PLAIN = [audio_packet(number, number, b"frame") for number in range(600)]


def test_numbers_with_gaps_in_any_order_cost_little_more_than_those_in_a_row() -> None:
    usual, expected = receive(PLAIN)
    chaos = random.Random(1)
    for step in (1, 2999):
        packets = [audio_packet(chaos.randrange(0, 0xFFFF, step), sequence, b"frame") for sequence in range(600)]
        work, feedback = receive(packets)
        assert work < 3 * usual
        assert feedback.bytes < 30 * len(packets)
    assert expected.messages == 600 * 20 // PACKETS_PER_SECOND


def test_repeated_frames_cost_a_bounded_amount() -> None:
    usual, _ = receive(PLAIN)
    payload = red(b"frame", [(960, b"old")] * MAX_REPEATED_FRAMES)
    packets = [audio_packet(number, number, payload, RED) for number in range(600)]
    many = [(960, b"")] * 300
    refused = [audio_packet(number, number, red(b"frame", many), RED) for number in range(600)]
    assert receive(packets)[0] < 5 * usual
    assert receive(refused)[0] < 2 * usual
