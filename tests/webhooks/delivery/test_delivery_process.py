"""The delivery process with a real book and real receivers: order, crashes, dead destinations, replays."""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from stagebook.stage.events import EventName
from stagebook.webhooks.delivery import delivery_process
from stagebook.webhooks.destination import DeliveryFilter, DestinationKind
from stagebook.webhooks.webhook_service import DestinationPatch, NewDestination, ReplayRequest
from stagebook.webhooks.webhook_store import WebhookStore
from stagebook.webhooks.webhook_tables import WebhookStorageError
from tests.book.sample import ACCOUNT
from tests.process_state import is_alive
from tests.webhooks.delivering import (
    World,
    delivering,
    numbers_of,
    session_id,
    wait_until,
    without_repetitions,
)
from tests.webhooks.moto_services import REGION, client, make_queue, moto_server, receive
from tests.webhooks.receiver import Answer, Delivery, Receiver

SESSIONS = ("a", "b", "c")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


async def received(receiver: Receiver, count: int) -> None:
    await wait_until(lambda: len({each.headers["webhook-id"] for each in receiver.accepted}) >= count)


async def test_events_arrive_in_order_while_they_are_written(tmp_path: Path, receiver: Receiver) -> None:
    async with delivering(tmp_path) as world:
        await world.open_sessions(*SESSIONS)
        await world.append(*SESSIONS)
        world.add(receiver.url)
        world.start()
        for _ in range(20):
            await world.append("a", "b", "a", "c")
        await received(receiver, 80)
    # A destination that begins now does not get what was before.
    assert numbers_of(receiver, "a") == list(range(2, 42))
    assert numbers_of(receiver, "b") == numbers_of(receiver, "c") == list(range(2, 22))


async def test_without_a_destination_there_is_no_process(tmp_path: Path, receiver: Receiver) -> None:
    async with delivering(tmp_path) as world:
        await world.open_sessions("a")
        world.start()
        await world.append("a")
        assert world.delivery.process_id is None
        world.add(receiver.url, start_at="1970-01-01T00:00:00Z")
        await received(receiver, 1)
        assert world.delivery.process_id is not None


async def test_tables_that_cannot_be_read_are_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = 0

    def refuse(*_arguments: object, **_members: object) -> None:
        nonlocal opened
        opened += 1
        raise WebhookStorageError("the tables cannot be read")

    monkeypatch.setattr(delivery_process, "CHECK_INTERVAL_SECONDS", 0.001)
    monkeypatch.setattr(WebhookStore, "open", refuse)
    async with delivering(tmp_path) as world:
        world.file_path.write_bytes(b"")
        with capture_logs() as lines:
            world.start()
            await wait_until(lambda: opened >= 3)
        assert [line["event"] for line in lines] == ["webhooks are not delivered"]


async def test_killed_processes_lose_nothing_and_keep_the_order(tmp_path: Path, receiver: Receiver) -> None:
    async with delivering(tmp_path) as world:
        await world.open_sessions(*SESSIONS)
        world.add(receiver.url)
        world.start()
        for number in range(1, 4):
            for _ in range(15):
                await world.append("a", "b", "a", "c")
            await received(receiver, 60 * number - 30)
            await world.kill_process()
        await received(receiver, 180)
        assert without_repetitions(numbers_of(receiver, "a")) == list(range(1, 91))
        for name in ("b", "c"):
            assert without_repetitions(numbers_of(receiver, name)) == list(range(1, 46))


async def test_the_process_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    """The server here is a process that starts the deliveries, says so and waits."""
    script = (
        "import asyncio, pathlib, sys\n"
        "from tests.webhooks.delivering import delivering, wait_until\n"
        "async def main():\n"
        f"    async with delivering(pathlib.Path({str(tmp_path)!r})) as world:\n"
        "        world.add('http://127.0.0.1:9/')\n"
        "        world.start()\n"
        "        await wait_until(lambda: world.delivery._process.is_running)\n"
        "        print(world.delivery.process_id, flush=True)\n"
        "        await asyncio.sleep(1000)\n"
        "asyncio.run(main())\n"
    )
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    process_id = int(await server.stdout.readline())
    server.send_signal(signal.SIGKILL)
    await server.wait()
    await wait_until(lambda: not is_alive(process_id))


async def test_a_dead_destination_does_not_hold_up_another(tmp_path: Path, receiver: Receiver) -> None:
    stopped = threading.Event()

    def hang(_: Delivery) -> Answer:
        stopped.wait(60)
        return Answer()

    with Receiver(answer=hang) as hanging:
        async with delivering(tmp_path) as world:
            await world.open_sessions(*SESSIONS)
            world.add("http://127.0.0.1:9/closed")
            world.add(hanging.url)
            world.add(receiver.url)
            world.start()
            for _ in range(30):
                await world.append(*SESSIONS)
            await received(receiver, 90)
            assert not hanging.accepted
            stopped.set()
    assert numbers_of(receiver, "a") == list(range(1, 31))


