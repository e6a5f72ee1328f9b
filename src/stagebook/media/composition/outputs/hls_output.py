"""A destination that is a bucket: the composition as HLS, with its metadata and thumbnails.

    checking -- the bucket takes objects --> OutputStarted -- end --> draining -- all is stored --> OutputEnded
        |                                        |                        |
        `----------------------------------------`------------------------`--> OutputFailed

Nothing here waits for the store: objects go to the spool, which uploads them. A bucket that is missing or closed fails
the output; a store that is down fails it when the spool is full, or at the end. Whatever fails, the playlist is
complete as far as the recording got, and names only objects that the disk has not lost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from stagebook.media.codecs.annex_b import split_byte_stream
from stagebook.media.codecs.h264_nal import PPS, SPS, TYPE_MASK
from stagebook.media.composition.composition_port import (
    BucketOutput,
    OutputEnded,
    OutputFact,
    OutputFailed,
    OutputFault,
    OutputStarted,
)
from stagebook.media.composition.encoding.encoded_packet import EncodedPacket, StreamFormat
from stagebook.media.composition.outputs.output_upload import OutputUpload
from stagebook.media.recording.hls.encoded_media import EncodedPicture, SoundFormat, VideoFormat
from stagebook.media.recording.hls.hls_writer import HlsWriter
from stagebook.media.recording.processes.upload_recovery import close_after_loss
from stagebook.media.recording.recording_journal import RecordingBegan, RecordingClosed, encode_record
from stagebook.media.recording.recording_metadata import (
    JSON_TYPE,
    RecordingDescription,
    RecordingStatus,
    metadata_document,
    metadata_name,
)
from stagebook.media.recording.recording_recovery import CRASH_MESSAGE
from stagebook.media.recording.thumbnails.thumbnail_writer import ThumbnailMaker, ThumbnailWriter
from stagebook.storage.object_store import StorageError, StorageFault

CHECK_SECONDS: Final = 30.0
"""How long the bucket is tried at the start."""
DRAIN_SECONDS: Final = 20.0
"""How long the end waits for the store."""
WATCH_SECONDS: Final = 1.0
_LASTING_CHECKS: Final = 5
"""Number of consecutive checks with a permanent fault, such as a missing bucket, after which the output fails."""
_MAX_UNITS: Final = 64
_FAULTS: Final = {
    StorageFault.BUCKET_NOT_FOUND: OutputFault.BUCKET_NOT_FOUND,
    StorageFault.ACCESS_DENIED: OutputFault.ACCESS_DENIED,
    StorageFault.UNAVAILABLE: OutputFault.INTERNAL,
}

_log = structlog.get_logger(__name__)


def rendition_name(output: BucketOutput) -> str:
    """Return the folder of the rendition: `720p30-` and the id of the destination."""
    return f"{output.canvas.height}p{output.canvas.frames_per_second:.0f}-{output.destination_id}"


def _size(stream_format: StreamFormat) -> str:
    """Return the name of the thumbnails' folder."""
    return f"{stream_format.width}x{stream_format.height}"


def _describe(
    output: BucketOutput, *, stage_arn: str, stream_format: StreamFormat, started_ms: int
) -> RecordingDescription:
    thumbnails = output.thumbnails
    return RecordingDescription(
        stage_arn=stage_arn,
        started_ms=started_ms,
        rendition=rendition_name(output),
        width=stream_format.width,
        height=stream_format.height,
        has_thumbnails=thumbnails is not None and thumbnails.is_sequential,
        has_latest_thumbnail=thumbnails is not None and thumbnails.is_latest,
        thumbnail_folder=_size(stream_format),
    )


