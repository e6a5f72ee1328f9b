"""The course of the demo: a stage, two people on it for some seconds, and their events through boto3."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError

from stagebook.demo.own_server import Access, ServerFailedError, own_server
from stagebook.demo.peers import JoinFailedError, Publisher, Viewer
from stagebook.demo.table import event_table

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
SECONDS = 5.0
ARRIVAL_TIMEOUT_SECONDS = 15.0


def run_demo(*, endpoint_url: str | None = None, seconds: float = SECONDS) -> int:
    """Run the demo against a server of its own, or the one at `endpoint_url` with the environment's AWS credentials.

    Prints what happens and the table of events; returns the exit code. The stage stays where it was made, so its
    record can be looked at; a server of the demo's own takes it along when it ends.
    """
    try:
        with _server(endpoint_url) as access:
            return _tour(access, seconds=seconds)
    except (ServerFailedError, JoinFailedError, BotoCoreError, ClientError, httpx.HTTPError) as error:
        print(f"stagebook demo: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


@contextlib.contextmanager
def _server(endpoint_url: str | None) -> Iterator[Access]:
    if endpoint_url is not None:
        yield Access(endpoint_url=endpoint_url)
        return
    print("Starting a server with a temporary data folder ...")
    with own_server() as access:
        yield access


def _tour(access: Access, *, seconds: float) -> int:
    ivs = boto3.client(
        "ivs-realtime",
        endpoint_url=access.endpoint_url,
        region_name=access.region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
    )
    created = ivs.create_stage(
        name="demo",
        participantTokenConfigurations=[
            {"userId": "publisher", "capabilities": ["PUBLISH"]},
            {"userId": "viewer", "capabilities": ["SUBSCRIBE"]},
        ],
    )
    stage_arn = created["stage"]["arn"]
    tokens = {token["userId"]: token for token in created["participantTokens"]}
    print(f"Stage {stage_arn}")
    arrived = asyncio.run(_publish_and_watch(tokens, seconds=seconds))
    print(f"\nWhat boto3's list_participant_events returns, newest first:\n\n{_events(ivs, stage_arn, tokens)}")
    return EXIT_OK if arrived else EXIT_FAILED


async def _publish_and_watch(tokens: dict[str, Any], *, seconds: float) -> bool:
    """Return whether moving pictures and the tone arrived at the viewer."""
    publisher_id = tokens["publisher"]["participantId"]
    viewer = Viewer(tokens["viewer"]["token"], publisher_id=publisher_id)
    async with Publisher(tokens["publisher"]["token"]):
        print(f"Publisher {publisher_id} is live: a moving bar and a tone of 440 Hz")
        async with viewer:
            print(f"Viewer {tokens['viewer']['participantId']} watches for {seconds:g} seconds ...")
            await asyncio.sleep(seconds)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(viewer.arrived.wait(), ARRIVAL_TIMEOUT_SECONDS)
    observer = viewer.observer
    first = f", the first after {viewer.first_picture_seconds:.2f} s" if viewer.first_picture_seconds else ""
    moving = "they moved" if observer.moving else "they did not move"
    tone = "the tone was heard" if observer.tone_heard else "the tone was not heard"
    print(f"Decoded {observer.pictures} pictures{first}; {moving}; {tone}")
    return observer.satisfied


def _events(ivs: Any, stage_arn: str, tokens: dict[str, Any]) -> str:  # noqa: ANN401 - boto3 makes clients at run time
    session_id = ivs.list_stage_sessions(stageArn=stage_arn)["stageSessions"][0]["sessionId"]
    return event_table(
        {
            person: ivs.list_participant_events(
                stageArn=stage_arn, sessionId=session_id, participantId=token["participantId"]
            )["events"]
            for person, token in tokens.items()
        }
    )
