"""The keyframe requests to one publisher's video, within a budget for all of its layers and viewers. Sans-I/O.

A keyframe costs the bits of many frames. Viewers that join, change their layer or have lost packets need one, and a
client with many viewers must not spoil the picture of the others. So requests are merged and limited, and those who
need a keyframe repeat their request until it arrives.
"""

from collections.abc import Callable, Iterable
from typing import Final

from stagebook.media.rtc.rtp.rtcp_budget import RtcpBudget
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer

KEYFRAME_INTERVAL_SECONDS: Final = 0.3
"""Minimum time between two requests, whatever their layers."""
MAX_KEYFRAMES_AT_ONCE: Final = 10
KEYFRAMES_PER_SECOND: Final = 1.0
"""The requests in the long run, whatever number of viewers join, leave, choose and ask. A viewer that joins then waits
for a second at most."""


class KeyframeRequests:
    """The requests of one media section."""

    def __init__(self, send: Callable[[Layer], None]) -> None:
        """`send` sends a PLI or FIR for a layer."""
        self._send = send
        self._sent_at = float("-inf")
        self._budget = RtcpBudget(per_second=KEYFRAMES_PER_SECOND, burst=MAX_KEYFRAMES_AT_ONCE)

    def forget_last(self) -> None:
        """The last request was lost: the next one needs not wait for KEYFRAME_INTERVAL_SECONDS."""
        self._sent_at = float("-inf")

    def request(self, layer: Layer, layers: Iterable[Layer], now: float) -> None:
        """Request a keyframe of a layer, one of `layers`, if the budget allows.

        If several layers need one, the one that was requested least recently is next.
        """
        layer.wants_keyframe = True
        if now - self._sent_at < KEYFRAME_INTERVAL_SECONDS:
            return
        self._budget.renew(now)
        if not self._budget.take():
            return
        wanting = [each for each in layers if each.wants_keyframe]
        next_layer = min(wanting, key=lambda each: each.keyframe_requested_at, default=layer)
        next_layer.wants_keyframe = False
        next_layer.keyframe_requested_at = self._sent_at = now
        self._send(next_layer)
