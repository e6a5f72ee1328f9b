"""GET /watch/v1/media-traffic: how many bytes of media the server has received and sent since it started.

A client that asks twice has the bit rate in between. The engines report their counters every two seconds, so that is
the shortest useful period.
"""

from collections.abc import Callable

import msgspec

from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, Role, json_response
from stagebook.media.rtc.engine.engine_pool import EnginePool


class MediaTraffic(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Bytes of media since the start of the server, of all stages together, without headers of UDP and RTMP."""

    received_bytes: int
    sent_bytes: int


def total_traffic(engines: EnginePool) -> MediaTraffic:
    """Return the sums over all engine processes. What an engine had counted before it was lost is in them."""
    counted = [engine.statistics for engine in engines.engines]
    return MediaTraffic(
        received_bytes=sum(each.transport.received_bytes + each.media.feed_bytes for each in counted),
        sent_bytes=sum(each.media.sent_bytes + each.media.resent_bytes for each in counted),
    )


class MediaTrafficRoutes:
    """The route. `read` returns the present counters and must not block."""

    def __init__(self, read: Callable[[], MediaTraffic]) -> None:
        self._read = read

    def routes(self) -> list[ApiRoute]:
        """Return the routes."""
        return [
            ApiRoute(
                method="GET",
                template="/watch/v1/media-traffic",
                action="GetMediaTraffic",
                summary="Bytes of media that the server has received and sent",
                handle=self._show,
                response=MediaTraffic,
            )
        ]

    async def _show(self, call: ApiCall) -> ApiResponse:
        call.caller.require("stagebook:GetMediaTraffic", Role.READER)
        return json_response(self._read())
