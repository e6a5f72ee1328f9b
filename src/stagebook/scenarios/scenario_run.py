"""Playing a scenario: its stages are created, its participants act at their times, and the events are compared.

The actions of one participant happen in order, each when the one before has ended. An action that concerns another
participant, such as to subscribe, waits for that one's action before, and the next action of that one waits for it.
Everything else happens side by side, at most ACTIONS_AT_ONCE at a time. The first failure ends the scenario.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from stagebook.scenarios.durations import clock_text, duration_ms
from stagebook.scenarios.pace import ClockPace, Pace
from stagebook.scenarios.peers import Peer, PlannedParticipant, create_peer, event_text
from stagebook.scenarios.played_server import Json, PlayedServer, PlayFailedError
from stagebook.scenarios.scenario import Action, Media, Scenario, ScenarioStep
from stagebook.scenarios.schedule import ScheduledStep, member_names, schedule

ACTIONS_AT_ONCE = 16


class StepPlayed(msgspec.Struct, frozen=True, kw_only=True):
    """A step that has been carried out, by one participant or by nobody, with the events that it is known to make."""

    scheduled: ScheduledStep
    events: Counter[str]


class Playback(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario has left on the server: the stages, the participants by name, and their events, oldest first.

    The events are those of single participants: a large group would need many requests.
    """

    stage_arns: Mapping[str, str]
    participant_ids: Mapping[str, str]
    events: Mapping[str, list[Json]]

    def differences(self, scenario: Scenario) -> list[str]:
        """Return where the events are not those that the scenario expects."""
        found = []
        for name, expected in scenario.expect.items():
            recorded = tuple(event_text(event) for event in self.events.get(name, ()))
            if recorded != expected:
                found.append(f"{name}: expected {', '.join(expected)}; recorded {', '.join(recorded) or 'nothing'}")
        return found