async def test_a_receiver_that_is_down_for_a_while_gets_everything_in_order(tmp_path: Path, receiver: Receiver) -> None:
    async with delivering(tmp_path) as world:
        await world.open_sessions(*SESSIONS)
        world.add(receiver.url)
        world.start()
        await world.append(*SESSIONS)
        await received(receiver, 3)
        receiver.stop()
        for _ in range(5):
            await world.append(*SESSIONS)
        await wait_until(lambda: any(each.failed_attempts >= 3 for each in world.delivery.backlogs.values()))
        receiver.start()
        await received(receiver, 18)
    for name in SESSIONS:
        assert numbers_of(receiver, name) == list(range(1, 7))


async def test_one_refused_event_blocks_its_session_only_and_becomes_a_dead_letter(
    tmp_path: Path, receiver: Receiver
) -> None:
    others = threading.Event()

    def refuse_one(delivery: Delivery) -> Answer:
        """Answer the event that is refused once the others have arrived: it does not hold them up."""
        if not is_event(delivery, "a", 2):
            return Answer()
        assert others.wait(60)
        return Answer(500)

    receiver.answer = refuse_one
    async with delivering(tmp_path, max_age_ms=2_000, timeout_seconds=60) as world:
        await world.open_sessions(*SESSIONS)
        made = world.add(receiver.url)
        world.start()
        await world.append("a")
        await received(receiver, 1)
        await world.append("a", "a", "b", "c")
        await received(receiver, 3)
        assert numbers_of(receiver, "a") == [1]
        others.set()
        await received(receiver, 4)
        assert numbers_of(receiver, "a") == [1, 3]
        refused = [each for each in receiver.deliveries if is_event(each, "a", 2)]
        with world.service.open_store() as store:
            await wait_until(lambda: len(store.dead_letters(made.destination_id, after=0, limit=10)) == 1)
            (letter,) = store.dead_letters(made.destination_id, after=0, limit=10)
            assert (letter.session_id, letter.status, letter.attempts) == (session_id("a"), 500, len(refused))
        receiver.answer = lambda _: Answer()
        assert replay(world, made.destination_id, ReplayRequest(dead_letters=True)) == 1
        await received(receiver, 5)
        with world.service.open_store() as store:
            await wait_until(lambda: not store.dead_letters(made.destination_id, after=0, limit=10))
            states = {(each.origin, each.state) for each in store.deliveries(made.destination_id, before=None, limit=9)}
    assert states == {("live", "delivered"), ("live", "dead"), ("replay", "delivered")}


def is_event(delivery: Delivery, name: str, number: int) -> bool:
    detail = delivery.body["detail"]
    return bool(detail["sessionId"] == session_id(name) and detail["detail"] == str(number))


def replay(world: World, webhook_id: str, request: ReplayRequest) -> int | None:
    count = world.service.replay(ACCOUNT, webhook_id, request)
    world.delivery.note_changed()
    return count


async def test_a_replay_begins_at_an_event_and_ends_now(tmp_path: Path, receiver: Receiver) -> None:
    async with delivering(tmp_path) as world:
        await world.open_sessions("a", "b")
        made = world.add(receiver.url)
        world.start()
        for _ in range(4):
            await world.append("a", "b")
        await received(receiver, 8)
        second = next(each.body["id"] for each in receiver.accepted if is_event(each, "a", 2))
        receiver.accepted.clear()
        replay(world, made.destination_id, ReplayRequest(start_at=second, session=session_id("a")))
        await received(receiver, 3)
        await world.append("a")
        await received(receiver, 4)
    assert numbers_of(receiver, "a") == [2, 3, 4, 5]
    assert numbers_of(receiver, "b") == []


