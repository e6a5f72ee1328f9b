"""The simulcast layers of a viewer's connection over HTTP, as the Web Broadcast SDK and the WHEP draft use them."""

from collections.abc import AsyncIterator

import httpx
import pytest

from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.media.port import InitialLayer, LayerChoice, LayerMode, VideoLayer, VideoLayers
from stagebook.stage.errors import ConnectionNotFoundError, LayerNotFoundError, ServerBusyError
from tests.api.participants.fake_manager import TOKEN, FakeManager

BEARER = {"Authorization": f"Bearer {TOKEN}"}
JSON = {**BEARER, "Content-Type": "application/json"}
OFFER = {**BEARER, "Content-Type": "application/sdp"}
LAYERS = "/whip/resource/connection-2/layers"
LISTED = VideoLayers(
    section=1,
    layers=(
        VideoLayer(
            encoding_id="hi",
            bitrate_bps=1_700_499,
            width=1280,
            height=720,
            frames_per_second=30,
            is_selected=True,
        ),
    ),
)


def client_of(manager: FakeManager, limits: RequestLimits | None = None) -> httpx.AsyncClient:
    api = ParticipantsApi(manager, limits=limits, monotonic=lambda: 0.0)
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://stagebook")


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


@pytest.fixture
async def client(manager: FakeManager) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(manager) as client:
        yield client


class TestSubscribe:
    async def test_a_subscription_to_a_publisher_with_simulcast_names_the_layers(
        self, client: httpx.AsyncClient, manager: FakeManager
    ) -> None:
        manager.video_layers = LISTED
        response = await client.post("/whip/subscribe/bcdEFg23HIJk", content="v=0", headers=OFFER)
        url = "https://stages.example.com/whip/resource/connection-2/layers"
        assert response.headers["link"] == f'<{url}>; rel="urn:ietf:params:whep:ext:core:layer"'
        assert "Link" in response.headers["access-control-expose-headers"]

    async def test_other_connections_name_none(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        subscribed = await client.post("/whip/subscribe/bcdEFg23HIJk", content="v=0", headers=OFFER)
        manager.video_layers = LISTED
        published = await client.post("/whip", content="v=0", headers=OFFER)
        assert "link" not in subscribed.headers
        assert "link" not in published.headers

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("lowest", InitialLayer.LOWEST),
            ("HIGHEST", InitialLayer.HIGHEST),
            ("middle", None),
            ("", None),
            (None, None),
        ],
    )
    async def test_the_initial_layer_is_handed_on(
        self, client: httpx.AsyncClient, manager: FakeManager, value: str | None, expected: InitialLayer | None
    ) -> None:
        headers = OFFER if value is None else {**OFFER, "X-Stages-Initial-Layer-Pref": value}
        response = await client.post("/whip/subscribe/bcdEFg23HIJk", content="v=0", headers=headers)
        assert response.status_code == 201
        assert manager.initial_layer is expected


class TestList:
    async def test_the_list_is_for_the_sdk_and_for_clients_of_the_draft(
        self, client: httpx.AsyncClient, manager: FakeManager
    ) -> None:
        manager.video_layers = LISTED
        response = await client.get(LAYERS, headers=JSON)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        picture = {"encodingId": "hi", "width": 1280, "height": 720}
        assert response.json() == {
            "layers": [{**picture, "bitrate": 1700, "framesPerSecond": 30, "selected": True}],
            "1": {"layers": [{**picture, "bitrate": 1_700_499}]},
        }
        assert manager.calls == [("layers", "abCDEf12GHIj", "connection-2")]

    async def test_a_viewer_of_audio_alone_has_no_layers(self, client: httpx.AsyncClient) -> None:
        response = await client.get(LAYERS, headers=BEARER)
        assert (response.status_code, response.json()) == (200, {"layers": []})


