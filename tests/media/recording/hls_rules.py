"""The rules of an HLS recording: playlists against what the segments hold, as Apple's mediastreamvalidator checks them.

Rules of RFC 8216 (playlists), ISO/IEC 14496-12 (fragments) and of this project: each segment begins with a keyframe,
the times of the samples are those of the playlist, sound has no gaps.
"""

import re
from itertools import pairwise

import msgspec

from tests.media.recording.mp4_reading import Mp4Sample, Mp4Track, samples, sequence_number, tracks

FOLDER = "media/hls/high"
_TOLERANCE_SECONDS = 0.001
_AAC_FRAME_SECONDS = 1_024 / 48_000


class ListedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment as the media playlist lists it."""

    uri: str
    start_seconds: float
    duration_seconds: float
    init_uri: str
    is_discontinuity: bool
    date_time: str | None


class ListedRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A media playlist."""

    target_seconds: int
    is_complete: bool
    segments: list[ListedSegment]

    @property
    def duration_seconds(self) -> float:
        """The sum of all durations."""
        return sum(segment.duration_seconds for segment in self.segments)


def read_playlist(text: str) -> ListedRecording:
    """Parse a media playlist. Asserts that its head has what a recording must have, once each."""
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    for tag in ("#EXT-X-VERSION:7", "#EXT-X-PLAYLIST-TYPE:EVENT", "#EXT-X-INDEPENDENT-SEGMENTS"):
        assert lines.count(tag) == 1, tag
    target_seconds = [int(line.partition(":")[2]) for line in lines if line.startswith("#EXT-X-TARGETDURATION:")]
    assert len(target_seconds) == 1
    segments: list[ListedSegment] = []
    init_uri, duration, start, is_discontinuity, date_time = "", 0.0, 0.0, False, None
    for line in lines:
        name, _, value = line.partition(":")
        if name == "#EXT-X-MAP":
            init_uri = value.removeprefix('URI="').removesuffix('"')
        elif name == "#EXT-X-DISCONTINUITY":
            is_discontinuity = True
        elif name == "#EXT-X-PROGRAM-DATE-TIME":
            date_time = value
        elif name == "#EXTINF":
            duration = float(value.rstrip(","))
        elif not line.startswith("#"):
            segments.append(
                ListedSegment(
                    uri=line,
                    start_seconds=start,
                    duration_seconds=duration,
                    init_uri=init_uri,
                    is_discontinuity=is_discontinuity,
                    date_time=date_time,
                )
            )
            start, is_discontinuity, date_time = start + duration, False, None
    return ListedRecording(
        target_seconds=target_seconds[0], is_complete=lines[-1] == "#EXT-X-ENDLIST", segments=segments
    )


def check_recording(objects: dict[str, bytes], *, folder: str = FOLDER) -> ListedRecording:
    """Assert that a complete recording follows all rules. Returns its media playlist."""
    recording = read_playlist(objects[f"{folder}/playlist.m3u8"].decode())
    assert recording.is_complete
    _check_playlist(recording)
    _check_multivariant(objects, recording, folder)
    sound_end: float | None = None
    for number, listed in enumerate(recording.segments):
        segment = objects[f"{folder}/{listed.uri}"]
        assert sequence_number(segment) == number + 1
        by_id = {track.track_id: track for track in tracks(objects[f"{folder}/{listed.init_uri}"])}
        held = samples(segment)
        assert held, f"{listed.uri} is empty"
        if listed.is_discontinuity:
            sound_end = None
        for track_id, track_samples in held.items():
            track = by_id[track_id]
            if track.width:
                _check_pictures(listed, track, track_samples)
            else:
                _check_sound(listed, track, track_samples, sound_end)
                last = track_samples[-1]
                sound_end = (last.decode_time + last.duration) / track.timescale
        if any(track.width for track in by_id.values()):
            assert any(by_id[track_id].width for track_id in held), f"{listed.uri} has no pictures"
    return recording


