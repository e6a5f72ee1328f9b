"""Which node serves an encoder: this one, the owner of the account, or none."""

import socket
import time

import pytest

from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.directory import OwnerDirectory
from stagebook.cluster.encoder_routing import EncoderRouting
from stagebook.cluster.forwarding.forwarding_seal import ForwardingSeal
from stagebook.cluster.owner_search import OwnerSearch
from stagebook.media.ingest.encoder_relay import RelayTarget
from stagebook.media.ingest.processes.ingest_pool import RouteEncoder
from stagebook.media.port import IngestAsked
from tests.cluster.cluster_harness import ACCOUNT, SECRET, Leases, LocalLeases, Source, until

OWNER = AccountOwner(node="owner", run_id=2, internal_url="http://127.0.0.1:4711")
ASKED = IngestAsked(
    ask_id="7", stream_key=f"rt_{ACCOUNT}_us-west-2_abcdABCDefgh_secret", is_secure=True, remote_address="203.0.113.9"
)


class Encoders:
    """Records what is done with encoders."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.targets: list[RelayTarget] = []

    def route_by(self, route: RouteEncoder) -> None: ...

    def serve_here(self, asked: IngestAsked) -> None:
        self.done.append(("here", asked.ask_id))

    def relay(self, target: RelayTarget, *, ask_id: str) -> None:
        self.targets.append(target)
        self.done.append(("relay", ask_id))

    def refuse(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        assert "try again" in detail
        assert not is_wrong_key
        self.done.append(("refuse", ask_id))

    def take_relayed(self, connection: socket.socket, *, address: str, is_secure: bool) -> None: ...


class Routed:
    def __init__(self) -> None:
        self.leases = Leases()
        self.local = LocalLeases(self.leases, 1)
        self.directory = OwnerDirectory(Source(self.leases))
        self.encoders = Encoders()
        self.routing = EncoderRouting(
            self.encoders,
            search=OwnerSearch(self.local, self.directory, is_known=lambda account: account == ACCOUNT),
            local=self.local,
            seal=ForwardingSeal(SECRET, now_ms=lambda: time.time_ns() // 1_000_000),
            node="first",
        )


@pytest.fixture
def routed() -> Routed:
    return Routed()


async def test_the_owner_of_the_account_serves_an_encoder(routed: Routed) -> None:
    routed.leases.owners[ACCOUNT] = OWNER
    assert routed.routing.route(ASKED, is_relayed=False)
    await until(lambda: routed.encoders.done == [("relay", "7")])
    (target,) = routed.encoders.targets
    assert (target.host, target.port) == ("127.0.0.1", 4_711)
    lines = target.head.split(b"\r\n")
    assert lines[0] == b"GET /cluster/v1/encoder HTTP/1.1"
    # What the owner learns from the signed field.
    fields = [tuple(line.split(b": ", 1)) for line in lines[1:-2]]
    scope = {"method": "GET", "raw_path": b"/cluster/v1/encoder", "query_string": b"", "headers": fields}
    facts = ForwardingSeal(SECRET, now_ms=lambda: time.time_ns() // 1_000_000).verify(scope)
    assert (facts.account_id, facts.run_id, facts.scheme) == (ACCOUNT, 2, "rtmps")
    assert facts.client == ("203.0.113.9", 0)


async def test_this_node_serves_its_own_accounts_and_keys_of_no_account(routed: Routed) -> None:
    routed.leases.owners[ACCOUNT] = AccountOwner(node="me", run_id=1, internal_url="")
    keys = (ASKED.stream_key, "no key", ASKED.stream_key.replace(ACCOUNT, "999999999999"))
    for key in keys:
        asked = IngestAsked(ask_id="7", stream_key=key, is_secure=False, remote_address="203.0.113.9")
        assert not routed.routing.route(asked, is_relayed=False)
    assert routed.encoders.done == []


async def test_a_free_account_is_taken_for_an_encoder(routed: Routed) -> None:
    routed.local.can_acquire = True
    assert routed.routing.route(ASKED, is_relayed=False)
    await until(lambda: routed.encoders.done == [("here", "7")])
    assert routed.local.acquired == [ACCOUNT]


async def test_an_encoder_that_was_not_taken_is_sent_to_the_next_owner(routed: Routed) -> None:
    routed.leases.owners[ACCOUNT] = OWNER
    routed.routing.route(ASKED, is_relayed=False)
    await until(lambda: len(routed.encoders.done) == 1)
    routed.leases.owners[ACCOUNT] = AccountOwner(node="next", run_id=3, internal_url="http://127.0.0.1:4712")
    routed.routing.route(ASKED, is_relayed=False)
    await until(lambda: len(routed.encoders.done) == 2)
    assert [target.port for target in routed.encoders.targets] == [4_711, 4_712]


async def test_a_relayed_encoder_is_not_relayed_again(routed: Routed) -> None:
    routed.leases.owners[ACCOUNT] = OWNER
    assert routed.routing.route(ASKED, is_relayed=True)
    assert routed.encoders.done == [("refuse", "7")]


async def test_without_an_owner_an_encoder_is_refused(routed: Routed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagebook.cluster.owner_search.PATIENCE_SECONDS", 0.1)
    assert routed.routing.route(ASKED, is_relayed=False)
    await until(lambda: routed.encoders.done == [("refuse", "7")])
