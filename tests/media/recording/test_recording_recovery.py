"""Recordings whose process was killed, closed from what their journals hold."""

import json

import pytest

from stagebook.media.recording.recording_metadata import RecordingStatus
from stagebook.media.recording.recording_recovery import recover_recording
from tests.media.recording.hls_rules import FOLDER, check_recording
from tests.media.recording.recorded_publisher import START_MS, RecordedPublisher, make_request
from tests.media.recording.stored_objects import StoredObjects
from tests.media.recording.tapped_media import interleaved, pictures, sounds


class KilledPublisher(RecordedPublisher):
    """A recording that remembers what was stored at each step, in the order of puts and writes to the journal."""

    def __init__(self) -> None:
        super().__init__(make_request())
        self.steps: list[tuple[int, int]] = []
        """The numbers of puts and of bytes of the journal, after each step."""
        self.bodies: list[tuple[str, bytes]] = []
        self.duration_ms = 0
        put = self.objects.put

        def put_and_remember(name: str, body: bytes, content_type: str) -> None:
            put(name, body, content_type)
            self.bodies.append((name, body))
            self.steps.append((len(self.bodies), len(self.journal)))

        self.objects.put = put_and_remember  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def recorded() -> KilledPublisher:
    publisher = KilledPublisher()
    video = [*pictures(5), *pictures(4, start_us=5_000_000, width=320, height=192)]
    publisher.send(interleaved(iter(video), sounds(9)))
    publisher.duration_ms = publisher.recorder.end()
    return publisher


def stored_after(publisher: KilledPublisher, puts: int) -> StoredObjects:
    """Return what was stored after a number of puts."""
    objects = StoredObjects()
    for name, body in publisher.bodies[:puts]:
        objects.put(name, body, "")
    return objects


def test_a_recording_is_closed_after_a_kill_at_any_byte(recorded: KilledPublisher) -> None:
    journal = bytes(recorded.journal)
    durations = set()
    for size in range(len(journal) + 1):
        puts = next(puts for puts, written in recorded.steps if written >= size)
        recovered = recover_recording(journal[:size], ended_ms=START_MS)
        if recovered is None:
            assert b"\n" not in journal[:size]
            continue
        durations.add(recovered.duration_ms)
        if size == 0 or journal[size - 1 : size] != b"\n":
            continue
        objects = stored_after(recorded, puts)
        for recovered_object in recovered.objects:
            objects.put(recovered_object.name, recovered_object.body, recovered_object.content_type)
        if recovered.duration_ms:
            recording = check_recording(objects.bodies)
            assert round(recording.duration_seconds * 1_000) == recovered.duration_ms
    assert durations == {0, 2_000, 4_000, 5_000, 7_000, recorded.duration_ms}


def test_a_killed_recording_has_ended_with_a_failure(recorded: KilledPublisher) -> None:
    cut = recorded.journal.index(b'{"type":"closed"')
    recovered = recover_recording(bytes(recorded.journal[:cut]), ended_ms=START_MS + 9_000)
    assert recovered is not None
    assert recovered.status is RecordingStatus.ENDED_WITH_FAILURE
    assert recovered.request == make_request()
    assert [found.name for found in recovered.objects] == [
        f"{FOLDER}/playlist.m3u8",
        "media/hls/multivariant.m3u8",
        "events/recording-failed.json",
    ]
    document = json.loads(recovered.objects[-1].body)
    assert document["recording_status"] == "RECORDING_ENDED_WITH_FAILURE"
    assert document["media"]["hls"]["duration_ms"] == recorded.duration_ms
    assert document["recording_ended_at"] == "2023-11-14T22:13:29Z"


def test_a_recording_that_had_ended_is_completed_as_it_was(recorded: KilledPublisher) -> None:
    recovered = recover_recording(bytes(recorded.journal), ended_ms=0)
    assert recovered is not None
    assert recovered.status is RecordingStatus.ENDED
    for found in recovered.objects:
        assert found.body == recorded.objects.bodies[found.name], found.name


def test_a_journal_with_a_line_that_is_no_record_is_read_up_to_it(recorded: KilledPublisher) -> None:
    lines = bytes(recorded.journal).splitlines(keepends=True)
    recovered = recover_recording(b"".join([*lines[:3], b"\0\0\0\n", *lines[3:]]), ended_ms=0)
    assert recovered is not None
    assert recovered.duration_ms == 2_000


def test_nothing_is_recovered_without_a_journal() -> None:
    assert recover_recording(b"", ended_ms=0) is None
    assert recover_recording(b'{"type":"segment","number":0,"end_us":1,"size_bytes":1}\n', ended_ms=0) is None