class TestChoice:
    @pytest.mark.parametrize(
        ("body", "chosen"),
        [
            ('{"mediaId":"1","encodingId":"low"}', "low"),
            ('{"mediaId":"0","rid":"hd"}', "hd"),
            ('{"encodingId":"low","rid":"hd","maxWidth":640,"x":{"y":[1]}}', "low"),
            ("{}", None),
            ('{"mediaId":"1"}', None),
            ('{"encodingId":null}', None),
        ],
    )
    async def test_a_layer_is_chosen_or_the_choice_is_given_back(
        self, client: httpx.AsyncClient, manager: FakeManager, body: str, chosen: str | None
    ) -> None:
        response = await client.post(LAYERS, content=body, headers=JSON)
        assert (response.status_code, response.json()) == (200, {})
        assert manager.calls == [("select_layer", "abCDEf12GHIj", "connection-2", LayerChoice.exactly(chosen))]

    @pytest.mark.parametrize(
        ("body", "chosen"),
        [
            ('{"mode":"auto"}', LayerChoice()),
            ('{"encodingId":"low","mode":"exactly"}', LayerChoice.exactly("low")),
            ('{"rid":"low","mode":"atMost"}', LayerChoice(mode=LayerMode.AT_MOST, encoding_id="low")),
            ('{"mode":"audioOnly"}', LayerChoice(mode=LayerMode.AUDIO_ONLY)),
            ('{"mediaId":"1","mode":"paused"}', LayerChoice(mode=LayerMode.PAUSED)),
            ('{"mode":null}', LayerChoice()),
        ],
    )
    async def test_a_mode_says_how_a_layer_is_chosen_or_that_none_is_wanted(
        self, client: httpx.AsyncClient, manager: FakeManager, body: str, chosen: LayerChoice
    ) -> None:
        response = await client.post(LAYERS, content=body, headers=JSON)
        assert (response.status_code, response.json()) == (200, {})
        assert manager.calls == [("select_layer", "abCDEf12GHIj", "connection-2", chosen)]

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ('{"mode":"best"}', "`mode`"),
            ('{"mode":7}', "`mode`"),
            ('{"mode":"atMost"}', "`encodingId`"),
            ('{"mode":"exactly"}', "`encodingId`"),
            ('{"mode":"paused","encodingId":"low"}', "`encodingId`"),
            ('{"mode":"auto","rid":"low"}', "`encodingId`"),
        ],
    )
    async def test_a_refusal_names_the_member(
        self, client: httpx.AsyncClient, manager: FakeManager, body: str, named: str
    ) -> None:
        response = await client.post(LAYERS, content=body, headers=JSON)
        assert (response.status_code, response.json()["code"]) == (400, "MALFORMED_MESSAGE")
        assert named in response.json()["message"]
        assert manager.calls == []

    @pytest.mark.parametrize(
        "body",
        ["", "[]", "null", "low", '{"encodingId":7}', '{"encodingId":["low"]}', '{"a":' * 600 + "1" + "}" * 600],
    )
    async def test_a_malformed_choice_is_refused(
        self, client: httpx.AsyncClient, manager: FakeManager, body: str
    ) -> None:
        response = await client.post(LAYERS, content=body, headers=JSON)
        assert (response.status_code, response.json()["code"]) == (400, "MALFORMED_MESSAGE")
        assert manager.calls == []

    async def test_bytes_that_are_no_text_are_refused(self, client: httpx.AsyncClient) -> None:
        response = await client.post(LAYERS, content=b'{"encodingId":"\xff"}', headers=JSON)
        assert response.status_code == 400

    async def test_a_long_body_is_refused(self, client: httpx.AsyncClient) -> None:
        response = await client.post(LAYERS, content="{" + " " * 5000 + "}", headers=JSON)
        assert (response.status_code, response.json()["code"]) == (413, "TOO_LARGE")

    async def test_another_content_type_is_refused(self, client: httpx.AsyncClient) -> None:
        response = await client.post(LAYERS, content="{}", headers=OFFER)
        assert response.status_code == 415
        assert response.headers["accept-post"] == "application/json"

    @pytest.mark.parametrize(
        ("failure", "status", "code"),
        [
            (LayerNotFoundError(), 404, "NO_SUCH_LAYER"),
            (ConnectionNotFoundError(), 404, "NO_SUCH_CONNECTION"),
            (ServerBusyError("many"), 503, "BUSY"),
        ],
    )
    async def test_a_refusal_has_its_status(
        self, client: httpx.AsyncClient, manager: FakeManager, failure: Exception, status: int, code: str
    ) -> None:
        manager.failure = failure
        response = await client.post(LAYERS, content='{"encodingId":"low"}', headers=JSON)
        assert (response.status_code, response.json()["code"]) == (status, code)


class TestRequests:
    async def test_a_page_of_another_origin_may_send_them(self, client: httpx.AsyncClient) -> None:
        response = await client.options(LAYERS, headers={"Origin": "https://a.example"})
        assert response.status_code == 204
        assert response.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
        assert response.headers["accept-post"] == "application/json"

    async def test_they_need_a_token(self, client: httpx.AsyncClient, manager: FakeManager) -> None:
        for response in (
            await client.get(LAYERS),
            await client.post(LAYERS, content="{}"),
            await client.get(LAYERS, headers={"Authorization": "Bearer a.b.c"}),
        ):
            assert response.status_code == 401
        assert manager.calls == []

    async def test_another_method_is_refused(self, client: httpx.AsyncClient) -> None:
        assert (await client.put(LAYERS, headers=BEARER)).status_code == 405

    async def test_their_rate_is_their_own(self, manager: FakeManager) -> None:
        limits = RequestLimits(attempts_burst=1, layer_requests_burst=2)
        async with client_of(manager, limits) as client:
            statuses = [(await client.get(LAYERS, headers=BEARER)).status_code for _ in range(3)]
            joined = await client.post("/whip/subscribe/bcdEFg23HIJk", content="v=0", headers=OFFER)
        assert statuses == [200, 200, 429]
        assert joined.status_code == 201