class HlsOutput:
    """Writes the packets of one encoding to a bucket."""

    def __init__(
        self,
        output: BucketOutput,
        *,
        composition_id: str,
        stage_arn: str,
        stream_format: StreamFormat,
        report: Callable[[OutputFact], None],
        upload: OutputUpload,
        check_bucket: Callable[[], Awaitable[None]],
        now_ms: Callable[[], int],
        start_ms: Callable[[], int],
        make_thumbnail: ThumbnailMaker | None = None,
    ) -> None:
        """`check_bucket` raises StorageError; `now_ms` is the wall-clock time since the epoch, and `start_ms` that at
        which the times of the packets begin. A packet may have waited for this process."""
        self._ids = {"composition_id": composition_id, "destination_id": output.destination_id}
        self._format = stream_format
        self._report = report
        self._upload = upload
        self._check_bucket = check_bucket
        self._now_ms = now_ms
        self._start_ms = start_ms
        self._is_streaming = False
        self._has_failed = False
        self._is_interrupted = False
        self._watching: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[int | None] | None = None
        """Completes the playlist after a failure."""
        self._description = _describe(output, stage_arn=stage_arn, stream_format=stream_format, started_ms=now_ms())
        self._segment_seconds = output.segment_seconds
        self._writer = HlsWriter(
            objects=upload,
            rendition=self._description.rendition,
            segment_seconds=output.segment_seconds,
            # Each segment begins with a keyframe of the encoder by itself (`keyframe_interval_seconds`).
            request_keyframe=_nothing,
            journal=upload.append_journal,
        )
        self._thumbnails = self._make_thumbnails(output, make_thumbnail)
        upload.on_fault = self._fail
        # Without an object of the output, its metadata must not say that it is complete.
        upload.on_lost = lambda: upload.withdraw(metadata_name(RecordingStatus.ENDED))

    def _make_thumbnails(self, output: BucketOutput, make: ThumbnailMaker | None) -> ThumbnailWriter | None:
        if output.thumbnails is None:
            return None
        return ThumbnailWriter(
            objects=self._upload,
            settings=output.thumbnails,
            folder=_size(self._format),
            request_keyframe=_nothing,
            make=make,
        )

    def start(self) -> None:
        """Check the bucket, and report facts from now on."""
        began = RecordingBegan(description=self._description, segment_seconds=self._segment_seconds)
        self._upload.append_journal(encode_record(began))
        self._put_metadata(RecordingStatus.STARTED)
        self._watching = asyncio.create_task(self._watch())

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet."""
        if self._has_failed:
            return
        if not isinstance(packet, EncodedPicture):
            if self._is_streaming and packet.time_samples >= 0:
                self._writer.write_sound(packet)
            return
        if not self._is_streaming:
            if not packet.is_keyframe:
                return
            self._start_stream(packet)
        self._writer.write_picture(packet)
        if self._thumbnails is not None:
            self._thumbnails.take_picture(time_us=packet.time_us, body=packet.body, is_keyframe=packet.is_keyframe)

    def interrupt(self) -> None:
        """Let the end that follows count as a failure: the server is lost, and its next start reports one."""
        self._is_interrupted = True

    async def end(self) -> None:
        """Write what completes the recording, wait for the store, and report OutputEnded or OutputFailed."""
        if self._watching is not None:
            self._watching.cancel()
        if self._closing is not None:
            await asyncio.wait([self._closing])
        if self._has_failed:
            return
        if self._thumbnails is not None:
            self._thumbnails.finish()
        duration_ms = self._writer.end()
        if self._is_interrupted:
            status, message = RecordingStatus.ENDED_WITH_FAILURE, CRASH_MESSAGE
            self._put_metadata(status, duration_ms=duration_ms, message=message)
        else:
            self._put_metadata(RecordingStatus.ENDED, duration_ms=duration_ms)
        try:
            await self._upload.drain(timeout_seconds=DRAIN_SECONDS)
        except StorageError as error:
            self._fail(error.fault)
        else:
            if self._upload.has_lost_object:
                self._fail(StorageFault.UNAVAILABLE)
            else:
                self._report(OutputEnded(**self._ids))
        if self._closing is not None:
            await asyncio.wait([self._closing])

    def _start_stream(self, keyframe: EncodedPicture) -> None:
        units = [bytes(unit) for unit in split_byte_stream(memoryview(keyframe.body), max_units=_MAX_UNITS)]
        video = VideoFormat(
            sps=next(unit for unit in units if unit[0] & TYPE_MASK == SPS),
            pps=tuple(unit for unit in units if unit[0] & TYPE_MASK == PPS),
        )
        sound = SoundFormat(description=self._format.audio_description)
        wall_clock_ms = self._start_ms() + keyframe.time_us // 1_000
        self._writer.start_stream(video=video, sound=sound, start_us=keyframe.time_us, wall_clock_ms=wall_clock_ms)
        self._is_streaming = True

    async def _watch(self) -> None:
        """Report the start, and a failure of the store."""
        try:
            await self._wait_for_bucket()
        except StorageError as error:
            self._fail(error.fault)
            return
        if (fault := self._upload.fault) is not None:
            self._fail(fault)
            return
        self._report(OutputStarted(**self._ids))
        lasting = 0
        while self._upload.fault is None and lasting < _LASTING_CHECKS:
            await asyncio.sleep(WATCH_SECONDS)
            is_lasting = self._upload.last_fault not in (None, StorageFault.UNAVAILABLE)
            lasting = lasting + 1 if is_lasting else 0
        self._fail(self._upload.fault or self._upload.last_fault or StorageFault.UNAVAILABLE)

    async def _wait_for_bucket(self) -> None:
        """Raises StorageError if the bucket does not take objects; a store that is down is tried for CHECK_SECONDS."""
        loop = asyncio.get_running_loop()
        until = loop.time() + CHECK_SECONDS
        while True:
            try:
                await self._check_bucket()
            except StorageError as error:
                if error.fault is not StorageFault.UNAVAILABLE or loop.time() > until:
                    raise
                await asyncio.sleep(WATCH_SECONDS)
            else:
                return

    def fail(self) -> None:
        """The output cannot go on, for a reason of its own."""
        self._fail(StorageFault.UNAVAILABLE)

    def _fail(self, fault: StorageFault) -> None:
        """Complete the recording as far as it got. The first fault counts."""
        if self._has_failed:
            return
        self._has_failed = True
        if self._watching is not None:
            self._watching.cancel()
        _log.warning("a bucket takes no objects of a composition", fault=fault.value, **self._ids)
        self._upload.withdraw(metadata_name(RecordingStatus.ENDED))
        with self._upload.last_objects():
            duration_ms = self._write_end()
            self._put_metadata(RecordingStatus.ENDED_WITH_FAILURE, duration_ms=duration_ms, message=fault.value)
        self._closing = asyncio.create_task(close_after_loss(self._upload, ended_ms=self._now_ms()))
        self._report(OutputFailed(**self._ids, fault=_FAULTS[fault]))

    def _write_end(self) -> int | None:
        """Write the last segment and the playlists. Returns the duration in milliseconds; None without media."""
        try:
            return self._writer.end() or None
        except Exception:  # noqa: BLE001 - the packet that it failed with may fail it again
            _log.exception("a composition could not be completed", **self._ids)
            return None

    def _put_metadata(
        self, status: RecordingStatus, *, duration_ms: int | None = None, message: str | None = None
    ) -> None:
        ended_ms = None if status is RecordingStatus.STARTED else self._now_ms()
        if ended_ms is not None:
            closed = RecordingClosed(status=status, ended_ms=ended_ms, message=message)
            self._upload.append_journal(encode_record(closed))
        document = metadata_document(
            self._description, status, ended_ms=ended_ms, duration_ms=duration_ms, message=message
        )
        self._upload.put_last(metadata_name(status), document, JSON_TYPE)


def _nothing() -> None:
    """Keyframes are not requested of the encoder."""