async def test_a_receiver_that_is_gone_disables_its_destination(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(410)
    async with delivering(tmp_path) as world:
        await world.open_sessions("a")
        made = world.add(receiver.url)
        world.start()
        await world.append("a", "a")

        def reason() -> str | None:
            with world.service.open_store() as store:
                return store.get_destination(ACCOUNT, made.destination_id).disabled_reason

        await wait_until(lambda: reason() is not None)
        assert "410" in str(reason())
        receiver.answer = lambda _: Answer()
        world.service.enable(ACCOUNT, made.destination_id)
        world.delivery.note_changed()
        await received(receiver, 2)
    assert numbers_of(receiver, "a") == [1, 2]


async def test_a_destination_that_is_disabled_gets_test_events(tmp_path: Path, receiver: Receiver) -> None:
    async with delivering(tmp_path) as world:
        made = world.add(receiver.url)
        world.service.disable(ACCOUNT, made.destination_id)
        world.start()
        event_ids = {world.service.send_test(ACCOUNT, made.destination_id) for _ in range(10)}
        await received(receiver, 10)
    assert {each.body["id"] for each in receiver.accepted} == event_ids


async def test_changes_by_another_process_are_noticed(tmp_path: Path, receiver: Receiver) -> None:
    """As the command line makes them: nobody tells the delivery process."""
    async with delivering(tmp_path) as world, asyncio.timeout(60):
        await world.open_sessions("a", "b")
        made = world.add(receiver.url)
        world.start()
        await world.append("a", "b")
        await received(receiver, 2)
        only_b = DestinationPatch(filter=DeliveryFilter(session=session_id("b")))
        world.service.change(ACCOUNT, made.destination_id, only_b)
        event_id = world.service.send_test(ACCOUNT, made.destination_id)
        await wait_until(lambda: any(each.body["id"] == event_id for each in receiver.accepted))
        receiver.accepted.clear()
        await world.append("a", "b")
        await received(receiver, 1)
    assert (numbers_of(receiver, "a"), numbers_of(receiver, "b")) == ([], [2])


async def test_an_event_bus_gets_batches_of_all_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has boto3 and the operator's credentials, which it gets as variables of the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    names = tuple("abcdefghijkl")
    with moto_server() as endpoint:
        sqs, url = bus_with_queue(endpoint)
        async with delivering(tmp_path) as world:
            await world.open_sessions(*names)
            made = world.service.create(
                ACCOUNT,
                NewDestination(target="bus", kind=DestinationKind.EVENTBRIDGE, region=REGION, endpoint_url=endpoint),
            )
            world.start()
            await world.append(*names, *names)
            await wait_until(
                lambda: (
                    made.destination_id in world.delivery.backlogs
                    and world.delivery.backlogs[made.destination_id].delivered == 2 * len(names)
                )
            )
        found = [json.loads(each["Body"])["detail"] for _ in range(5) for each in receive(sqs, url)]
    assert sorted((each["sessionId"], each["detail"]) for each in found) == sorted(
        (session_id(name), number) for name in names for number in "12"
    )


def bus_with_queue(endpoint: str) -> tuple[Any, str]:
    """Make an event bus whose events all go to a queue; return a client of SQS and the URL of the queue."""
    sqs, url, arn = make_queue(endpoint, "all")
    events = client("events", endpoint)
    events.create_event_bus(Name="bus")
    pattern = {"source": ["stagebook"]}
    events.put_rule(Name="rule", EventBusName="bus", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="rule", EventBusName="bus", Targets=[{"Id": "1", "Arn": arn}])
    return sqs, url


async def test_the_process_has_no_rights_to_gain_and_leaves_no_core_dump(tmp_path: Path, receiver: Receiver) -> None:
    async with delivering(tmp_path) as world:
        world.add(receiver.url)
        world.start()
        await world.open_sessions("a")
        await world.append("a")
        await received(receiver, 1)
        facts = process_facts(world.delivery.process_id)
    assert "NoNewPrivs:\t1" in facts
    assert "Max core file size        0                    0" in facts


def process_facts(process_id: int | None) -> str:
    return "".join(Path(f"/proc/{process_id}/{name}").read_text() for name in ("status", "limits"))


def test_the_file_is_private_and_has_no_secret_in_clear(tmp_path: Path, receiver: Receiver) -> None:
    world = asyncio.run(one_destination(tmp_path, receiver.url))
    assert world.file_path.stat().st_mode & 0o777 == 0o600
    contents = b"".join(path.read_bytes() for path in tmp_path.glob("webhooks*"))
    assert receiver.secret.encode() not in contents


async def one_destination(folder: Path, url: str) -> World:
    async with delivering(folder) as world:
        world.add(url)
    return world


async def test_events_of_compositions_come_among_those_of_participants(tmp_path: Path, receiver: Receiver) -> None:
    async with delivering(tmp_path) as world:
        await world.open_sessions("a")
        composition_arn = await world.compose("a")
        world.add(receiver.url)
        world.add(receiver.url, filter=DeliveryFilter(name=(EventName.JOINED,)))
        world.start()
        await world.append("a")
        await world.append_composition(composition_arn)
        await world.append("a")
        await wait_until(lambda: len(receiver.accepted) == 5)
        bodies = [each.body for each in receiver.accepted]
        assert sorted(each["detail-type"] for each in bodies) == [
            "IVS Composition State Change",
            *["Stagebook Participant Event"] * 4,
        ]
