"""The queue in front of an RTMP server: it begins with a keyframe, and is bounded."""

from stagebook.media.composition.outputs.push_queue import PushQueue
from stagebook.media.recording.hls.encoded_media import EncodedPicture, EncodedSound

SOUND = EncodedSound(time_samples=0, body=b"s")


def picture(time_us: int, *, is_keyframe: bool = False) -> EncodedPicture:
    return EncodedPicture(time_us=time_us, body=b"p", is_keyframe=is_keyframe)


async def test_it_begins_with_a_keyframe() -> None:
    queue = PushQueue()
    for packet in (SOUND, picture(1), picture(2, is_keyframe=True), SOUND):
        queue.put(packet)
    queue.end()
    assert [await queue.take() for _ in range(3)] == [picture(2, is_keyframe=True), SOUND, None]


async def test_a_full_queue_goes_on_with_the_next_keyframe() -> None:
    queue = PushQueue(max_packets=3)
    for packet in (picture(0, is_keyframe=True), picture(1), picture(2), picture(3), SOUND):
        queue.put(packet)
    queue.put(picture(4, is_keyframe=True))
    queue.end()
    assert [await queue.take() for _ in range(2)] == [picture(4, is_keyframe=True), None]
