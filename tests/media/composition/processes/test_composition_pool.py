"""Composition processes as the server runs them: facts, the end, kill -9, and the bound."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import av
import pytest

from stagebook.media.composition.composition_port import (
    BucketOutput,
    ChannelOutput,
    CompositionFact,
    CompositionLost,
    CompositionRequest,
    OutputEnded,
    OutputFailed,
    OutputFault,
    OutputReconnecting,
    OutputStarted,
)
from stagebook.media.composition.layout.layout_settings import GridLayout
from stagebook.media.composition.processes.composing_statistics import CompositionCounts
from stagebook.media.composition.processes.composition_messages import SPOOLS_NAME, ComposingSetup
from stagebook.media.composition.processes.composition_pool import CompositionPool
from stagebook.media.composition.processes.composition_process import MAX_FILE_BYTES
from stagebook.media.composition.processes.composition_spools import LeftSpools
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.recording.recording_journal import RecordingBegan, RecordingClosed, encode_record
from stagebook.media.recording.recording_metadata import RecordingDescription, RecordingStatus
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.storage.spool.spool_folder import JOURNAL_NAME
from stagebook.storage.storage_settings import FolderStorage
from tests.media.composition.encoded_media import CANVAS


class NoSources:
    """Engines without sources."""

    async def open_tap(self, source_id: str, accept: Callable[[SourceDescription], Awaitable[FeedTicket]]) -> None:
        """As SourceTaps."""
        del source_id, accept
        raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="there is no such source")


def request(composition_id: str, *outputs: BucketOutput | ChannelOutput) -> CompositionRequest:
    return CompositionRequest(
        composition_id=composition_id,
        composition_arn=f"arn:aws:ivs:us-west-2:123456789012:composition/{composition_id}",
        stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
        started_ms=1_764_000_000_000,
        layout=GridLayout(),
        outputs=outputs,
    )


def bucket(destination_id: str = "bucket") -> BucketOutput:
    return BucketOutput(
        destination_id=destination_id, canvas=CANVAS, bucket_name="my-bucket", prefix=f"{destination_id}/composite"
    )


class Compositions:
    """A pool with one composition at most, and what it reports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "recordings"
        self.facts: asyncio.Queue[CompositionFact] = asyncio.Queue()
        setup = ComposingSetup(storage=FolderStorage(path="."), spool_bytes=64 << 20, decoding_threads=1)
        self.pool = CompositionPool(setup, NoSources(), folder=self.folder, max_compositions=1)
        self.pool.listen(self.facts.put_nowait)


@pytest.fixture(name="compositions")
async def compositions_fixture(tmp_path: Path) -> AsyncIterator[Compositions]:
    compositions = Compositions(tmp_path)
    yield compositions
    await compositions.pool.stop()
    assert not compositions.pool.runs


async def test_a_composition_without_participants_is_stored_until_it_ends(compositions: Compositions) -> None:
    compositions.pool.start_composition(request("one", bucket()))
    assert await compositions.facts.get() == OutputStarted(composition_id="one", destination_id="bucket")
    playlist = compositions.folder / "my-bucket" / "bucket" / "composite" / "media" / "hls" / "180p30-bucket"
    while not (playlist / "0.mp4").exists():  # noqa: ASYNC110 - a file has no event
        await asyncio.sleep(0.05)
    compositions.pool.end_composition("one")
    assert await compositions.facts.get() == OutputEnded(composition_id="one", destination_id="bucket")
    with av.open(str(playlist / "playlist.m3u8")) as player:
        assert sum(1 for _ in player.decode(video=0)) > 1


async def test_what_an_earlier_run_has_completed_is_known_when_its_spool_is_gone(compositions: Compositions) -> None:
    """A node recovers an account when it takes it: the spool may have been completed by then."""
    spool = compositions.folder / SPOOLS_NAME / "one"
    description = RecordingDescription(stage_arn="arn", started_ms=1, rendition="180p30-bucket")
    began = RecordingBegan(description=description, segment_seconds=2)
    closed = RecordingClosed(status=RecordingStatus.ENDED, ended_ms=2)
    interrupted = encode_record(began)
    journals = {"complete": interrupted + encode_record(closed), "interrupted": interrupted}
    for destination_id, journal in journals.items():
        (spool / destination_id).mkdir(parents=True)
        (spool / destination_id / JOURNAL_NAME).write_bytes(journal)
    await compositions.pool.note_former()
    shutil.rmtree(spool)
    assert list(await compositions.pool.complete_outputs(["one", "of another node"])) == [("one", "complete")]


