"""What `stagebook play` prints: a line for each step, then the events of each participant."""

from collections import Counter
from collections.abc import Mapping

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stagebook.scenarios.durations import clock_text
from stagebook.scenarios.peers import event_text
from stagebook.scenarios.played_server import Json
from stagebook.scenarios.scenario import Scenario, ScenarioStep
from stagebook.scenarios.scenario_run import Playback, StepPlayed
from stagebook.scenarios.schedule import member_names


class PlayReport:
    """Prints the progress. A step of a group is one line, when the last participant has done it."""

    def __init__(self, scenario: Scenario, console: Console) -> None:
        self._scenario = scenario
        self._console = console
        self._done: Counter[int] = Counter()
        self._events: dict[int, Counter[str]] = {}
        self.totals: Counter[str] = Counter()
        """The events that steps are known to have made, by name."""

    def show_step(self, played: StepPlayed) -> None:
        """Note a step of one participant."""
        position, step = played.scheduled.position, played.scheduled.step
        self._done[position] += 1
        self._events.setdefault(position, Counter()).update(played.events)
        self.totals.update(played.events)
        expected = 1 if step.who is None else len(member_names(self._scenario, step.who))
        if self._done[position] == expected:
            who = step.who or step.stage or ""
            label = f"{who} ({expected:,})" if expected > 1 else who
            events = ", ".join(
                f"{count:,} x {name}" if count > 1 else name for name, count in self._events[position].items()
            )
            time = clock_text(played.scheduled.at_ms)
            self._console.print(
                f"{time}  {label:<16} {_description(step):<34} [dim]{escape(events)}[/dim]", soft_wrap=True
            )

    def show_events(self, playback: Playback) -> None:
        """Print the events of single participants in order of time, and the ids that other commands take."""
        table = Table(box=None, pad_edge=False)
        for heading in ("eventTime", "participant", "name", "errorCode"):
            table.add_column(heading)
        rows = [(event["eventTime"], name, event) for name, events in playback.events.items() for event in events]
        for time, name, event in sorted(rows, key=lambda row: row[0]):
            text = f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03}"
            table.add_row(text, name, event["name"], event.get("errorCode", ""))
        self._console.print()
        self._console.print(table)
        self._console.print()
        for name, arn in playback.stage_arns.items():
            self._console.print(f"Stage {name}: {arn}", soft_wrap=True)


def _description(step: ScenarioStep) -> str:
    details: Mapping[str, object] = {
        "to": step.to,
        "code": step.error_code,
        "by": step.by,
        "on": step.operation,
        "kind": step.kind,
        "times": step.times,
    }
    words = " ".join(str(value) for value in details.values() if value is not None)
    return f"{step.do.value} {words}".rstrip()


def playback_json(playback: Playback, totals: Counter[str]) -> bytes:
    """Return the playback as JSON: stages, participants, the events of single participants, and all known events."""
    document: Json = {
        "stages": playback.stage_arns,
        "participants": playback.participant_ids,
        "events": {
            name: [
                {"eventTime": event["eventTime"], "name": event_text(event), "sessionId": event["sessionId"]}
                for event in events
            ]
            for name, events in playback.events.items()
        },
        "totals": totals,
    }
    return msgspec.json.encode(document)
