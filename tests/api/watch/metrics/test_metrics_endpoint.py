"""GET /metrics: who may scrape, the formats, and what happens when a part cannot be read."""

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import parser as text_parser
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from stagebook.api.access.local_hosts import LocalHosts
from stagebook.api.asgi import Scope
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import ReadBody, Role
from stagebook.api.watch.metrics.metrics_access import MetricsAccess
from stagebook.api.watch.metrics.metrics_endpoint import MetricsEndpoint
from stagebook.api.watch.metrics.metrics_text import Collect

OPENMETRICS = "application/openmetrics-text; version=1.0.0, text/plain; q=0.5"


def families() -> Iterator[Metric]:
    yield GaugeMetricFamily("things", "Things.", value=3)
    yield CounterMetricFamily("events", "Events.", value=4)


def failing() -> Iterator[Metric]:
    raise RuntimeError("a secret")


class OneKey:
    """Lets requests with `Bearer good` in, if they ask for the metrics as a reader."""

    account_id = "123456789012"
    name = "key"

    async def authenticate(self, scope: Scope, read_body: ReadBody) -> "OneKey":
        assert await read_body() == b""
        if (b"authorization", b"Bearer good") not in scope["headers"]:
            raise ApiRefusedError(status=401, code=ApiProblemCode.UNAUTHENTICATED, detail="no such key")
        return self

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        assert (action, role, resource) == ("stagebook:ReadMetrics", Role.READER, None)


def client(
    address: tuple[str, int] = ("127.0.0.1", 50_000),
    *,
    networks: tuple[str, ...] = ("127.0.0.0/8", "::1", "10.1.0.0/16"),
    host: str = "127.0.0.1:8080",
    collect: Collect = tuple,
) -> httpx.AsyncClient:
    access = MetricsAccess(networks=networks, allows_host=LocalHosts().allow, keys=OneKey())
    endpoint = MetricsEndpoint((families, collect), access=access)
    transport = httpx.ASGITransport(endpoint, client=address)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "application/json"])
async def test_the_text_format_is_the_default(accept: str) -> None:
    response = await client().get("/metrics", headers={"accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert response.headers["cache-control"] == "no-store"
    parsed = list(text_parser.text_string_to_metric_families(response.text))
    assert {family.name: family.samples[0].value for family in parsed} == {"things": 3, "events": 4}


async def test_openmetrics_is_sent_if_it_is_asked_for() -> None:
    response = await client().get("/metrics", headers={"accept": OPENMETRICS})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.count("# EOF") == 1
    parsed = list(openmetrics_parser.text_string_to_metric_families(response.text))  # type: ignore[no-untyped-call]
    assert {family.name for family in parsed} == {"things", "events"}


async def test_head_has_no_body_and_other_methods_are_refused() -> None:
    head = await client().head("/metrics")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0
    post = await client().post("/metrics")
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.1.200.3"])
async def test_a_client_in_a_network_needs_no_key(address: str) -> None:
    assert (await client((address, 50_000)).get("/metrics")).status_code == 200


@pytest.mark.parametrize("address", ["203.0.113.7", "10.2.0.1", "::ffff:203.0.113.7", "2001:db8::1", "", "a name"])
async def test_any_other_client_needs_one(address: str) -> None:
    response = await client((address, 50_000)).get("/metrics")
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["code"] == "UNAUTHENTICATED"
    assert "things" not in response.text


async def test_an_empty_list_of_networks_lets_nobody_in_without_a_key() -> None:
    assert (await client(networks=()).get("/metrics")).status_code == 401


@pytest.mark.parametrize("field", ["X-Forwarded-For", "Forwarded"])
async def test_a_proxy_on_this_machine_that_is_not_trusted_is_no_client_of_this_machine(field: str) -> None:
    assert (await client().get("/metrics", headers={field: "127.0.0.1"})).status_code == 401


async def test_behind_a_trusted_proxy_the_address_that_it_names_counts() -> None:
    # The HTTP server has replaced the address by that of the header field, which has no port.
    headers = {"X-Forwarded-For": "127.0.0.1"}
    assert (await client(("127.0.0.1", 0)).get("/metrics", headers=headers)).status_code == 200
    assert (await client(("203.0.113.7", 0)).get("/metrics", headers=headers)).status_code == 401


async def test_a_web_page_whose_name_resolves_to_this_machine_is_refused() -> None:
    response = await client(host="evil.example").get("/metrics")
    assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")
    assert (await client(host="localhost:8080").get("/metrics")).status_code == 200


async def test_no_page_may_read_the_response() -> None:
    response = await client().get("/metrics", headers={"Origin": "https://app.example.com"})
    assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_a_key_admits_from_anywhere_and_a_wrong_one_from_nowhere() -> None:
    for address, host in (("203.0.113.7", "stages.example.com"), ("127.0.0.1", "127.0.0.1")):
        keyed = client((address, 50_000), host=host)
        assert (await keyed.get("/metrics", headers={"Authorization": "Bearer good"})).status_code == 200
        assert (await keyed.get("/metrics", headers={"Authorization": "Bearer bad"})).status_code == 401


async def test_a_part_that_cannot_be_read_is_an_error_of_the_server_without_its_reason() -> None:
    response = await client(collect=failing).get("/metrics")
    assert response.status_code == 500
    assert "secret" not in response.text
