"""The sequence of the demo: create a stage, publish, record and subscribe for some seconds, and list the events."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from stagebook.demo.demo_peers import DemoPublisher, DemoViewer, JoinFailedError
from stagebook.demo.demo_recording import (
    is_complete,
    kept_recordings,
    recording_configuration,
    recording_events,
    recording_text,
)
from stagebook.demo.event_table import event_table
from stagebook.demo.temporary_server import ServerAccess, ServerFailedError, temporary_server

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
SECONDS = 5.0
ARRIVAL_TIMEOUT_SECONDS = 15.0


def run_demo(*, endpoint_url: str | None = None, seconds: float = SECONDS) -> int:
    """Run the demo, print its progress and the table of events, and return the exit code.

    Without `endpoint_url`, a temporary server is started and removed with its data at the end. Otherwise the server at
    `endpoint_url` is used, with the AWS credentials of the environment; the stage of the demo is not deleted there.
    """
    try:
        with _server(endpoint_url) as access:
            return _run(access, seconds=seconds)
    except (NoCredentialsError, NoRegionError) as error:
        print(f'stagebook demo: {error} `eval "$(stagebook env)"` sets what AWS clients need.', file=sys.stderr)
        return EXIT_FAILED
    except (ServerFailedError, JoinFailedError, BotoCoreError, ClientError, httpx.HTTPError) as error:
        print(f"stagebook demo: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


@contextlib.contextmanager
def _server(endpoint_url: str | None) -> Iterator[ServerAccess]:
    if endpoint_url is not None:
        yield ServerAccess(endpoint_url=endpoint_url)
        return
    print("Starting a server with a temporary data folder ...")
    with temporary_server() as access:
        yield access


def _run(access: ServerAccess, *, seconds: float) -> int:
    ivs = boto3.client(
        "ivs-realtime",
        endpoint_url=access.endpoint_url,
        region_name=access.region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
    )
    created = ivs.create_stage(
        name="demo",
        autoParticipantRecordingConfiguration=recording_configuration(ivs),
        participantTokenConfigurations=[
            {"userId": "publisher", "capabilities": ["PUBLISH"]},
            {"userId": "viewer", "capabilities": ["SUBSCRIBE"]},
        ],
    )
    stage_arn = created["stage"]["arn"]
    tokens = {token["userId"]: token for token in created["participantTokens"]}
    print(f"Stage {stage_arn}")
    arrived = asyncio.run(_publish_and_watch(tokens, seconds=seconds))
    print(f"\nThe result of list_participant_events (boto3), newest first:\n\n{_events(ivs, stage_arn, tokens)}")
    recorded = recording_events(ivs, stage_arn)
    # A folder that stays has files, and the text names it.
    is_kept = access.recordings is not None and is_complete(recorded)
    recordings = kept_recordings(access.recordings) if access.recordings is not None and is_kept else None
    print(f"\nThe recording of the publisher, from the watch API:\n\n{recording_text(recorded, recordings=recordings)}")
    return EXIT_OK if arrived else EXIT_FAILED


async def _publish_and_watch(tokens: dict[str, Any], *, seconds: float) -> bool:
    """Return whether the moving bar and the tone arrived at the viewer."""
    publisher_id = tokens["publisher"]["participantId"]
    viewer = DemoViewer(tokens["viewer"]["token"], publisher_id=publisher_id)
    async with DemoPublisher(tokens["publisher"]["token"]):
        print(f"Publisher {publisher_id} is live: a moving bar and a tone of 440 Hz")
        async with viewer:
            print(f"Viewer {tokens['viewer']['participantId']} watches for {seconds:g} seconds ...")
            await asyncio.sleep(seconds)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(viewer.media_arrived.wait(), ARRIVAL_TIMEOUT_SECONDS)
    observer = viewer.observer
    first = f", the first after {viewer.first_frame_seconds:.2f} s" if viewer.first_frame_seconds else ""
    motion = "the bar moved" if observer.has_motion else "the bar did not move"
    tone = "the tone arrived" if observer.has_tone else "the tone did not arrive"
    print(f"Decoded {observer.video_frames} video frames{first}; {motion}; {tone}")
    return observer.is_complete


def _events(ivs: Any, stage_arn: str, tokens: dict[str, Any]) -> str:  # noqa: ANN401 - boto3 makes clients at run time
    session_id = ivs.list_stage_sessions(stageArn=stage_arn)["stageSessions"][0]["sessionId"]
    return event_table(
        {
            user_id: ivs.list_participant_events(
                stageArn=stage_arn, sessionId=session_id, participantId=token["participantId"]
            )["events"]
            for user_id, token in tokens.items()
        }
    )
