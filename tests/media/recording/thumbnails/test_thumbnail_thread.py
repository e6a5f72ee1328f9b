"""Thumbnails beside the event loop: what the loop's thread does, and what is dropped."""

import asyncio
import threading

from stagebook.media.recording.recording_port import ThumbnailSettings
from stagebook.media.recording.thumbnails.thumbnail_thread import MAX_WAITING, ThumbnailThread
from stagebook.media.recording.thumbnails.thumbnail_writer import Thumbnail, ThumbnailWriter, make_thumbnail
from tests.media.recording.stored_objects import StoredObjects
from tests.media.recording.tapped_media import second_of_pictures
from tests.storage.gated_store import until


def writer(objects: StoredObjects, thread: ThumbnailThread) -> ThumbnailWriter:
    """Return a writer with a thumbnail each ten seconds."""
    return ThumbnailWriter(
        objects=objects,
        settings=ThumbnailSettings(interval_seconds=10),
        folder="high",
        request_keyframe=lambda: None,
        make=thread.maker,
    )


async def test_no_keyframe_is_decoded_on_the_thread_of_the_event_loop() -> None:
    decoded: list[int] = []

    def make(body: bytes) -> Thumbnail:
        decoded.append(threading.get_ident())
        return make_thumbnail(body)

    thread, objects = ThumbnailThread(make=make), StoredObjects()
    writer(objects, thread).take_picture(time_us=0, body=second_of_pictures()[0], is_keyframe=True)
    assert objects.bodies == {}
    await until(lambda: bool(objects.bodies))
    thread.stop()
    assert len(decoded) == 1
    assert threading.get_ident() not in decoded


async def test_what_waits_is_bounded_and_the_oldest_is_dropped() -> None:
    gate, threads = threading.Event(), set[int]()

    def slow(body: bytes) -> Thumbnail:
        threads.add(threading.get_ident())
        gate.wait(20)
        return Thumbnail(body)

    thread = ThumbnailThread(make=slow)
    made: dict[bytes, Thumbnail] = {}
    for number in range(MAX_WAITING + 3):
        body = b"%d" % number
        thread.maker(body, lambda thumbnail, body=body: made.update({body: thumbnail}))  # type: ignore[misc]
    # One is being made, and the two oldest behind it gave way.
    assert thread.dropped == 2
    await asyncio.sleep(0)
    assert made == {each: Thumbnail(None, is_dropped=True) for each in (b"1", b"2")}
    gate.set()
    await until(lambda: len(made) == MAX_WAITING + 3)
    assert threading.get_ident() not in threads
    assert sum(each.jpeg is not None for each in made.values()) == MAX_WAITING + 1
    thread.stop()


async def test_a_recording_takes_its_next_keyframe_for_one_that_was_dropped() -> None:
    keyframe, objects = second_of_pictures()[0], StoredObjects()
    waiting: list[tuple[bytes, object]] = []
    thumbnails = ThumbnailWriter(
        objects=objects,
        settings=ThumbnailSettings(interval_seconds=10),
        folder="high",
        request_keyframe=lambda: None,
        make=lambda body, done: waiting.append((body, done)),
    )
    thumbnails.take_picture(time_us=0, body=keyframe, is_keyframe=True)
    # While one is being made, no other is begun.
    thumbnails.take_picture(time_us=100_000, body=keyframe, is_keyframe=True)
    assert len(waiting) == 1
    waiting[0][1](Thumbnail(None, is_dropped=True))  # type: ignore[operator]
    thumbnails.take_picture(time_us=200_000, body=keyframe, is_keyframe=True)
    assert len(waiting) == 2
    assert objects.bodies == {}


async def test_the_end_of_a_recording_waits_for_no_thread() -> None:
    objects = StoredObjects()
    done: list[object] = []
    thumbnails = ThumbnailWriter(
        objects=objects,
        settings=ThumbnailSettings(interval_seconds=10),
        folder="high",
        request_keyframe=lambda: None,
        make=lambda _body, call: done.append(call),
    )
    thumbnails.take_picture(time_us=0, body=second_of_pictures()[0], is_keyframe=True)
    thumbnails.finish()
    assert list(objects.bodies) == ["media/thumbnails/high/1.jpg"]
    done[0](Thumbnail(b"late"))  # type: ignore[operator]
    thumbnails.finish()
    assert len(objects.puts) == 1


async def test_a_defect_of_one_picture_leaves_the_thread() -> None:
    def broken(body: bytes) -> Thumbnail:
        if body == b"1":
            raise RuntimeError("a defect")
        return Thumbnail(body)

    thread, made = ThumbnailThread(make=broken), list[Thumbnail]()
    thread.maker(b"1", made.append)
    thread.maker(b"2", made.append)
    await until(lambda: len(made) == 2)
    assert made == [Thumbnail(None), Thumbnail(b"2")]
    thread.stop()
