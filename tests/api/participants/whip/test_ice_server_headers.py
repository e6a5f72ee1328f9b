"""STUN and TURN servers in the responses of WHIP (RFC 9725 section 4.6), and the credentials of the TURN REST form."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.whip.ice_server_headers import IceServer, IceServerHeaders, derived_credential
from stagebook.media.port import PatchAnswer
from tests.api.participants.fake_manager import TOKEN, FakeManager

BEARER = {"Authorization": f"Bearer {TOKEN}"}
OFFER = {**BEARER, "Content-Type": "application/sdp"}
FRAGMENT = {**BEARER, "Content-Type": "application/trickle-ice-sdpfrag"}
SECRET = "north"
SERVERS = (
    IceServer(url="stun:stun.example.net"),
    IceServer(url="turn:turn.example.net?transport=udp", secret=SECRET),
    IceServer(url="turns:other.example.net", username="ann", credential="word"),
)
USERNAME = "1060:abCDEf12GHIj"
TURN = (
    f'<turn:turn.example.net?transport=udp>; rel="ice-server"; username="{USERNAME}"; '
    f'credential="{derived_credential(SECRET, USERNAME)}"; credential-type="password"'
)
EXPECTED = [
    '<stun:stun.example.net>; rel="ice-server"',
    TURN,
    '<turns:other.example.net>; rel="ice-server"; username="ann"; credential="word"; credential-type="password"',
]


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


@pytest.fixture
async def client(manager: FakeManager) -> AsyncIterator[httpx.AsyncClient]:
    servers = IceServerHeaders(SERVERS, lifetime_seconds=60, wall_clock=lambda: 1000.5)
    transport = httpx.ASGITransport(ParticipantsApi(manager, ice_servers=servers))
    async with httpx.AsyncClient(transport=transport, base_url="http://stagebook") as client:
        yield client


def links(response: httpx.Response) -> list[str]:
    return response.headers.get_list("link")


def test_a_derived_credential_is_that_of_coturn() -> None:
    # echo -n 1767225600:ann | openssl dgst -sha1 -hmac north -binary | base64
    assert derived_credential("north", "1767225600:ann") == "6rd26NbCuKrNSTQaB4VBISCZxpo="


@pytest.mark.parametrize("path", ["/whip", "/whip/publish/abCDEf12GHIj", "/whip/subscribe/xyzXYZ123456"])
async def test_a_response_to_an_offer_names_the_servers(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(path, content="v=0", headers=OFFER)
    assert response.status_code == 201
    assert [link for link in links(response) if "ice-server" in link] == EXPECTED
    assert "Link" in re.split(", ?", response.headers["access-control-expose-headers"])


async def test_the_response_to_a_restart_names_the_servers_and_that_to_candidates_does_not(
    client: httpx.AsyncClient, manager: FakeManager
) -> None:
    manager.patch_answer = PatchAnswer(fragment="a=ice-lite\r\n", ice_session="ice-2")
    restarted = await client.patch("/whip/resource/c", content="a=x", headers={**FRAGMENT, "If-Match": "*"})
    assert links(restarted) == EXPECTED
    manager.patch_answer = PatchAnswer(fragment=None, ice_session="ice-2")
    trickled = await client.patch("/whip/resource/c", content="a=x", headers={**FRAGMENT, "If-Match": '"ice-2"'})
    assert (trickled.status_code, links(trickled)) == (204, [])


@pytest.mark.parametrize("path", ["/whip", "/whip/subscribe/xyzXYZ123456"])
async def test_options_with_a_token_name_the_servers(client: httpx.AsyncClient, path: str) -> None:
    response = await client.options(path, headers=BEARER)
    assert (response.status_code, links(response)) == (204, EXPECTED)


async def test_a_preflight_names_no_server(client: httpx.AsyncClient) -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    response = await client.options("/whip", headers=headers)
    assert (response.status_code, links(response)) == (204, [])


async def test_options_with_a_refused_token_are_refused(client: httpx.AsyncClient) -> None:
    response = await client.options("/whip", headers={"Authorization": "Bearer forged"})
    assert (response.status_code, links(response)) == (401, [])


async def test_a_refused_offer_names_no_server(client: httpx.AsyncClient) -> None:
    response = await client.post("/whip", content="v=0", headers={**OFFER, "Authorization": "Bearer forged"})
    assert (response.status_code, links(response)) == (401, [])


def test_the_repr_of_a_server_has_no_secret() -> None:
    assert all(word not in repr(SERVERS) for word in (SECRET, "ann", "word"))
