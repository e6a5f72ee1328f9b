"""The access of the watch API with keys in memory, and requests to its routes without a network."""

import json
from collections.abc import MutableMapping
from typing import Any

from stagebook.api.access.policy import Identity
from stagebook.api.access.sigv4.credentials import AwsCredential, CredentialStore
from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_route import Role
from stagebook.api.routes.route_api import RouteApi
from stagebook.api.watch.access.authenticated import Authenticated, AuthenticationMethod
from stagebook.api.watch.access.browser_guard import BrowserGuard
from stagebook.api.watch.access.caller_routes import CallerRoutes, ServerFacts
from stagebook.api.watch.access.console_sessions import ConsoleSessions
from stagebook.api.watch.access.role_watcher import OPERATIONS_OF_ROLES, RoleWatcher
from stagebook.api.watch.access.session_cookie import SessionCookie
from stagebook.api.watch.access.signed_requests import SignedRequests
from stagebook.api.watch.access.watch_authentication import WatchAuthentication
from stagebook.api.watch.operator_calls import CallOperation, OperatorCalls
from stagebook.server.system_clock import SystemRandomness
from tests.api.aws.asgi_harness import FixedClock, new_calls
from tests.api.watch.access.key_store import ACCOUNT_ID, REGION, KeyStore

HOST = "127.0.0.1:8080"
URL = f"http://{HOST}"
CONSOLE = {"x-stagebook-console": "1", "origin": URL}
"""The header fields of a request that a script of the console makes."""


class AccessHarness:
    """All parts of the access. `store` has the keys and the clocks."""

    def __init__(
        self,
        *,
        public_url: str = URL,
        credentials: tuple[AwsCredential, ...] = (),
        open_account_id: str | None = None,
        call_operation: CallOperation | None = None,
    ) -> None:
        self.store = KeyStore()
        keys = self.store.bearer_keys()
        self.sessions = ConsoleSessions(keys=keys, randomness=SystemRandomness(), monotonic=lambda: self.store.seconds)
        self.cookie = SessionCookie(public_url)
        guard = BrowserGuard(public_url=public_url)
        self.authentication = WatchAuthentication(
            keys=keys,
            sessions=self.sessions,
            cookie=self.cookie,
            signed=SignedRequests(credentials=CredentialStore(credentials), clock=FixedClock(), region=REGION),
            guard=guard,
            region=REGION,
            now_ms=lambda: self.store.now_ms,
            monotonic=lambda: self.store.seconds,
            open_account_id=open_account_id,
        )
        callers = CallerRoutes(
            server=ServerFacts(version="1.2.3", region=REGION, endpoint_url=public_url),
            authentication=self.authentication,
            sessions=self.sessions,
            cookie=self.cookie,
            guard=guard,
            monotonic=lambda: self.store.seconds,
        )
        calls = new_calls()
        operations = OperatorCalls(call_operation or calls.call, names=calls.router.names)
        self.api = RouteApi(
            prefix="/watch/v1/", routes=[*callers.routes(), *operations.routes()], access=self.authentication
        )

    async def request(
        self, method: str, path: str, *, body: object = None, headers: dict[str, str] | None = None, host: str = HOST
    ) -> HttpResponse:
        """Send a request and return its response. `body` is sent as JSON."""
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        lines = {"host": host, **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in lines.items()],
            "client": ("192.0.2.1", 1),
        }
        await self.api(scope, receive, send)
        return HttpResponse(status=sent[0]["status"], headers=sent[0]["headers"], body=sent[1]["body"])

    async def sign_in(self, key: str) -> str:
        """Sign in with a key as the console does; return the value of the Cookie header field for later requests."""
        response = await self.request("POST", "/watch/v1/sign-in", body={"key": key}, headers=CONSOLE)
        assert response.status == 200, response.body
        return set_cookie(response).partition(";")[0]


def set_cookie(response: HttpResponse) -> str:
    """Return the value of the Set-Cookie header field of a response."""
    (value,) = [value.decode() for name, value in response.headers if name == b"set-cookie"]
    return value


def bearer(key: str) -> dict[str, str]:
    """Return the header field with a key."""
    return {"authorization": f"Bearer {key}"}


def document(response: HttpResponse) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON body of a response."""
    return json.loads(response.body)


def holder(role: Role, *, is_valid: bool = True) -> RoleWatcher:
    """Return the holder of a key with this role, as the handler of a route gets it."""
    identity = Identity(
        access_key_id="a", account_id=ACCOUNT_ID, arn="arn:aws:iam::1:user/a", policy=OPERATIONS_OF_ROLES[role]
    )
    facts = Authenticated(method=AuthenticationMethod.BEARER_KEY, name="key", identity=identity, role=role)
    return RoleWatcher(facts, role=role, region=REGION, is_valid=lambda: is_valid)
