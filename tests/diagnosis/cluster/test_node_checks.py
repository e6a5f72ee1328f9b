"""What `doctor` says of nodes and of the secrets that they share."""

from pathlib import Path
from typing import Any

import pytest

from stagebook.book.postgres.leases.node_run import NodeRun, RunState
from stagebook.cluster.node_question import NodeAnswer, NodeReach
from stagebook.config.settings import Settings
from stagebook.diagnosis.cluster.node_checks import NodeFacts, judge_nodes
from stagebook.diagnosis.cluster.secret_checks import compare_secrets, judge_secrets
from stagebook.diagnosis.finding import Finding, Severity

NODE: dict[str, Any] = {
    "book": "postgres",
    "database_url": "postgresql:///book",
    "node_name": "a",
    "internal_listen": "127.0.0.1:1",
    "cluster_secret": "s" * 32,
    "public_url": "https://stages.example.com",
}
ALONE: dict[str, Any] = {"book": "postgres", "database_url": "postgresql:///book", "node_name": "a"}


def node(
    name: str, *, state: RunState = RunState.ALIVE, reach: NodeReach = NodeReach.ANSWERED, version: str = "1"
) -> NodeFacts:
    run = NodeRun(
        run_id=7,
        node=name,
        internal_url="http://10.0.0.1:1",
        software_version=version,
        started_ms=0,
        heartbeat_age_seconds=9,
        state=state,
        accounts=2,
    )
    return NodeFacts(run=run, answer=NodeAnswer(reach=reach, reason="why"))


def judged(*nodes: NodeFacts, settings: dict[str, Any] = NODE, is_running: bool = False) -> list[Finding]:
    return list(judge_nodes(Settings(**settings), nodes, is_running=is_running))


def errors(findings: list[Finding]) -> list[str]:
    return [finding.found for finding in findings if finding.severity is Severity.ERROR]


def test_living_nodes_are_well() -> None:
    assert errors(judged(node("a"), node("b"), is_running=True)) == []


@pytest.mark.parametrize("reach", [reach for reach in NodeReach if reach is not NodeReach.ANSWERED])
def test_a_node_without_an_answer_is_an_error_with_a_remedy(reach: NodeReach) -> None:
    (finding,) = judged(node("b", reach=reach))
    assert finding.severity is Severity.ERROR
    assert finding.remedy


def test_a_late_node_with_accounts_is_an_error() -> None:
    assert errors(judged(node("b", state=RunState.LATE))) == ["no heartbeat for 9.0 s, and it has 2 accounts"]


def test_two_servers_with_one_name_are_an_error() -> None:
    assert errors(judged(node("a"))) == ["another server with the node_name a lives"]
    assert errors(judged(node("a"), node("a"), is_running=True)) != []


def test_a_node_without_an_internal_server_must_be_alone() -> None:
    assert errors(judged(node("a"), settings=ALONE, is_running=True)) == []
    assert errors(judged(node("b"), settings=ALONE)) == ["no internal_listen, and 1 other nodes live"]


def test_an_internal_url_whose_host_has_no_address_is_an_error() -> None:
    (found,) = errors(judged(settings=NODE | {"internal_url": "http://nowhere.invalid:1"}))
    assert found.startswith("internal_url: nowhere.invalid has no address")


def test_two_versions_are_an_upgrade() -> None:
    findings = judged(node("a"), node("b", version="2"), is_running=True)
    assert [finding.found for finding in findings if finding.severity is Severity.NOTE] == ["1, 2"]


def test_secrets_are_compared_by_their_files(tmp_path: Path) -> None:
    names = ("one", "two", "three", "four")
    paths = [tmp_path / name for name in names]
    for path in paths[:3]:
        path.write_bytes(b"value")
    facts = compare_secrets(paths, {"one": b"value", "two": b"another", "four": b"value"})
    assert (facts.equal, facts.different, facts.not_stored, facts.missing) == (
        ("one",),
        ("two",),
        ("three",),
        ("four",),
    )
    finding = judge_secrets(facts)
    assert (finding.severity, finding.found) == (Severity.ERROR, "two: other values than beside the book")
    assert judge_secrets(compare_secrets(paths[:1], {"one": b"value"})).severity is Severity.OK
    assert judge_secrets(compare_secrets(paths[3:], {})).severity is Severity.OK
