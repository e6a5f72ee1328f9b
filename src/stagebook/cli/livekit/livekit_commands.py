"""`stagebook livekit watch`: a server that records the history of an external LiveKit server."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from stagebook.cli.exit_codes import CommandFailedError
from stagebook.cli.setting_flags import Commands, add_flag, read_settings
from stagebook.config.rules import ConfigError, is_base_url
from stagebook.config.settings import SECRET_SETTINGS, SETTINGS, Settings
from stagebook.livekit_history.watched_livekit import (
    MIN_POLL_INTERVAL_SECONDS,
    POLL_INTERVAL_SECONDS,
    WatchedLiveKit,
)
from stagebook.media.livekit.livekit_access import LiveKitKey

MAX_POLL_INTERVAL_SECONDS: Final = 3_600.0
_OWN_MEDIA: Final = (
    "livekit_",
    "rtmp_",
    "rtmps_",
    "media_",
    "ingest_",
    "ice_",
    "video_",
    "recording_",
    "composition_",
    "storage",
)
"""Prefixes of the settings of Stagebook's own media. They have no flags here."""
_SCHEMES: Final = {"ws": "http", "wss": "https"}


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    livekit = commands.add_parser("livekit", help="record the history of a LiveKit server")
    parts = livekit.add_subparsers(required=True, metavar="COMMAND")
    watch = parts.add_parser(
        "watch", help="record and serve the history of LiveKit's rooms", allow_abbrev=False, description=_watch.__doc__
    )
    watch.add_argument("--url", metavar="URL", help="the LiveKit server; default: the variable LIVEKIT_URL")
    watch.add_argument("--api-key", metavar="KEY", help="its API key; default: the variable LIVEKIT_API_KEY")
    watch.add_argument(
        "--api-secret-file",
        type=Path,
        metavar="FILE",
        help="a file with the secret of the API key; default: the variable LIVEKIT_API_SECRET",
    )
    watch.add_argument(
        "--poll-seconds",
        type=float,
        default=POLL_INTERVAL_SECONDS,
        metavar="SECONDS",
        help=f"how often all rooms are read; default: {POLL_INTERVAL_SECONDS:g}",
    )
    watch.add_argument("--config", type=Path, metavar="FILE", help="a TOML file of settings")
    for setting in SETTINGS.values():
        if setting.name not in SECRET_SETTINGS and not setting.name.startswith(_OWN_MEDIA):
            add_flag(watch, setting)
    watch.set_defaults(run=_watch)


def _watch(arguments: argparse.Namespace) -> int:
    """Record the participants in the rooms of a LiveKit server, and serve that history."""
    # Imported late, so that a usage text does not load its libraries.
    from stagebook.server.lifecycle import StartError, serve

    settings = read_settings(arguments)
    watched = watched_livekit(arguments, os.environ, settings)
    settings = msgspec.structs.replace(
        settings,
        media_engine="stagebook",
        media_tcp=False,
        rtmp_listen="",
        rtmps_listen="",
        rtmp_public_url=None,
        rtmps_public_url=None,
    )
    try:
        return serve(settings, watched=watched)
    except StartError as error:
        raise CommandFailedError(str(error)) from error
    except ModuleNotFoundError as error:
        raise CommandFailedError(f"this needs {error.name}: run `pip install 'stagebook[livekit]'`") from error


def watched_livekit(
    arguments: argparse.Namespace, environment: Mapping[str, str], settings: Settings
) -> WatchedLiveKit:
    """Return the LiveKit server that the flags, LiveKit's variables or the settings name, in this order.

    Raises ConfigError.
    """
    url = _http_url(arguments.url or environment.get("LIVEKIT_URL") or settings.livekit_url or "")
    key = arguments.api_key or environment.get("LIVEKIT_API_KEY") or settings.livekit_api_key
    if not key:
        raise ConfigError(name="api-key", rule="must be given, also as LIVEKIT_API_KEY")
    interval_seconds = arguments.poll_seconds
    if not MIN_POLL_INTERVAL_SECONDS <= interval_seconds <= MAX_POLL_INTERVAL_SECONDS:
        rule = f"must be from {MIN_POLL_INTERVAL_SECONDS:g} to {MAX_POLL_INTERVAL_SECONDS:g}"
        raise ConfigError(name="poll-seconds", rule=rule)
    secret = _secret(arguments.api_secret_file, environment) or settings.livekit_api_secret
    if not secret:
        raise ConfigError(name="api-secret-file", rule="must be given, or the variable LIVEKIT_API_SECRET be set")
    return WatchedLiveKit(url=url, key=LiveKitKey(key=key, secret=secret), poll_interval_seconds=interval_seconds)


def _http_url(url: str) -> str:
    """Return LiveKit's HTTP URL. `url` may also be the websocket URL, which LiveKit's clients use."""
    scheme, separator, rest = url.strip().rstrip("/").partition("://")
    http_url = _SCHEMES.get(scheme, scheme) + separator + rest
    if not is_base_url(http_url):
        raise ConfigError(name="url", rule="must be an http, https, ws or wss URL, also as LIVEKIT_URL")
    return http_url


def _secret(path: Path | None, environment: Mapping[str, str]) -> str:
    if path is None:
        return environment.get("LIVEKIT_API_SECRET", "")
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(name="api-secret-file", rule=f"cannot be read: {error}") from error
