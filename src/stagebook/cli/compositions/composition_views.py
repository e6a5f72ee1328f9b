"""What `stagebook compositions list` and `show` do."""

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console

from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.book.composition_reader import CompositionFilter
from stagebook.cli.events.event_flags import composition_arn, open_history, stage_arn
from stagebook.cli.exit_codes import EXIT_OK, CommandFailedError
from stagebook.cli.setting_flags import read_settings
from stagebook.cli.terminal.event_rows import duration_text, new_table
from stagebook.cli.terminal.terminal_text import open_console, plain
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.history.composition_document import composition_document, composition_event_document
from stagebook.history.history_files import HistoryFiles
from stagebook.server.system_clock import SystemClock
from stagebook.stage.composition.composition import Composition, CompositionDestination
from stagebook.stage.resources import StorageConfiguration
from stagebook.stage.timestamps import iso8601

READ_SIZE = 500
_MULTIVARIANT_PLAYLIST = "media/hls/multivariant.m3u8"


def list_compositions(arguments: argparse.Namespace) -> int:
    """List compositions; return the exit code."""
    where = CompositionFilter(stage_arn=stage_arn(arguments), configuration_arn=arguments.configuration)
    wants_ended = None if arguments.state is None else arguments.state == "ended"
    with open_history(arguments) as files:
        matching = (each for each in _all(files, where) if wants_ended in (None, each.state.is_final))
        found = list(itertools.islice(matching, arguments.limit))
    if arguments.output == "json":
        _write_lines([composition_document(each) for each in found])
    else:
        _print_list(found)
    return EXIT_OK


def show_composition(arguments: argparse.Namespace) -> int:
    """Show one composition; return the exit code. Raises CommandFailedError if there is none."""
    arn = composition_arn(arguments) or ""
    with open_history(arguments) as files:
        composition = files.book.compositions.find(arn)
        if composition is None:
            raise CommandFailedError(f"there is no composition {arguments.composition} in this book")
        events = _events(files, composition.arn)
        if arguments.output == "json":
            _write_lines([composition_document(composition)])
            _write_lines([composition_event_document(each) for each in events])
            return EXIT_OK
        shown = list(itertools.islice(events, arguments.limit + 1))
        places = {
            each.destination_id: _place(files, each, read_settings(arguments)) for each in composition.destinations
        }
    console = open_console()
    _print_composition(console, composition, places)
    _print_events(console, shown[: arguments.limit])
    if len(shown) > arguments.limit:
        console.print(f"The first {arguments.limit:,} events; --limit shows more.", style="dim")
    return EXIT_OK


def _all(files: HistoryFiles, where: CompositionFilter) -> Iterator[Composition]:
    position: int | None = None
    while True:
        page = files.book.compositions.page(where, after=position, limit=READ_SIZE)
        yield from page.items
        position = page.next_position
        if position is None:
            return


def _events(files: HistoryFiles, arn: str) -> Iterator[LoggedCompositionEvent]:
    position: int | None = None
    while True:
        page = files.book.compositions.page_events(arn, after=position, limit=READ_SIZE)
        yield from page.items
        position = page.next_position
        if position is None:
            return


def _print_list(compositions: list[Composition]) -> None:
    table = new_table("Composition", "Stage", "State", "Start (UTC)", "End (UTC)", "Duration", "Destinations")
    for each in compositions:
        table.add_row(
            plain(each.composition_id),
            plain(each.stage_arn.rpartition("/")[2]),
            each.state.value,
            iso8601(each.start_ms),
            "" if each.end_ms is None else iso8601(each.end_ms),
            _duration(each),
            plain(", ".join(f"{_kind(of)} {of.state.value}" for of in each.destinations)),
        )
    open_console().print(table)


def _print_composition(console: Console, composition: Composition, places: dict[str, str]) -> None:
    console.print(plain(f"Composition {composition.composition_id}: {composition.state.value}", style="bold"))
    console.print(plain(f"of {composition.stage_arn}"))
    end = "it goes on" if composition.end_ms is None else iso8601(composition.end_ms)
    console.print(f"{iso8601(composition.start_ms)} to {end}, {_duration(composition)}")
    layout = new_table("Layout", "")
    for name, members in composition.layout.items():
        layout.add_row(plain(name), plain(", ".join(f"{key}={_shown(value)}" for key, value in members.items())))
    console.print(layout)
    destinations = new_table("Destination", "State", "Start (UTC)", "End (UTC)", "Writes to")
    for each in composition.destinations:
        destinations.add_row(
            plain(each.destination_id),
            each.state.value,
            "" if each.start_ms is None else iso8601(each.start_ms),
            "" if each.end_ms is None else iso8601(each.end_ms),
            plain(places[each.destination_id]),
        )
    console.print(destinations)


def _print_events(console: Console, events: list[LoggedCompositionEvent]) -> None:
    table = new_table("Time (UTC)", "Event", "Destination", "Error", "Cause")
    for each in events:
        code, cause = each.event.error_code, each.event.cause
        table.add_row(
            iso8601(each.time_ms),
            each.event.name.value,
            plain(each.event.destination_id or ""),
            "" if code is None else f"{code.value}: {each.event.reason}",
            "" if cause is None else cause.value,
        )
    console.print(table)


def _place(files: HistoryFiles, destination: CompositionDestination, settings: Settings) -> str:
    """Return where a destination writes: its playlist in the folder of recordings or in S3, or its channel."""
    if destination.channel_arn is not None:
        return destination.channel_arn
    arn = destination.configuration.get("s3", {}).get("storageConfigurationArn", "")
    storage = files.book.get_resource(arn)
    if destination.recording_prefix is None:
        return str(arn)
    path = f"{destination.recording_prefix}/{_MULTIVARIANT_PLAYLIST}"
    if not isinstance(storage, StorageConfiguration):
        return f"{path} in the bucket of {arn}, which was deleted"
    if settings.storage == "folder":
        return str(DataFolder(Path(settings.data)).recordings_path / storage.bucket_name / path)
    return f"s3://{storage.bucket_name}/{path}"


def _kind(destination: CompositionDestination) -> str:
    return "bucket" if destination.channel_arn is None else "channel"


def _duration(composition: Composition) -> str:
    end_ms = SystemClock().now_ms() if composition.end_ms is None else composition.end_ms
    return duration_text(max(0, end_ms - composition.start_ms))


def _shown(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _write_lines(values: list[object]) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.Encoder().encode_lines(values))
    sys.stdout.buffer.flush()
