"""Which simulcast layer of a publisher a tap hands on. Sans-I/O.

The smallest layer that is at least as high as was chosen, or else the highest, of those that send. Another layer takes
over with its keyframe, which is requested; until then the one before goes on, so that no picture is missing. A layer
that is silent while another one sends was paused by the publisher, and the next one takes its place.

A layer above a `PictureLimit` is chosen only if there is no other one.

The heights are in the keyframes. So at the start the frames of all layers are kept until all heights are known, or for
the settling time from the first keyframe on, and the best layer begins with its first keyframe. A recording has this
time, and needs no change of the picture size in its first second; a composition shows what comes first.
"""

from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from stagebook.media.rtc.sfu.simulcast.simulcast_layers import SILENCE_SECONDS
from stagebook.media.tap.tapped_stream import StreamFrame, TappedStream

SETTLING_SECONDS: Final = 0.5
MAX_SIZE_REQUESTS: Final = 3


class PictureLimit(NamedTuple):
    """The largest picture that a consumer of a tap can use, in pixels."""

    longer_side: int
    shorter_side: int

    def admits(self, width: int, height: int) -> bool:
        """Return whether a picture of this size can be used."""
        return max(width, height) <= self.longer_side and min(width, height) <= self.shorter_side


class LayerFollower:
    """The choice for one publisher's video."""

    def __init__(
        self,
        *,
        layers: int,
        height: int | None,
        limit: PictureLimit | None,
        settling_seconds: float = SETTLING_SECONDS,
        ask_for_keyframe: Callable[[int], None],
    ) -> None:
        """`layers` is the number of layers of the publisher's offer; 1 without simulcast. `height` is the wanted one in
        pixels; None for the best. `ask_for_keyframe` requests a keyframe of an SSRC from the engine."""
        self._settling_seconds = settling_seconds
        self._limit = limit
        self.height = height
        self.streams: dict[int, TappedStream] = {}
        """By SSRC."""
        self._layers = layers
        self._ask_for_keyframe = ask_for_keyframe
        self.current: TappedStream | None = None
        """The stream that is handed on. None before its first keyframe."""
        self._target: TappedStream | None = None
        """The stream to go on with at its next keyframe; the current one if nothing is to change."""
        self._first_keyframe_at: float | None = None

    def receive(self, stream: TappedStream, frames: list[StreamFrame], now: float) -> list[StreamFrame]:
        """Take the frames of a stream. Returns those that are handed on."""
        handed_on: list[StreamFrame] = []
        for each in frames:
            if each.frame.is_keyframe:
                self._first_keyframe_at = self._first_keyframe_at or now
                stream.width, stream.height = each.frame.width, each.frame.height
                self.choose(now)
            if stream is self.current:
                handed_on.append(each)
            elif self.current is None:
                stream.hold(each)
                handed_on += self._begin(now)
            elif stream is self._target and each.frame.is_keyframe:
                self.current = stream
                handed_on.append(each)
        if stream.waits_for_keyframe and stream is (self._target or stream):
            self._request(stream, now)
        return handed_on

    def _begin(self, now: float) -> list[StreamFrame]:
        """Begin with the best layer if it is known which one that is."""
        known = [each for each in self._active() if each.height]
        began_at = now if self._first_keyframe_at is None else self._first_keyframe_at
        is_settled = len(known) >= self._layers or now - began_at >= self._settling_seconds
        if self._target is None or not self._target.held or not is_settled:
            return []
        self.current = self._target
        held = self.current.release()
        for each in self.streams.values():
            each.release()
        return held

    def request_keyframe(self, now: float) -> None:
        """Request a keyframe of the stream that is handed on, or will be."""
        stream = self._target or self.current
        if stream is not None:
            self._request(stream, now)

    def _request(self, stream: TappedStream, now: float) -> None:
        stream.want_keyframe()
        if stream.takes_request(now):
            self._ask_for_keyframe(stream.ssrc)

    def forget(self, stream: TappedStream) -> None:
        """A stream is silent for long and was removed."""
        if self._target is stream:
            self._target = None
        if self.current is stream:
            self.current = None

    def tick(self, now: float) -> list[StreamFrame]:
        """Choose the layer, and repeat the keyframe requests that are due. Called a few times a second. Returns frames
        to be handed on."""
        self.choose(now)
        for stream in self.streams.values():
            is_to_begin = stream is not self.current and not stream.held
            is_wanted = stream is self._target and (stream.waits_for_keyframe or is_to_begin)
            has_no_size = not stream.height and stream.waits_for_keyframe and stream.size_requests < MAX_SIZE_REQUESTS
            if is_wanted or has_no_size:
                stream.want_keyframe()
            if stream.takes_request(now):
                stream.size_requests += 1
                self._ask_for_keyframe(stream.ssrc)
        return self._begin(now) if self.current is None else []

    def choose(self, now: float) -> None:
        """Set the stream to go on with."""
        active = [each for each in self._active() if each.height]
        if not active:
            # Of unknown height: any one is better than none.
            self._target = self.current or next(iter(self._active()), None)
            return
        limit, wanted = self._limit, self.height
        active = [each for each in active if limit is None or limit.admits(each.width, each.height)] or active
        fitting = [each for each in active if wanted is not None and each.height >= wanted]
        height = min(each.height for each in fitting) if fitting else max(each.height for each in active)
        best = [each for each in active if each.height == height]
        if self.current not in best:
            self._target = max(best, key=lambda each: each.octets / (now - each.began_at + 1))
        else:
            self._target = self.current

    def _active(self) -> Collection[TappedStream]:
        """The streams that send. A sender that goes on with another SSRC has replaced the one before."""
        streams = list(self.streams.values())
        newest = max((each.last_packet_at for each in streams), default=0.0)
        replaced = {
            older.ssrc
            for older in streams
            for newer in streams
            if newer.encoding_id == older.encoding_id and newer.began_at > older.began_at and newer.height
        }
        return [
            each for each in streams if each.ssrc not in replaced and newest - each.last_packet_at < SILENCE_SECONDS
        ]
