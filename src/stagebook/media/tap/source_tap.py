"""One tap: from the messages of its relay to frames on one timeline. Sans-I/O."""

from collections.abc import Callable
from typing import Final

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.media_bus import Unit
from stagebook.media.rtc.sdp.media_plan import PublisherPlan
from stagebook.media.rtc.sfu.relay.relay_messages import (
    EncoderRelayed,
    FrameCached,
    PacketRelayed,
    PublisherGone,
    PublisherRelayed,
    RelayMessage,
    ReportRelayed,
)
from stagebook.media.tap.encoder_tap import EncoderTap
from stagebook.media.tap.frame_builder import BuiltFrame
from stagebook.media.tap.layer_follower import SETTLING_SECONDS, PictureLimit
from stagebook.media.tap.publisher_tap import PublisherTap
from stagebook.media.tap.source_timeline import SourceTimeline
from stagebook.media.tap.tapped_frame import TappedFrame
from stagebook.media.tap.tapped_stream import StreamFrame, TappedStream

PATIENCE_SECONDS: Final = 1.0
"""How long lost packets are waited for: the engine requests each several times in a second."""


class SourceTap:
    """The media of one tap."""

    def __init__(
        self,
        *,
        hand_on: Callable[[TappedFrame], None],
        ask_for_keyframe: Callable[[int], None],
        limit: PictureLimit | None = None,
        settling_seconds: float = SETTLING_SECONDS,
        now: float,
    ) -> None:
        """`hand_on` gets the frames. `ask_for_keyframe` requests a keyframe of an SSRC from the engine. Simulcast
        layers above `limit` are avoided, and `settling_seconds` is how long they may take to show their heights. `now`
        is in monotonic seconds, also below."""
        self._now = now
        """When the tap was called last."""
        self._limit = limit
        self._settling_seconds = settling_seconds
        self._hand_on = hand_on
        self._ask_for_keyframe = ask_for_keyframe
        self._timeline = SourceTimeline(now)
        self._publisher: PublisherTap | None = None
        self._released: PublisherTap | None = None
        """The publisher that has fed the source last. It goes on if it only changes its codec."""
        self._encoder: EncoderTap | None = None
        self._height: int | None = None
        self._is_new: set[MediaKind] = set()
        """The kinds whose next frame is the first one of another publisher."""
        self._forms: dict[MediaKind, tuple[Codec, bytes]] = {}
        """Codec and form of the last frame of each kind."""

    def receive(self, message: RelayMessage, now: float) -> None:
        """Receive a message of the relay. What a publisher has sent cannot make it raise."""
        self._now = now
        match message:
            case PublisherRelayed():
                self._start_publisher(message, now)
            case EncoderRelayed():
                self._begin(now)
                self._encoder = EncoderTap(self._timeline, hand_on=self._hand_on_unit)
            case PublisherGone():
                self._released, self._publisher = self._publisher, None
            case _ if self._publisher is not None:
                self._receive_published(self._publisher, message, now)
            case _ if self._encoder is not None:
                self._receive_encoded(self._encoder, message, now)

    @staticmethod
    def _receive_published(publisher: PublisherTap, message: RelayMessage, now: float) -> None:
        match message:
            case PacketRelayed():
                publisher.receive_packet(message.packet, now)
            case ReportRelayed():
                publisher.receive_report(message.compound, now)

    @staticmethod
    def _receive_encoded(encoder: EncoderTap, message: RelayMessage, now: float) -> None:
        match message:
            case Unit():
                encoder.receive_unit(message, now)
            case FrameCached():
                encoder.receive_cached(message.timestamp, message.payloads)

    def choose_height(self, pixels: int | None, now: float) -> None:
        """Hand on the smallest simulcast layer that is at least so high; None: the best one."""
        self._height, self._now = pixels, now
        if self._publisher is not None:
            self._publisher.choose_height(pixels, now)

    def request_keyframe(self, now: float) -> None:
        """Request a keyframe of what is handed on."""
        if self._publisher is not None:
            self._publisher.request_keyframe(now)

    def tick(self, now: float) -> None:
        """Do what is due. Called a few times a second."""
        self._now = now
        if self._publisher is not None:
            self._publisher.tick(now)

    def flush(self, now: float) -> int | None:
        """Hand on what waits: nothing more is received. Returns the time of the newest media that has come, in
        microseconds, also of what was lost or cannot be decoded; None if nothing has come."""
        self._now = now
        publisher = self._publisher or self._released
        newest_us = None if publisher is None else publisher.flush(now)
        return self._timeline.end_us(newest_us)

    def _start_publisher(self, message: PublisherRelayed, now: float) -> None:
        current = self._publisher or self._released
        if current is not None and _is_same_connection(current.plan, message.plan):
            self._publisher = current
            current.change_plan(message.plan)
            return
        self._begin(now)
        self._publisher = PublisherTap(
            message.plan,
            message.rids,
            timeline=self._timeline,
            height=self._height,
            limit=self._limit,
            settling_seconds=self._settling_seconds,
            patience_seconds=PATIENCE_SECONDS,
            hand_on=self._hand_on_stream,
            ask_for_keyframe=self._ask_for_keyframe,
        )

    def _begin(self, now: float) -> None:
        """Another publisher begins: nothing more comes of the one before."""
        if (former := self._publisher or self._released) is not None:
            former.flush(now)
        self._publisher = self._released = self._encoder = None
        self._timeline.begin(now)
        self._is_new = set(self._forms)

    def _hand_on_stream(self, stream: TappedStream, frame: StreamFrame) -> None:
        time_us = stream.clock.time_us(frame.frame.timestamp)
        self._send(stream.plan.kind, stream.plan.codec, frame.frame, time_us, is_after_loss=frame.is_after_loss)

    def _hand_on_unit(self, kind: MediaKind, frame: BuiltFrame, time_us: float) -> None:
        self._send(kind, Codec.H264 if kind is MediaKind.VIDEO else Codec.OPUS, frame, time_us, is_after_loss=False)

    def _send(self, kind: MediaKind, codec: Codec, frame: BuiltFrame, time_us: float, *, is_after_loss: bool) -> None:
        form = (codec, frame.form)
        before = self._forms.get(kind)
        is_new_stream = kind in self._is_new or (before is not None and before != form)
        self._is_new.discard(kind)
        self._forms[kind] = form
        self._hand_on(
            TappedFrame(
                kind=kind,
                codec=codec,
                time_us=self._timeline.claim(kind, time_us, self._now),
                body=frame.body,
                is_keyframe=frame.is_keyframe,
                is_after_loss=is_after_loss,
                is_new_stream=is_new_stream,
            )
        )


def _is_same_connection(plan: PublisherPlan, other: PublisherPlan) -> bool:
    """Whether two plans are of one connection, which has only changed its codec. Those of encoders have no ICE
    credentials."""
    return bool(plan.remote.ufrag) and plan.remote == other.remote
