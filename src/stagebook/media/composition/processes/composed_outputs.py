"""The outputs of a composition inside its process, and the spool from which their objects are uploaded."""

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

import structlog

from stagebook.media.composition.composition_port import (
    BucketOutput,
    ChannelOutput,
    CompositionRequest,
    Output,
    OutputFact,
    OutputFailed,
    OutputFault,
)
from stagebook.media.composition.outputs.hls_output import HlsOutput
from stagebook.media.composition.outputs.rtmp_output import RtmpOutput
from stagebook.media.composition.processes.composition_messages import SPOOLS_NAME, ComposingSetup
from stagebook.media.composition.program.composed_program import ComposedProgram
from stagebook.media.recording.thumbnails.thumbnail_thread import ThumbnailThread
from stagebook.storage.spool.spool_folder import UploadTarget, remove
from stagebook.storage.spool.upload import Upload
from stagebook.storage.spool.upload_spool import UploadSpool
from stagebook.storage.stores import open_store

OpenOutput: TypeAlias = HlsOutput | RtmpOutput

_log = structlog.get_logger(__name__)


class ComposedOutputs:
    """Opens the outputs of one composition."""

    def __init__(
        self, request: CompositionRequest, *, setup: ComposingSetup, report: Callable[[OutputFact], None]
    ) -> None:
        self._request = request
        self._setup = setup
        self._report = report
        self._thumbnails = ThumbnailThread()
        self._spool: UploadSpool | None = None
        self._uploads: list[Upload] = []

    @property
    def waiting_bytes(self) -> int:
        """The size of all objects that the store does not have yet."""
        return 0 if self._spool is None else self._spool.waiting_bytes

    @property
    def failed_attempts(self) -> int:
        """How often the store has not taken an object."""
        return 0 if self._spool is None else self._spool.failed_attempts

    async def open_spool(self) -> None:
        """Be the only process that uses the spool of the composition. Raises OSError."""
        if any(isinstance(output, BucketOutput) for output in self._request.outputs):
            self._spool = self._make_spool()
            await self._spool.lock()

    def open(self, output: Output, program: ComposedProgram) -> OpenOutput | None:
        """Return an output of a program that has not started. None, and its failure is reported, for a URL that is not
        one of RTMP or RTMPS."""
        if isinstance(output, BucketOutput):
            return self._open_bucket(output, program)
        try:
            return self._open_channel(output, program)
        except ValueError as error:
            _log.error("an output cannot be opened", destination=output.destination_id, error=type(error).__name__)
            failed = OutputFailed(
                composition_id=self._request.composition_id,
                destination_id=output.destination_id,
                fault=OutputFault.INTERNAL,
            )
            self._report(failed)
            return None

    async def close(self, *, is_settled: bool) -> None:
        """End the spool. What the store does not have stays on disk, and without `is_settled` all."""
        self._thumbnails.stop()
        if self._spool is not None:
            await self._spool.stop()
            if is_settled:
                await asyncio.to_thread(_remove_complete, self._uploads)

    def _make_spool(self) -> UploadSpool:
        folder = Path(SPOOLS_NAME) / self._request.composition_id
        return UploadSpool(folder, open_store(self._setup.storage), max_bytes=self._setup.spool_bytes)

    def _open_channel(self, output: ChannelOutput, program: ComposedProgram) -> RtmpOutput:
        return RtmpOutput(
            output,
            composition_id=self._request.composition_id,
            stream_format=program.stream_format,
            report=self._report,
            tls=ssl.create_default_context(),
        )

    def _open_bucket(self, output: BucketOutput, program: ComposedProgram) -> HlsOutput:
        self._spool = self._spool or self._make_spool()
        target = UploadTarget(bucket_name=output.bucket_name, prefix=output.prefix)
        upload = self._spool.open(output.destination_id, target)
        self._uploads.append(upload)
        return HlsOutput(
            output,
            composition_id=self._request.composition_id,
            stage_arn=self._request.stage_arn,
            stream_format=program.stream_format,
            report=self._report,
            upload=upload,
            check_bucket=partial(self._spool.store.check_bucket, output.bucket_name),
            now_ms=lambda: time.time_ns() // 1_000_000,
            start_ms=lambda: program.started_ms,
            make_thumbnail=self._thumbnails.maker,
        )


def _remove_complete(uploads: list[Upload]) -> None:
    """Remove the folders of uploads whose objects the store has. What waits stays on disk."""
    for upload in uploads:
        if upload.is_empty:
            remove(upload.folder)
            with suppress(OSError):  # Another upload waits.
                upload.folder.parent.rmdir()
