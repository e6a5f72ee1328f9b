"""The nodes of a cluster: whether they live, and whether this machine reaches them with the same secret."""

import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import urlsplit

import msgspec

from stagebook.book.postgres.leases.node_run import NodeRun, RunState, list_runs
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.cluster.node_question import NodeAnswer, NodeReach, ask_node
from stagebook.config.settings import Settings
from stagebook.diagnosis.finding import Finding, Severity

CHECK: Final = "nodes"
MAXIMUM_RUNS: Final = 200
QUESTIONS_AT_ONCE: Final = 16


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A run that lives or is late, and its answer; None if it was not asked."""

    run: NodeRun
    answer: NodeAnswer | None = None


def read_node_facts(settings: Settings, connection: PostgresConnection) -> list[NodeFacts]:
    """Ask the nodes that live. Raises BookFailedError."""
    runs = [run for run in list_runs(connection, limit=MAXIMUM_RUNS) if is_open(run)]
    secret = settings.cluster_secret
    if secret is None:
        return [NodeFacts(run=run) for run in runs]
    with ThreadPoolExecutor(max_workers=QUESTIONS_AT_ONCE) as threads:
        answers = threads.map(lambda run: ask_node(run.internal_url, run_id=run.run_id, cluster_secret=secret), runs)
        return [NodeFacts(run=run, answer=answer) for run, answer in zip(runs, answers, strict=True)]


def is_open(run: NodeRun) -> bool:
    """Return whether a run lives, or is late and still has accounts."""
    return run.state is RunState.ALIVE or (run.state is RunState.LATE and run.accounts > 0)


def judge_nodes(settings: Settings, nodes: Sequence[NodeFacts], *, is_running: bool) -> Iterator[Finding]:
    """Yield the findings about the nodes. `is_running`: a server runs on this data folder."""
    own_name = settings.effective_node_name()
    yield from _judge_own(settings, nodes, own_name=own_name, is_running=is_running)
    for node in nodes:
        yield _judge_node(node)
    versions = {node.run.software_version for node in nodes}
    if len(versions) > 1:
        remedy = "end the upgrade; two neighbouring versions work together (docs/scaling.md)"
        yield _finding("versions", Severity.NOTE, ", ".join(sorted(versions)), "an upgrade is in progress", remedy)
    if not nodes:
        yield _finding("nodes", Severity.OK, "none lives")


def _judge_own(settings: Settings, nodes: Sequence[NodeFacts], *, own_name: str, is_running: bool) -> Iterator[Finding]:
    same = [node for node in nodes if node.run.node == own_name and node.run.state is RunState.ALIVE]
    if len(same) > is_running:
        remedy = "give each server on the same database a node_name of its own"
        found = f"another server with the node_name {own_name} lives"
        yield _finding(own_name, Severity.ERROR, found, "logs and metrics of two nodes have one name", remedy)
    others = [node for node in nodes if node.run.node != own_name and node.run.state is RunState.ALIVE]
    if settings.internal_listen is None:
        if others:
            remedy = "set internal_listen, cluster_secret and public_url"
            found = f"no internal_listen, and {len(others)} other nodes live"
            meaning = "requests for accounts of this node fail at the others"
            yield _finding(own_name, Severity.ERROR, found, meaning, remedy)
        return
    host = urlsplit(settings.internal_url or f"http://{settings.internal_listen}").hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        remedy = "correct internal_url: an address of this machine in the network of the nodes"
        found = f"internal_url: {host} has no address: {error}"
        yield _finding(own_name, Severity.ERROR, found, "other nodes do not reach this one", remedy)


def _judge_node(node: NodeFacts) -> Finding:
    run, answer = node.run, node.answer
    name = f"{run.node} (run {run.run_id})"
    if run.state is RunState.LATE:
        found = f"no heartbeat for {run.heartbeat_age_seconds:.1f} s, and it has {run.accounts} accounts"
        remedy = "start a node: it takes them; look at the machine of this one"
        return _finding(name, Severity.ERROR, found, "its accounts are not served", remedy)
    if answer is None:
        return _finding(name, Severity.OK, f"lives, {run.accounts} accounts; not asked, without cluster_secret")
    if answer.reach is NodeReach.ANSWERED:
        health = "ok" if answer.health is None else answer.health.status.value
        found = f"{run.internal_url} answers: {health}, version {run.software_version}, {run.accounts} accounts"
        return _finding(name, Severity.OK, found)
    remedies = {
        NodeReach.REFUSED: "set the same cluster_secret on all nodes, and adjust the clocks of their machines",
        NodeReach.NO_ADDRESS: "set internal_listen, cluster_secret and public_url on that node",
        NodeReach.OTHER_RUN: "nothing if the node was restarted just now; else give each node its own internal_url",
        NodeReach.UNREACHABLE: "open its internal_listen to this machine, or correct its internal_url",
    }
    meaning = "requests that clients send to this node fail for the accounts of that one"
    found = f"{run.internal_url or 'no internal URL'}: {answer.reason}"
    return _finding(name, Severity.ERROR, found, meaning, remedies[answer.reach])


def _finding(subject: str, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=subject, severity=severity, found=found, meaning=meaning, remedy=remedy)
