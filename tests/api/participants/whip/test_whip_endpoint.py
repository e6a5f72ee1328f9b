"""WHIP and subscribing over HTTP, as in RFC 9725 and in the public clients of IVS stages."""

from collections.abc import AsyncIterator

import httpx
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.log_rate_limit import MAX_LINES
from stagebook.media.port import PatchAnswer
from stagebook.stage.errors import (
    AttemptRefusedError,
    ConnectionNotFoundError,
    IceSessionMismatchError,
    OfferMalformedError,
    ServerBusyError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import ErrorCode
from stagebook.stage.resources import ClientInfo
from tests.api.participants.fake_manager import TOKEN, FakeManager

BEARER = {"Authorization": f"Bearer {TOKEN}"}
OFFER = {**BEARER, "Content-Type": "application/sdp"}
FRAGMENT = {**BEARER, "Content-Type": "application/trickle-ice-sdpfrag"}
UNKNOWN_CLIENT = ClientInfo(browser_name="python-httpx", browser_version=httpx.__version__)


def client_of(
    manager: FakeManager, *, whip_redirect: bool = False, limits: RequestLimits | None = None
) -> httpx.AsyncClient:
    api = ParticipantsApi(manager, whip_redirect=whip_redirect, limits=limits, monotonic=lambda: 0.0)
    transport = httpx.ASGITransport(api)
    return httpx.AsyncClient(transport=transport, base_url="http://stagebook")


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


@pytest.fixture
async def client(manager: FakeManager) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(manager) as client:
        yield client


class TestPublish:
    @pytest.mark.parametrize("path", ["/whip", "/whip/", "/", "/whip/publish/abCDEf12GHIj"])
    async def test_an_offer_is_answered(self, client: httpx.AsyncClient, manager: FakeManager, path: str) -> None:
        response = await client.post(path, content="v=0 offer", headers=OFFER)
        assert response.status_code == 201
        assert response.text == "v=0 answer\r\n"
        assert response.headers["content-type"] == "application/sdp"
        assert response.headers["location"] == "https://stages.example.com/whip/resource/connection-1"
        assert response.headers["etag"] == '"ice-1"'
        assert response.headers["accept-patch"] == "application/trickle-ice-sdpfrag"
        assert manager.calls == [("publish", "abCDEf12GHIj", "v=0 offer", UNKNOWN_CLIENT)]

    async def test_a_path_with_another_participant_is_refused(
        self, client: httpx.AsyncClient, manager: FakeManager
    ) -> None:
        response = await client.post("/whip/publish/abCDEf12GHIk", content="v=0", headers=OFFER)
        assert (response.status_code, response.json()["code"]) == (403, "PARTICIPANT_MISMATCH")
        assert manager.calls == []

    @pytest.mark.parametrize("participant", ["", "a/b", "a%20b", "x" * 65, "%C3%A9", "a%0A"])
    async def test_a_malformed_participant_id_is_not_found(
        self, client: httpx.AsyncClient, manager: FakeManager, participant: str
    ) -> None:
        response = await client.post(f"/whip/publish/{participant}", content="v=0", headers=OFFER)
        assert response.status_code == 404
        assert manager.calls == []

    async def test_the_version_of_the_web_sdk_belongs_to_the_client(
        self, client: httpx.AsyncClient, manager: FakeManager
    ) -> None:
        for path in ("/whip/publish/abCDEf12GHIj", "/whip/subscribe/publisher"):
            await client.post(path, content="v=0", headers={**OFFER, "X-Stages-SDK": "1.41.0"})
        assert [call[-1] for call in manager.calls] == [replace(UNKNOWN_CLIENT, sdk_version="1.41.0")] * 2

    async def test_the_media_type_may_have_parameters_and_any_case(self, client: httpx.AsyncClient) -> None:
        headers = {"Authorization": f"bearer {TOKEN}", "Content-Type": "Application/SDP; charset=utf-8"}
        assert (await client.post("/whip", content="v=0", headers=headers)).status_code == 201

    async def test_another_media_type_is_refused(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        for content_type in ("application/json", ""):
            response = await client.post("/whip", content="v=0", headers={**OFFER, "Content-Type": content_type})
            assert response.status_code == 415
            assert response.headers["accept-post"] == "application/sdp"
        assert manager.calls == []

    @pytest.mark.parametrize("header", [None, "", "Basic abc", "Bearer", "Bearer  "])
    async def test_without_a_bearer_token_publishing_is_refused(
        self, client: httpx.AsyncClient, manager: FakeManager, header: str | None
    ) -> None:
        headers = {"Content-Type": "application/sdp"} | ({} if header is None else {"Authorization": header})
        response = await client.post("/whip", content="v=0", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="stagebook"'
        assert manager.calls == []

    async def test_the_response_to_a_refused_token_does_not_contain_it(self, client: httpx.AsyncClient) -> None:
        headers = {**OFFER, "Authorization": "Bearer forged.secret.token"}
        response = await client.post("/whip", content="v=0", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="stagebook", error="invalid_token"'
        assert response.json() == {"code": "TOKEN_SIGNATURE", "message": "the signature is wrong"}
        assert "secret" not in response.text

    @pytest.mark.parametrize(
        ("refusal", "status"),
        [
            (TokenRefusal.EXPIRED, 401),
            (TokenRefusal.PARTICIPANT_DISCONNECTED, 403),
            (TokenRefusal.STAGE_DELETED, 404),
        ],
    )
    async def test_a_refused_token_gets_its_status_and_the_detail(
        self, client: httpx.AsyncClient, manager: FakeManager, refusal: TokenRefusal, status: int
    ) -> None:
        manager.admission_failure = TokenRefusedError(refusal=refusal, detail="because")
        response = await client.post("/whip", content="v=0", headers=OFFER)
        assert (response.status_code, response.json()["message"]) == (status, "because")

    @pytest.mark.parametrize(
        ("failure", "status"),
        [
            (AttemptRefusedError(code=ErrorCode.INSUFFICIENT_CAPABILITIES, detail="no"), 403),
            (AttemptRefusedError(code=ErrorCode.QUOTA_EXCEEDED, detail="full"), 409),
            (AttemptRefusedError(code=ErrorCode.INVALID_VIDEO_CODEC, detail="no H.264"), 406),
            (OfferMalformedError("not SDP"), 400),
        ],
    )
    async def test_a_refused_attempt_gets_its_status_and_the_detail(
        self, client: httpx.AsyncClient, manager: FakeManager, failure: Exception, status: int
    ) -> None:
        manager.failure = failure
        response = await client.post("/whip", content="v=0", headers=OFFER)
        assert (response.status_code, response.json()["message"]) == (status, str(failure))

    async def test_a_busy_server_sends_retry_after(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        manager.failure = ServerBusyError("too many joins at once")
        response = await client.post("/whip", content="v=0", headers=OFFER)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")

    async def test_an_internal_error_is_a_500_without_details(
        self, client: httpx.AsyncClient, manager: FakeManager
    ) -> None:
        manager.failure = KeyError("inner secret")
        response = await client.post("/whip", content="v=0", headers=OFFER)
        assert response.status_code == 500
        assert "inner" not in response.text

    async def test_a_repeated_internal_error_causes_a_limited_number_of_log_lines(
        self, client: httpx.AsyncClient, manager: FakeManager
    ) -> None:
        manager.failure = KeyError("inner secret")
        with capture_logs() as lines:
            for _ in range(3 * MAX_LINES):
                await client.post("/whip", content="v=0", headers=OFFER)
        assert len(lines) == MAX_LINES

    async def test_with_whip_redirect_the_root_redirects_to_the_whip_endpoint(self, manager: FakeManager) -> None:
        async with client_of(manager, whip_redirect=True) as client:
            redirected = await client.post("/", content="v=0", headers=OFFER)
            assert redirected.status_code == 307
            assert redirected.headers["location"] == "https://stages.example.com/whip"
            assert manager.calls == []
            assert (await client.post("/whip", content="v=0", headers=OFFER)).status_code == 201


class TestSubscribe:
    async def test_an_offer_for_a_publisher_is_answered(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        response = await client.post("/whip/subscribe/Pub_lish-er1", content="v=0 offer", headers=OFFER)
        assert (response.status_code, response.text) == (201, "v=0 answer\r\n")
        assert response.headers["location"] == "https://stages.example.com/whip/resource/connection-2"
        assert manager.calls == [("subscribe", "abCDEf12GHIj", "Pub_lish-er1", "v=0 offer", UNKNOWN_CLIENT)]

    async def test_an_unknown_publisher_is_not_found(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        manager.failure = AttemptRefusedError(code=ErrorCode.PUBLISHER_NOT_FOUND, detail="no such publisher")
        response = await client.post("/whip/subscribe/gone", content="v=0", headers=OFFER)
        assert (response.status_code, response.json()["code"]) == (404, "PUBLISHER_NOT_FOUND")

    @pytest.mark.parametrize("publisher", ["", "a/b", "a%20b", "x" * 65, "%C3%A9", "a%0A"])
    async def test_a_malformed_participant_id_is_not_found(
        self, client: httpx.AsyncClient, manager: FakeManager, publisher: str
    ) -> None:
        response = await client.post(f"/whip/subscribe/{publisher}", content="v=0", headers=OFFER)
        assert response.status_code == 404
        assert manager.calls == []


class TestDelete:
    async def test_a_participant_ends_its_connection(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        response = await client.delete("/whip/resource/connection-1", headers={**BEARER, "If-Match": '"old"'})
        assert (response.status_code, response.content) == (200, b"")
        assert manager.calls == [("close", "abCDEf12GHIj", "connection-1")]

    async def test_an_expired_token_still_ends_its_connection(
        self, client: httpx.AsyncClient, manager: FakeManager
    ) -> None:
        manager.admission_failure = TokenRefusedError(refusal=TokenRefusal.EXPIRED, detail="the token has expired")
        assert (await client.delete("/whip/resource/connection-1", headers=BEARER)).status_code == 200

    async def test_it_needs_the_token(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        assert (await client.delete("/whip/resource/connection-1")).status_code == 401
        assert manager.calls == []

    async def test_an_unknown_connection_is_not_found(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        manager.failure = ConnectionNotFoundError()
        assert (await client.delete("/whip/resource/other", headers=BEARER)).status_code == 404


class TestPatch:
    path = "/whip/resource/connection-1"

    async def test_trickled_candidates_get_a_204(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        response = await client.patch(self.path, content="a=candidate", headers={**FRAGMENT, "If-Match": '"ice-1"'})
        assert (response.status_code, response.content) == (204, b"")
        assert "content-length" not in response.headers
        assert manager.calls == [("patch", "abCDEf12GHIj", "connection-1", "a=candidate", "ice-1")]

    async def test_an_ice_restart_matches_any_session_and_gets_the_new_etag(
        self, client: httpx.AsyncClient, manager: FakeManager
    ) -> None:
        manager.patch_answer = PatchAnswer(fragment="a=ice-ufrag:new", ice_session="ice-2")
        response = await client.patch(self.path, content="a=ice-ufrag:x", headers={**FRAGMENT, "If-Match": "*"})
        assert (response.status_code, response.text) == (200, "a=ice-ufrag:new")
        assert response.headers["content-type"] == "application/trickle-ice-sdpfrag"
        assert response.headers["etag"] == '"ice-2"'
        assert manager.calls == [("patch", "abCDEf12GHIj", "connection-1", "a=ice-ufrag:x", None)]

    async def test_if_match_is_required(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        response = await client.patch(self.path, content="a=candidate", headers=FRAGMENT)
        assert response.status_code == 428
        assert manager.calls == []

    @pytest.mark.parametrize("tag", ['W/"ice-1"', "ice-1", '"a", "b"', "é", '"'])
    async def test_an_entity_tag_that_is_not_one_strong_tag_is_refused(
        self, client: httpx.AsyncClient, manager: FakeManager, tag: str
    ) -> None:
        headers = {**FRAGMENT, "If-Match": tag.encode("latin-1").decode("latin-1")}
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        response = await client.patch(self.path, content="a=candidate", headers=encoded)
        assert response.status_code == 412
        assert manager.calls == []

    async def test_another_ice_session_is_refused(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        manager.failure = IceSessionMismatchError()
        response = await client.patch(self.path, content="a=candidate", headers={**FRAGMENT, "If-Match": '"old"'})
        assert response.status_code == 412

    async def test_another_content_type_is_refused(self, client: httpx.AsyncClient) -> None:
        response = await client.patch(self.path, content="v=0", headers={**OFFER, "If-Match": "*"})
        assert response.status_code == 415
        assert response.headers["accept-patch"] == "application/trickle-ice-sdpfrag"


class TestLimits:
    async def test_a_body_above_the_limit_is_refused_by_its_content_length(self, manager: FakeManager) -> None:
        async with client_of(manager, limits=RequestLimits(offer_size_bytes=10)) as client:
            assert (await client.post("/whip", content="v" * 10, headers=OFFER)).status_code == 201
            assert (await client.post("/whip", content="v" * 11, headers=OFFER)).status_code == 413

    async def test_a_chunked_body_above_the_limit_is_refused(self, manager: FakeManager) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"vvvv"

        async with client_of(manager, limits=RequestLimits(offer_size_bytes=10)) as client:
            assert (await client.post("/whip", content=chunks(), headers=OFFER)).status_code == 413
        assert manager.calls == []

    async def test_a_body_that_is_not_utf_8_is_refused(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/whip", content=b"\xff\xfe", headers=OFFER)).status_code == 400

    async def test_the_attempts_of_a_participant_are_rate_limited(self, manager: FakeManager) -> None:
        async with client_of(manager, limits=RequestLimits(attempts_burst=2)) as client:
            statuses = [(await client.post("/whip", content="v=0", headers=OFFER)).status_code for _ in range(3)]
        assert statuses == [201, 201, 429]
        assert len(manager.calls) == 2
