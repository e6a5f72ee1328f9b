"""The first units of a stream, kept until a viewer could play them.

A stream starts with its most recent keyframe, once audio has been decoded too:

    units:       A  V  A  K1 V  V  K2 V  A  V ...
                          |        |     |
                          kept     |     audio is there: release K2 V A
                                   drops K1 V V

Further video tracks do not matter: their frames are kept with the others.

If no audio comes, the buffer drops its content at MAX_BUFFERED_BYTES and waits for the next keyframe.
"""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import Unit

MAX_BUFFERED_BYTES = 4 << 20
"""One message of the maximum size, or four seconds at 8.5 Mbit/s, the maximum bitrate of a stream."""


class StartBuffer:
    """Keeps units until `add` returns them; it is not used after that."""

    def __init__(self) -> None:
        self._units: list[Unit] = []
        """Empty, or a keyframe of track 0 and the units after it."""
        self._size_bytes = 0
        self._kinds: set[MediaKind] = set()
        """The kinds of which any unit came."""

    def missing(self) -> str:
        """What the stream lacks, as a clause for an error message."""
        if not self._kinds:
            return "the stream has neither audio nor video"
        for kind in (MediaKind.VIDEO, MediaKind.AUDIO):
            if kind not in self._kinds:
                return f"the stream has no {kind}"
        return "the video has no keyframe"

    def add(self, units: list[Unit]) -> list[Unit]:
        """Add units. Returns all units from the last keyframe on if the stream can start, otherwise nothing.

        Audio before that keyframe is dropped. It could not be played in sync with anything, and a viewer would begin
        with sound over a black frame.
        """
        for unit in units:
            self._kinds.add(unit.kind)
            if unit.is_keyframe and unit.track == 0:
                self._drop()
            elif not self._units:
                continue
            self._units.append(unit)
            self._size_bytes += sum(map(len, unit.payloads))
        if self._units and MediaKind.AUDIO in self._kinds:
            return self._units
        if self._size_bytes > MAX_BUFFERED_BYTES:
            self._drop()
        return []

    def _drop(self) -> None:
        self._units = []
        self._size_bytes = 0