async def test_what_a_killed_process_has_stored_is_completed(compositions: Compositions) -> None:
    compositions.pool.start_composition(request("one", bucket()))
    await compositions.facts.get()
    prefix = compositions.folder / "my-bucket" / "bucket" / "composite"
    # A segment that is stored before its record is in the journal is not completed: the playlist comes after both.
    playlist = prefix / "media" / "hls" / "180p30-bucket" / "playlist.m3u8"
    while not playlist.exists():  # noqa: ASYNC110 - a file has no event
        await asyncio.sleep(0.05)
    process_id = compositions.pool.runs["one"].process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    assert await compositions.facts.get() == CompositionLost(composition_id="one")
    failed = prefix / "events" / "recording-failed.json"
    while not failed.exists() or compositions.pool.runs:  # noqa: ASYNC110 - a file has no event
        await asyncio.sleep(0.05)
    assert json.loads(failed.read_bytes())["recording_status"] == "RECORDING_ENDED_WITH_FAILURE"
    assert playlist.read_text().endswith("#EXT-X-ENDLIST\n")
    assert not any((compositions.folder / "_compositions").iterdir())


async def test_what_compositions_have_left_is_measured(compositions: Compositions) -> None:
    assert compositions.pool.left_spools == LeftSpools()
    spools = compositions.folder / "_compositions"
    for name, age_seconds in (("old", 1_000), ("new", 10)):
        (spools / name).mkdir(parents=True)
        changed_at = time.time() - age_seconds
        os.utime(spools / name, (changed_at, changed_at))
    left = compositions.pool.left_spools
    assert left.names == ("new", "old")
    assert 1_000 <= left.oldest_seconds < 1_100


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_process_has_no_rights_but_to_write_its_spool_and_to_start_threads(compositions: Compositions) -> None:
    compositions.pool.start_composition(request("one", bucket()))
    await compositions.facts.get()
    process = Path(f"/proc/{compositions.pool.runs['one'].process_id}")
    lines = (process / "limits").read_text().splitlines()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max file size"] == [str(MAX_FILE_BYTES)] * 2
    assert "NoNewPrivs:\t1" in (process / "status").read_text()


async def test_one_composition_too_many_is_lost_at_once(compositions: Compositions) -> None:
    channel = ChannelOutput(destination_id="channel", canvas=CANVAS, url="rtmp://127.0.0.1:1/app/key")
    compositions.pool.start_composition(request("one", channel))
    compositions.pool.start_composition(request("two", channel))
    assert await compositions.facts.get() == CompositionLost(composition_id="two")
    await compositions.pool.stop()
    # The channel was never reached, but the composition ended in order.
    assert await compositions.facts.get() == OutputEnded(composition_id="one", destination_id="channel")


async def test_losses_failures_and_reconnects_are_counted(compositions: Compositions) -> None:
    counts = CompositionCounts()
    ids = {"composition_id": "one", "destination_id": "channel"}
    for fact in (
        OutputStarted(**ids),
        OutputReconnecting(**ids),
        OutputStarted(**ids),
        OutputReconnecting(**ids),
        OutputFailed(**ids, fault=OutputFault.STREAM_EXISTS),
    ):
        counts.note(fact)
    assert counts.reconnects == 2
    assert {fault: count for fault, count in counts.failed_outputs.items() if count} == {OutputFault.STREAM_EXISTS: 1}
    assert counts.lost == 0
    compositions.pool.start_composition(request("one", bucket()))
    await compositions.facts.get()
    compositions.pool.start_composition(request("two", bucket()))
    await compositions.facts.get()
    assert compositions.pool.counts.lost == 1
    assert compositions.pool.composition_count == 1


async def test_the_totals_of_a_process_are_kept_after_its_end(compositions: Compositions) -> None:
    compositions.pool.start_composition(request("one", bucket()))
    await compositions.facts.get()
    compositions.pool.end_composition("one")
    while compositions.pool.runs:  # noqa: ASYNC110 - the exit of a process has no event
        await asyncio.sleep(0.01)
    used = compositions.pool.statistics
    assert used.cpu_seconds > 0
    assert used.waiting_bytes == 0
    compositions.pool.start_composition(request("two", bucket()))
    await compositions.facts.get()
    await compositions.pool.stop()
    assert compositions.pool.statistics.cpu_seconds > used.cpu_seconds
