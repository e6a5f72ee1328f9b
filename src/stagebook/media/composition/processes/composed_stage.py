"""A composition inside its process: inputs, programs and outputs, and what connects them.

    TapReceiver -> ParticipantDecoder -> ComposedProgram (one for each canvas) -> HlsOutput, RtmpOutput

Outputs with the same canvas share one program. Its packets come to the event loop, where the outputs take them without
waiting. All methods are called on the event loop.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import structlog
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from stagebook.media.composition.composition_port import (
    BucketOutput,
    CanvasSettings,
    ComposedParticipant,
    CompositionRequest,
    Output,
    OutputFact,
)
from stagebook.media.composition.drawing.compositor import LONGER_SIDE, SHORTER_SIDE
from stagebook.media.composition.encoding.encoded_packet import EncodedPacket
from stagebook.media.composition.encoding.picture_encoder import keyframe_interval_seconds
from stagebook.media.composition.inputs.decoding_threads import DecodingThreads
from stagebook.media.composition.inputs.participant_decoder import ParticipantDecoder
from stagebook.media.composition.outputs.hls_output import HlsOutput
from stagebook.media.composition.processes.composed_outputs import ComposedOutputs, OpenOutput
from stagebook.media.composition.processes.composing_statistics import ComposingStatistics
from stagebook.media.composition.processes.composition_leftovers import bounded_leftovers, complete_leftover
from stagebook.media.composition.processes.composition_messages import SPOOLS_NAME, ComposingSetup
from stagebook.media.composition.program.composed_program import ComposedProgram
from stagebook.media.media_bus import FeedTicket
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.tap.layer_follower import PictureLimit
from stagebook.media.tap.tap_receiver import TapReceiver
from stagebook.media.tap.tapped_frame import TappedFrame

_log = structlog.get_logger(__name__)


class _TappedParticipant:
    """The tap of one participant (`TapListener`)."""

    def __init__(self, participant_id: str, decoder: ParticipantDecoder, on_ended: Callable[[str], None]) -> None:
        self.participant_id = participant_id
        self.decoder = decoder
        self._on_ended = on_ended

    def frame_received(self, tap_id: str, frame: TappedFrame) -> None:  # noqa: ARG002 - of the interface
        """As TapListener."""
        self.decoder.receive(frame)

    def tap_ended(self, tap_id: str, end_us: int | None) -> None:  # noqa: ARG002 - of the interface
        """As TapListener."""
        self._on_ended(tap_id)


class _OpenProgram:
    """A program and the outputs that share it."""

    def __init__(self) -> None:
        self.outputs: list[OpenOutput] = []
        self.heights: Mapping[str, int] = {}

    def deliver(self, packets: list[EncodedPacket]) -> None:
        """Hand packets to the outputs. An error of one output ends this output only."""
        for output in tuple(self.outputs):
            try:
                for packet in packets:
                    output.put(packet)
            except Exception:  # noqa: BLE001 - the other output goes on
                _log.exception("an output failed")
                self.outputs.remove(output)
                output.fail()


class ComposedStage:
    """One composition."""

    def __init__(
        self,
        request: CompositionRequest,
        *,
        setup: ComposingSetup,
        leftovers: tuple[str, ...] = (),
        taps: TapReceiver,
        report: Callable[[OutputFact], None],
        on_tap_ended: Callable[[str], None],
        on_failure: Callable[[], None],
    ) -> None:
        """`on_failure` is called if a program fails: there are no packets any more."""
        self._request = request
        self._setup = setup
        self._leftovers = leftovers
        self._abandoned_uploads = 0
        self._taps = taps
        self._report_tap_ended = on_tap_ended
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._threads = DecodingThreads(setup.decoding_threads)
        self._outputs = ComposedOutputs(request, setup=setup, report=report)
        self._programs: list[tuple[ComposedProgram, _OpenProgram]] = []
        self._participants: dict[str, _TappedParticipant] = {}
        """By tap id."""

    async def open_spool(self) -> None:
        """As ComposedOutputs.open_spool."""
        await self._outputs.open_spool()

    def start(self) -> None:
        """Begin to compose, without participants. Raises OSError."""
        canvases: dict[CanvasSettings, list[Output]] = {}
        for output in self._request.outputs:
            canvases.setdefault(output.canvas, []).append(output)
        for canvas, outputs in canvases.items():
            self._programs.append(self._open_program(canvas, outputs))
        for program, opened in self._programs:
            for each in opened.outputs:
                each.start()
            program.start()

    def show(self, participants: tuple[ComposedParticipant, ...]) -> None:
        """Draw and mix these participants."""
        for program, _ in self._programs:
            program.show(participants)

    def accept_tap(self, tap_id: str, participant_id: str, description: SourceDescription) -> FeedTicket:
        """Take the media of a participant from a tap. Raises ValueError for an id in use."""
        decoder = ParticipantDecoder(
            participant_id,
            thread=self._threads.join(),
            media=self,
            request_keyframe=lambda: self._on_loop(partial(self._taps.request_keyframe, tap_id)),
        )
        tapped = _TappedParticipant(participant_id, decoder, self._end_tap)
        limit = PictureLimit(LONGER_SIDE, SHORTER_SIDE)
        # A participant that joins is shown with the first keyframe of any layer.
        ticket = self._taps.accept(tap_id, description, tapped, limit=limit, settling_seconds=0.0)
        self._participants[tap_id] = tapped
        self._apply_heights()
        return ticket

    def close_tap(self, tap_id: str) -> None:
        """Close a tap. Unknown ids are ignored."""
        self._taps.close(tap_id)
        self._forget_tap(tap_id)

    async def end(self, *, is_server_lost: bool = False) -> None:
        """Stop composing and complete all outputs. The end of each is reported.

        If the server is lost, the composition has failed, and the metadata of its buckets says so.
        """
        for program, _ in self._programs:
            await asyncio.to_thread(program.stop)
        # The packets that the programs have handed over arrive first.
        await asyncio.sleep(0)
        outputs = [output for _, opened in self._programs for output in opened.outputs]
        for output in outputs:
            if is_server_lost and isinstance(output, HlsOutput):
                output.interrupt()
        await asyncio.gather(*(output.end() for output in outputs))
        spools = [Path(SPOOLS_NAME) / name for name in self._leftovers]
        kept = await asyncio.to_thread(bounded_leftovers, spools, max_bytes=self._setup.spool_bytes)
        self._abandoned_uploads = sum(each not in kept and not each.exists() for each in spools)
        for spool in kept:
            self._abandoned_uploads += await complete_leftover(spool, self._setup)

    async def close(self, *, is_settled: bool = True) -> None:
        """End the threads and the spool, as ComposedOutputs.close."""
        self._threads.stop()
        await self._outputs.close(is_settled=is_settled)

    def statistics(self) -> ComposingStatistics:
        """Return what this process has used so far."""
        clocks = [program.clock for program, _ in self._programs]
        return ComposingStatistics(
            cpu_seconds=time.process_time(),
            repeated_frames=sum(clock.repeated_frames for clock in clocks),
            omitted_frames=sum(clock.omitted_frames for clock in clocks),
            waiting_bytes=self._outputs.waiting_bytes,
            failed_attempts=self._outputs.failed_attempts,
            abandoned_uploads=self._abandoned_uploads,
        )

    # DecodedMedia, on the decoding threads

    def take_picture(self, participant_id: str, picture: VideoFrame, time_us: int) -> None:
        """As DecodedMedia."""
        for program, _ in self._programs:
            program.take_picture(participant_id, picture, time_us)

    def take_sound(self, participant_id: str, samples: NDArray[np.int16], time_us: int) -> None:
        """As DecodedMedia."""
        for program, _ in self._programs:
            program.take_sound(participant_id, samples, time_us)

    def _open_program(self, canvas: CanvasSettings, outputs: list[Output]) -> tuple[ComposedProgram, _OpenProgram]:
        opened = _OpenProgram()
        program = ComposedProgram(
            canvas,
            self._request.layout,
            keyframe_interval=_keyframe_interval(outputs),
            deliver=lambda packets: self._on_loop(partial(opened.deliver, packets)),
            on_heights=lambda heights: self._on_loop(partial(self._take_heights, opened, heights)),
            on_failure=lambda: self._on_loop(self._on_failure),
        )
        for output in outputs:
            if (each := self._outputs.open(output, program)) is not None:
                opened.outputs.append(each)
        return program, opened

    def _on_loop(self, callback: Callable[[], None]) -> None:
        """Call a function on the event loop. Called on any thread."""
        self._loop.call_soon_threadsafe(callback)

    def _end_tap(self, tap_id: str) -> None:
        self._forget_tap(tap_id)
        self._report_tap_ended(tap_id)

    def _forget_tap(self, tap_id: str) -> None:
        tapped = self._participants.pop(tap_id, None)
        if tapped is not None:
            self._threads.leave(tapped.decoder.thread)

    def _take_heights(self, opened: _OpenProgram, heights: Mapping[str, int]) -> None:
        opened.heights = heights
        self._apply_heights()

    def _apply_heights(self) -> None:
        """Choose the layer of each participant: the highest that a program needs. Who needs none is not decoded."""
        for tap_id, tapped in self._participants.items():
            heights = [opened.heights.get(tapped.participant_id) for _, opened in self._programs]
            wanted = max((height for height in heights if height is not None), default=None)
            tapped.decoder.shows_video = wanted is not None
            if wanted is not None:
                self._taps.choose_height(tap_id, wanted)


def _keyframe_interval(outputs: list[Output]) -> Fraction:
    """That of the bucket's segments; a channel takes any up to 2 s."""
    segments = [output.segment_seconds for output in outputs if isinstance(output, BucketOutput)]
    return keyframe_interval_seconds(segments[0] if segments else None)
