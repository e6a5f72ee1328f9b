"""GET /watch/v1/me: who the caller is, and which server answers."""

import msgspec

from stagebook.api.watch.watch_route import Role, WatchCall, WatchResponse, WatchRoute, json_response


class WatchIdentity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The caller of a request, and the server."""

    account_id: str
    name: str
    version: str
    region: str
    endpoint_url: str


class CallerRoutes:
    """The route about the caller. `version`, `region` and `endpoint_url` are those of this server."""

    def __init__(self, *, version: str, region: str, endpoint_url: str) -> None:
        self._version = version
        self._region = region
        self._endpoint_url = endpoint_url

    def routes(self) -> list[WatchRoute]:
        """Return the routes."""
        return [
            WatchRoute(
                method="GET",
                template="/watch/v1/me",
                action="GetCaller",
                summary="The caller and the server",
                handle=self._show,
                response=WatchIdentity,
            )
        ]

    async def _show(self, call: WatchCall) -> WatchResponse:
        call.watcher.require("stagebook:GetCaller", Role.READER)
        return json_response(
            WatchIdentity(
                account_id=call.watcher.account_id,
                name=call.watcher.name,
                version=self._version,
                region=self._region,
                endpoint_url=self._endpoint_url,
            )
        )
