"""The offers of peers without media.

An offer over WHIP is a plain string. A simulated one is a value of this enumeration, so no client can send one: its
text alone is a malformed offer to the real engines.
"""

from enum import StrEnum

from stagebook.media.port import RefusalReason


class SimulatedOffer(StrEnum):
    """What a peer without media offers."""

    MEDIA = "simulated audio and video"
    UNKNOWN_AUDIO_CODEC = "simulated audio of an unknown codec"
    UNKNOWN_VIDEO_CODEC = "simulated video of an unknown codec"
    LOST_ENGINE = "simulated loss of the engine before its answer"

    @property
    def refusal(self) -> RefusalReason | None:
        """Why the engine refuses this offer; None for one that it answers."""
        return _REFUSALS.get(self)


_REFUSALS = {
    SimulatedOffer.UNKNOWN_AUDIO_CODEC: RefusalReason.AUDIO_CODEC,
    SimulatedOffer.UNKNOWN_VIDEO_CODEC: RefusalReason.VIDEO_CODEC,
    SimulatedOffer.LOST_ENGINE: RefusalReason.ENGINE_LOST,
}
