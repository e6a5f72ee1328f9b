"""The beginning of a stream, held until it can be shown: a keyframe, what follows it, and audio."""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import Unit

MAX_HELD_BYTES = 4 << 20
"""One message of the largest kind, or four seconds of the fastest stream that may stay."""


class Opening:
    """Holds the units of an unfinished beginning. It is over when `take` gives something back."""

    def __init__(self) -> None:
        self._held: list[Unit] = []
        self._held_bytes = 0
        self._kinds: set[MediaKind] = set()

    def missing(self) -> str:
        """What has not come yet, for a person."""
        if not self._kinds:
            return "the stream has neither audio nor video"
        for kind in (MediaKind.VIDEO, MediaKind.AUDIO):
            if kind not in self._kinds:
                return f"the stream has no {kind}"
        return "the video has no keyframe"

    def take(self, units: list[Unit]) -> list[Unit]:
        """Hold these too; give everything from the last keyframe on as soon as there is one and audio came."""
        for unit in units:
            self._kinds.add(unit.kind)
            if unit.is_keyframe:
                self._drop()
            elif not self._held:
                continue
            self._held.append(unit)
            self._held_bytes += sum(map(len, unit.payloads))
        if self._held and MediaKind.AUDIO in self._kinds:
            return self._held
        if self._held_bytes > MAX_HELD_BYTES:
            self._drop()
        return []

    def _drop(self) -> None:
        self._held = []
        self._held_bytes = 0