class ScenarioRun:
    """Plays one scenario once."""

    def __init__(
        self, scenario: Scenario, *, server: PlayedServer, pace: Pace, on_step: Callable[[StepPlayed], None]
    ) -> None:
        self._scenario = scenario
        self._server = server
        self._pace = pace
        self._on_step = on_step
        self._stage_arns: dict[str, str] = {}
        self._planned: dict[str, PlannedParticipant] = {}
        self._creations: dict[str, asyncio.Task[Peer]] = {}
        self._last_actions: dict[str, asyncio.Task[None]] = {}
        self._concerning: dict[str, list[asyncio.Task[None]]] = {}
        """The actions of others that concern a participant, since its own last one."""
        self._places = asyncio.Semaphore(ACTIONS_AT_ONCE)
        self._fault_ids: set[str] = set()

    async def play(self) -> Playback:
        """Play the scenario and return what it has left. Raises PlayFailedError."""
        self._check_server()
        try:
            await self._create_stages()
            try:
                await self._play_steps()
            finally:
                await self._remove_faults()
            return Playback(
                stage_arns=self._stage_arns,
                participant_ids={name: (await task).participant_id for name, task in self._creations.items()},
                events=await self._events(),
            )
        except* PlayFailedError as failures:
            raise failures.exceptions[0] from None
        finally:
            await asyncio.gather(*map(_close, self._creations.values()), return_exceptions=True)

    async def _play_steps(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for scheduled in schedule(self._scenario):
                await self._pace.reach(scheduled.at_ms, settled=self._settled)
                await self._begin(scheduled, tasks)

    def _check_server(self) -> None:
        groups = self._scenario.participants
        if not self._server.has_testing_api:
            without = next((name for name, group in groups.items() if group.media is Media.NONE), None)
            controls = any(step.do in {Action.FAULT, Action.ADVANCE_CLOCK} for step in self._scenario.steps)
            if without is not None or controls or isinstance(self._pace, ClockPace):
                reason = f"`{without}` has no media" if without else "the scenario controls the server"
                raise PlayFailedError(f"{reason}: the server must be started with `stagebook serve --testing`")
        if isinstance(self._pace, ClockPace):
            with_media = next((name for name, group in groups.items() if group.media is not Media.NONE), None)
            if with_media is not None:
                raise PlayFailedError(f"`{with_media}` sends media in real time: play with --speed")

    async def _create_stages(self) -> None:
        for name, part in self._scenario.stages.items():
            created = await self._server.call("create_stage", name=part.title or self._scenario.title, tags=part.tags)
            self._stage_arns[name] = created["stage"]["arn"]
        for group_name, group in self._scenario.participants.items():
            for name in member_names(self._scenario, group_name):
                self._planned[name] = PlannedParticipant(
                    name=name, group=group, stage_arn=self._stage_arns[group.stage]
                )

    async def _settled(self) -> None:
        """Wait until all actions that have begun have ended. Failures are those of the task group."""
        await asyncio.wait([*self._last_actions.values(), asyncio.create_task(asyncio.sleep(0))])

    async def _begin(self, scheduled: ScheduledStep, tasks: asyncio.TaskGroup) -> None:
        name, step = scheduled.participant, scheduled.step
        if name is None:
            await self._settled()
            try:
                await self._control(step)
            except PlayFailedError as error:
                raise _at_step(scheduled, error) from error
            self._on_step(StepPlayed(scheduled=scheduled, events=Counter()))
            return
        others = [self._last_actions[each] for each in (name, step.to) if each in self._last_actions]
        others.extend(self._concerning.pop(name, ()))
        task = tasks.create_task(self._act(scheduled, name, others))
        self._last_actions[name] = task
        if step.to is not None:
            self._concerning.setdefault(step.to, []).append(task)

    async def _act(self, scheduled: ScheduledStep, name: str, others: list[asyncio.Task[None]]) -> None:
        if others:
            await asyncio.wait(others)
        try:
            async with self._places:
                events = await self._carry_out(scheduled.step, name)
        except PlayFailedError as error:
            raise _at_step(scheduled, error) from error
        self._on_step(StepPlayed(scheduled=scheduled, events=events))

    async def _carry_out(self, step: ScenarioStep, name: str) -> Counter[str]:
        peer, planned = await self._peer(name), self._planned[name]
        match step.do:
            case Action.DISCONNECT:
                await self._server.call(
                    "disconnect_participant", stageArn=planned.stage_arn, participantId=peer.participant_id
                )
            case Action.START_REPLICATION | Action.STOP_REPLICATION:
                is_start = step.do is Action.START_REPLICATION
                await self._server.call(
                    "start_participant_replication" if is_start else "stop_participant_replication",
                    sourceStageArn=planned.stage_arn,
                    destinationStageArn=self._stage_arns[step.stage or ""],
                    participantId=peer.participant_id,
                )
            case _:
                publisher_id = None if step.to is None else (await self._peer(step.to)).participant_id
                return await peer.act(step, publisher_id=publisher_id)
        return Counter()

    async def _peer(self, name: str) -> Peer:
        """Return a participant, which is created when it is first needed."""
        if name not in self._creations:
            self._creations[name] = asyncio.create_task(create_peer(self._server, self._planned[name]))
        return await self._creations[name]

    async def _control(self, step: ScenarioStep) -> None:
        match step.do:
            case Action.FAULT:
                body = {"operation": step.operation, "kind": step.kind, "times": step.times, "seconds": step.seconds}
                created = await self._server.control("/faults", body)
                self._fault_ids.add(created["id"])
            case Action.ADVANCE_CLOCK:
                await self._server.control("/clock/advance", {"seconds": duration_ms(step.by or 0) / 1_000})
            case _:
                await self._server.call("delete_stage", arn=self._stage_arns[step.stage or ""])

    async def _remove_faults(self) -> None:
        """Remove the faults of the scenario that still have calls left. They would fail the reads of its events."""
        if not self._fault_ids:
            return
        answer = await self._server.control("/faults", {}, method="GET")
        for fault_id in self._fault_ids.intersection(fault["id"] for fault in answer["faults"]):
            await self._server.control(f"/faults/{fault_id}", {}, method="DELETE")

    async def _events(self) -> dict[str, list[Json]]:
        """Return the events of the participants that are no members of a group of several."""
        events: dict[str, list[Json]] = {}
        for name, group in self._scenario.participants.items():
            if group.count == 1 and name in self._creations:
                peer = await self._creations[name]
                arn = self._planned[name].stage_arn
                events[name] = await self._server.events(stage_arn=arn, participant_id=peer.participant_id)
        return events


def _at_step(scheduled: ScheduledStep, error: PlayFailedError) -> PlayFailedError:
    """Return the error with the step that it belongs to."""
    words = (clock_text(scheduled.at_ms), scheduled.participant, scheduled.step.do.value)
    return PlayFailedError(f"steps[{scheduled.position}] ({' '.join(filter(None, words))}): {error}")


async def _close(creation: asyncio.Task[Peer]) -> None:
    await (await creation).close()
