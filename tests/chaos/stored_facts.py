"""What must be true of the book after each round, read from its tables with SQL."""

import json
from typing import Final

from stagebook.book.postgres.schema.account_functions import SEQUENCE_SLOTS
from stagebook.book.tables.rows import CAUSE_CODE, EVENT_NAME_CODE
from stagebook.stage.events import Cause, EventName
from tests.chaos.acknowledged_writes import AcknowledgedWrites, StageFacts
from tests.chaos.chaos_cluster import ChaosCluster

JOINED, LEFT = EVENT_NAME_CODE[EventName.JOINED], EVENT_NAME_CODE[EventName.LEFT]

_STAGES: Final = "SELECT arn, name, tags, deleted_ms IS NOT NULL FROM stage"
_DOUBLE_STAGES: Final = "SELECT name FROM stage GROUP BY name HAVING count(*) > 1 AND name LIKE 'stage-%%'"
_DOUBLE_SEQUENCES: Final = "SELECT sequence FROM event GROUP BY sequence HAVING count(*) > 1"
_DOUBLE_EVENTS: Final = f"""
SELECT session_key, participant_number, name FROM event WHERE name IN ({JOINED}, {LEFT})
GROUP BY session_key, participant_number, name HAVING count(*) > 1
"""  # noqa: S608 - a constant
_OF_ACCOUNT: Final = "event JOIN session USING (session_key) JOIN stage USING (stage_key)"
# In the order of the transactions, which is not that of the sequence numbers: those are of the clocks of the nodes.
_OVERLAPS: Final = f"""
SELECT account_id FROM {_OF_ACCOUNT}
WHERE account_id = ANY(%(accounts)s) AND event.xmin::text::bigint >= %(since)s
GROUP BY account_id
HAVING max(event.xmin::text::bigint) FILTER (WHERE sequence %% {SEQUENCE_SLOTS} = %(old)s)
    >= min(event.xmin::text::bigint) FILTER (WHERE sequence %% {SEQUENCE_SLOTS} <> %(old)s)
"""  # noqa: S608 - a constant
_LEFT: Final = f"""
SELECT participant_id, event.cause, extract(epoch FROM pg_xact_commit_timestamp(event.xmin))::double precision
FROM event JOIN participant ON participant.session_key = event.session_key
    AND participant.number = event.participant_number
WHERE event.name = {LEFT} AND participant_id = ANY(%s)
"""  # noqa: S608 - a constant
_TAKEN: Final = """
SELECT max(extract(epoch FROM taken_at))::double precision FROM account_lease WHERE account_id = ANY(%s)
"""
# Sessions that a run which is over has left open: nobody ends them.
_FORGOTTEN: Final = f"""
SELECT session_key, participant_number, open_event.sequence
FROM open_event JOIN session USING (session_key) JOIN stage USING (stage_key)
    JOIN account_lease USING (account_id) JOIN node_run USING (run_id)
WHERE open_event.sequence %% {SEQUENCE_SLOTS} <> sequence_slot AND open_event.name IN ({JOINED}, {LEFT})
"""  # noqa: S608 - a constant


def require_stored(cluster: ChaosCluster, writes: AcknowledgedWrites) -> None:
    """Raise AssertionError if something that was acknowledged is not stored, or something is stored twice."""
    known = [
        (facts, facts.tag, facts.is_deleted) for facts in list(writes.stages)
    ]  # Before the read: what is acknowledged meanwhile is not compared.
    stored = {arn: (name, tags, is_deleted) for arn, name, tags, is_deleted in cluster.rows(_STAGES)}
    problems = [
        problem
        for facts, tag, is_deleted in known
        if (problem := _problem(facts, tag, stored.get(facts.arn), is_deleted=is_deleted))
    ]
    assert not problems, problems
    assert not writes.violations, writes.violations
    for statement in (_DOUBLE_STAGES, _DOUBLE_SEQUENCES, _DOUBLE_EVENTS, _FORGOTTEN):
        assert cluster.rows(statement, ()) == [], statement


def require_no_overlap(cluster: ChaosCluster, accounts: list[str], *, old_slot: int, since: int) -> None:
    """Raise AssertionError if the former owner of accounts has written after the new one, from transaction `since`."""
    values = {"accounts": accounts, "old": old_slot, "since": since}
    assert cluster.rows(_OVERLAPS, values) == []


def transaction_number(cluster: ChaosCluster) -> int:
    """Return the number of a new transaction."""
    ((number,),) = cluster.rows("SELECT pg_current_xact_id()::text::bigint")
    return int(number)


def database_seconds(cluster: ChaosCluster) -> float:
    """Return the time of the database, in seconds since the epoch."""
    ((seconds,),) = cluster.rows("SELECT extract(epoch FROM clock_timestamp())::double precision")
    return float(seconds)


def last_taking(cluster: ChaosCluster, accounts: list[str]) -> float:
    """Return when the last of these accounts got its owner, as `database_seconds`."""
    ((seconds,),) = cluster.rows(_TAKEN, (accounts,))
    return float(seconds)


def left_events(cluster: ChaosCluster, participant_ids: list[str]) -> dict[str, tuple[Cause | None, float]]:
    """Return the cause of LEFT of each participant that has one, and when it was committed by the database's clock."""
    causes = {code: cause for cause, code in CAUSE_CODE.items()}
    return {
        participant_id: (causes[cause], seconds)
        for participant_id, cause, seconds in cluster.rows(_LEFT, (participant_ids,))
    }


def _problem(facts: StageFacts, tag: int, stored: tuple[str, str, bool] | None, *, is_deleted: bool) -> str | None:
    if stored is None:
        return f"{facts.name} is lost"
    name, tags, is_gone = stored
    if name != facts.name:
        return f"{facts.name} is stored as {name}"
    if is_deleted != is_gone and not facts.is_deletion_attempted:
        return f"{facts.name}: deleted {is_gone}, acknowledged {is_deleted}"
    if is_deleted and not is_gone:
        return f"{facts.name}: its deletion is lost"
    number = int(json.loads(tags).get("number", 0))
    if not tag <= number <= facts.attempted_tag:
        return f"{facts.name}: tag {number}, acknowledged {tag}, sent {facts.attempted_tag}"
    return None
