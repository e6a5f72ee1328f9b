"""Clients that write through any node with boto3, and remember what was acknowledged.

Each request is sent once. An answer with success is a promise. A 503, or no answer, says nothing: the request may have
been carried out, but never twice, which the names of stages show.
"""

import itertools
import random
import threading
import time
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

from tests.chaos.chaos_cluster import ACCOUNTS, ChaosCluster, ChaosNode

WRITERS: Final = 4
PAUSE_SECONDS: Final = 0.02
AVOIDED_SECONDS: Final = 2.0
KEPT_STAGES: Final = 20
_numbers = itertools.count(1)


class StageFacts:
    """What is known of one stage. `tag` is the newest value that was acknowledged, `attempted_tag` that was sent."""

    def __init__(self, arn: str, name: str) -> None:
        self.arn = arn
        self.name = name
        self.tag = self.attempted_tag = 0
        self.is_deleted = self.is_deletion_attempted = False


class AcknowledgedWrites:
    """What all writers know, and how many requests had which end."""

    def __init__(self) -> None:
        self.stages: list[StageFacts] = []
        self.violations: list[str] = []
        """Answers that contradict one before."""
        self.acknowledged = 0
        self.by_account = dict.fromkeys(ACCOUNTS, 0)
        self.refused = 0
        self.unanswered = 0
        self.longest_pause_seconds = 0.0


class StageWriter(threading.Thread):
    """Makes, tags, reads and deletes stages of one account until `stop`."""

    def __init__(self, cluster: ChaosCluster, writes: AcknowledgedWrites, *, account_id: str) -> None:
        super().__init__(daemon=True)
        self._cluster = cluster
        self._writes = writes
        self._account_id = account_id
        self._own: list[StageFacts] = []
        self._avoided: dict[str, float] = {}
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Stop after the request in progress."""
        self._stopping.set()

    def run(self) -> None:
        """Send one request after the other."""
        while not self._stopping.wait(PAUSE_SECONDS):
            node = self._choose_node()
            try:
                self._send(self._cluster.client(node, self._account_id))
            except ClientError as error:
                self._note_error(error)
                self._avoided[node.name] = time.monotonic()
            except BotoCoreError:
                self._writes.unanswered += 1
                self._avoided[node.name] = time.monotonic()
            else:
                self._writes.acknowledged += 1
                self._writes.by_account[self._account_id] += 1

    def _choose_node(self) -> ChaosNode:
        since = time.monotonic() - AVOIDED_SECONDS
        nodes = [node for node in self._cluster.nodes if not node.is_avoided]
        good = [node for node in nodes if self._avoided.get(node.name, 0.0) < since]
        return random.choice(good or nodes)

    def _note_error(self, error: ClientError) -> None:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 503:
            self._writes.refused += 1
        else:
            self._writes.violations.append(f"{error.operation_name}: {status} {error}")

    def _send(self, client: Any) -> None:  # noqa: ANN401 - boto3 makes its clients at run time
        kind = random.random()
        if kind < 0.3 or not self._own:
            self._create(client)
        elif kind < 0.6:
            self._tag(client, random.choice(self._own))
        elif kind < 0.9 or len(self._own) < KEPT_STAGES:
            self._read(client, random.choice(self._own))
        else:
            self._delete_stage(client, self._own.pop(random.randrange(len(self._own))))

    def _create(self, client: Any) -> None:  # noqa: ANN401 - as above
        name = f"stage-{next(_numbers)}"
        stage = _stage_of(client.create_stage(name=name))
        facts = StageFacts(stage["arn"], name)
        self._own.append(facts)
        self._writes.stages.append(facts)

    @staticmethod
    def _tag(client: Any, facts: StageFacts) -> None:  # noqa: ANN401 - as above
        facts.attempted_tag += 1
        value = facts.attempted_tag
        client.tag_resource(resourceArn=facts.arn, tags={"number": str(value)})
        facts.tag = value

    def _read(self, client: Any, facts: StageFacts) -> None:  # noqa: ANN401 - as above
        acknowledged = facts.tag
        found = _stage_of(client.get_stage(arn=facts.arn))
        read = int(found.get("tags", {}).get("number", 0))
        if found["name"] != facts.name or not acknowledged <= read <= facts.attempted_tag:
            self._writes.violations.append(f"{facts.name}: read {read} after {acknowledged}")

    @staticmethod
    def _delete_stage(client: Any, facts: StageFacts) -> None:  # noqa: ANN401 - as above
        facts.is_deletion_attempted = True
        client.delete_stage(arn=facts.arn)
        facts.is_deleted = True


def _stage_of(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the stage in an answer. Raises ConnectionClosedError for one that breaks off.

    botocore takes what a killed node has sent of a response for the whole: it does not compare Content-Length.
    """
    stage: dict[str, Any] | None = answer.get("stage")
    if stage is None:
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers.get("content-length") != "2", f"the answer of another operation: {answer}"
        raise ConnectionClosedError(endpoint_url="")
    return stage


class WritingClients:
    """Writers of all accounts, while it is entered."""

    def __init__(self, cluster: ChaosCluster) -> None:
        self.writes = AcknowledgedWrites()
        self._writers = [
            StageWriter(cluster, self.writes, account_id=ACCOUNTS[number % len(ACCOUNTS)]) for number in range(WRITERS)
        ]

    def __enter__(self) -> AcknowledgedWrites:
        for writer in self._writers:
            writer.start()
        return self.writes

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.stop()
        for writer in self._writers:
            writer.join()
