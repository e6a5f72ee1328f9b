"""What a relayed publisher sends its feedback to, on an engine that is not its own.

`Publisher` runs there as it does on its own engine, and makes reports, NACKs and estimates. The publisher's own engine
makes those as well, so they are dropped here. Requests for keyframes go on: the viewers that need them are here.
"""

from collections.abc import Callable, Iterable

from stagebook.media.rtc.rtp.rtcp import KeyframeRequest, make_parse_budget, parse_rtcp


class RelayEndpoint:
    """The connection of a relayed publisher, as `Publisher` sees it."""

    connection_id: str | None = None
    """None: the publisher has no connection here, and its own engine measures the source."""

    waited_seconds = 0.0
    """Not known of relayed packets."""

    def __init__(self, ask_for_keyframes: Callable[[Iterable[int]], None]) -> None:
        """`ask_for_keyframes` gets the SSRCs of the publisher's streams of which a keyframe is needed."""
        self._ask_for_keyframes = ask_for_keyframes

    def send_rtcp(self, compound: bytes) -> None:
        """Pass on the keyframe requests of a compound packet; drop the rest."""
        for message in parse_rtcp(compound, make_parse_budget()):
            if isinstance(message, KeyframeRequest):
                self._ask_for_keyframes(message.media_ssrcs)