def _check_playlist(recording: ListedRecording) -> None:
    segments = recording.segments
    assert [segment.uri for segment in segments] == [f"{number}.mp4" for number in range(len(segments))]
    assert segments[0].date_time is not None
    assert not segments[0].is_discontinuity
    for segment in segments:
        assert segment.init_uri, f"{segment.uri} has no init segment"
        assert segment.duration_seconds > 0
        assert int(segment.duration_seconds + 0.5) <= recording.target_seconds, f"{segment.uri} is too long"
        if segment.date_time is not None:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", segment.date_time)
    for before, segment in pairwise(segments):
        assert (segment.date_time is not None) == segment.is_discontinuity
        assert segment.is_discontinuity or segment.init_uri == before.init_uri


def _check_multivariant(objects: dict[str, bytes], recording: ListedRecording, folder: str) -> None:
    lines = objects["media/hls/multivariant.m3u8"].decode().splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == f"{folder.rpartition('/')[2]}/playlist.m3u8"
    attributes = dict(re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', lines[-2].partition(":")[2]))
    used = {segment.init_uri: tracks(objects[f"{folder}/{segment.init_uri}"]) for segment in recording.segments}
    all_tracks = [track for init in used.values() for track in init]
    assert set(attributes["CODECS"].strip('"').split(",")) == {track.codec for track in all_tracks}
    sizes = {(track.width, track.height) for track in all_tracks if track.width}
    if sizes:
        width, height = max(sizes, key=lambda size: size[0] * size[1])
        assert attributes["RESOLUTION"] == f"{width}x{height}"
    else:
        assert "RESOLUTION" not in attributes
    peak = max(len(objects[f"{folder}/{segment.uri}"]) * 8 / segment.duration_seconds for segment in recording.segments)
    assert peak - 1 <= int(attributes["BANDWIDTH"]) <= peak * 1.01 + 1


def _check_pictures(listed: ListedSegment, track: Mp4Track, pictures: list[Mp4Sample]) -> None:
    first = pictures[0]
    assert first.is_sync, f"{listed.uri} does not begin with a keyframe"
    assert 5 in _nal_types(first.body), f"{listed.uri} does not begin with an IDR picture"
    assert 7 in _nal_types(first.body), f"{listed.uri} begins without an SPS"
    for picture in pictures:
        assert picture.duration > 0
        assert picture.is_sync == (5 in _nal_types(picture.body))
    start = (first.decode_time + first.composition_offset) / track.timescale
    assert abs(start - listed.start_seconds) < _TOLERANCE_SECONDS, f"{listed.uri}: {start} {listed.start_seconds}"
    duration = sum(picture.duration for picture in pictures) / track.timescale
    assert abs(duration - listed.duration_seconds) < _TOLERANCE_SECONDS, f"{listed.uri} lasts {duration}"


def _check_sound(listed: ListedSegment, track: Mp4Track, sounds: list[Mp4Sample], before_end: float | None) -> None:
    start = sounds[0].decode_time / track.timescale
    end = (sounds[-1].decode_time + sounds[-1].duration) / track.timescale
    assert -_TOLERANCE_SECONDS <= start - listed.start_seconds < _AAC_FRAME_SECONDS + _TOLERANCE_SECONDS
    listed_end = listed.start_seconds + listed.duration_seconds
    slack = _AAC_FRAME_SECONDS + _TOLERANCE_SECONDS
    assert -slack <= end - listed_end <= slack, f"{end} {listed_end}"
    assert before_end is None or before_end == start, f"{listed.uri}: a gap in the sound at {start}"


def _nal_types(sample: bytes) -> list[int]:
    types, position = [], 0
    while position < len(sample):
        size = int.from_bytes(sample[position : position + 4])
        types.append(sample[position + 4] & 0x1F)
        position += 4 + size
    assert position == len(sample)
    return types
