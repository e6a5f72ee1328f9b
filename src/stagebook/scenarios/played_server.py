"""The server on which a scenario is played, as its clients see it: the AWS API by boto3, the testing API by HTTP."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import boto3
import httpx
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

Json: TypeAlias = dict[str, Any]

TIMEOUT_SECONDS = 60.0
CONNECTIONS = 32
TESTING_PATH = "/testing/v1"


class PlayFailedError(Exception):
    """A step could not be carried out, or the server cannot be used. The message says why."""


class PlayedServer:
    """Use it as an async context manager, and call `find_testing_api` first."""

    def __init__(self, *, endpoint_url: str, region: str | None = None) -> None:
        """`endpoint_url` is that of the AWS API. Without `region`, the environment of AWS clients has it."""
        self.endpoint_url = endpoint_url.rstrip("/")
        self.has_testing_api = False
        self._region = region
        self._ivs: Any = None
        self._http = httpx.AsyncClient(
            base_url=self.endpoint_url,
            timeout=TIMEOUT_SECONDS,
            limits=httpx.Limits(max_connections=CONNECTIONS),
            trust_env=False,
        )

    async def __aenter__(self) -> "PlayedServer":
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._http.aclose()

    async def find_testing_api(self) -> None:
        """Find out whether the server has the testing API. If so, and there are no credentials, use its access key.

        Raises PlayFailedError if the server cannot be reached, or there are no credentials.
        """
        try:
            response = await self._http.get(f"{TESTING_PATH}/server")
        except httpx.HTTPError as error:
            raise PlayFailedError(f"{self.endpoint_url} cannot be reached: {_reason(error)}") from error
        self.has_testing_api = response.status_code == 200
        key_id, secret = None, None
        session = boto3.Session(region_name=self._region)
        if self.has_testing_api:
            server: Json = response.json()
            self._region = self._region or session.region_name or server["region"]
            if session.get_credentials() is None:
                key_id, secret = server["accessKeyId"], server["secretAccessKey"]
        try:
            self._ivs = session.client(
                "ivs-realtime",
                endpoint_url=self.endpoint_url,
                region_name=self._region,
                aws_access_key_id=key_id,
                aws_secret_access_key=secret,
                config=Config(max_pool_connections=CONNECTIONS),
            )
        except BotoCoreError as error:
            raise PlayFailedError(f'{error}; `eval "$(stagebook env)"` sets what AWS clients need') from error

    async def call(self, operation: str, **members: object) -> Json:
        """Call an operation of the AWS API (`create_stage`). Raises PlayFailedError."""
        try:
            response: Json = await asyncio.to_thread(getattr(self._ivs, operation), **members)
        except (BotoCoreError, ClientError) as error:
            raise PlayFailedError(str(error)) from error
        return response

    async def control(self, path: str, body: Mapping[str, object], *, method: str = "POST") -> Json:
        """Send a request to the testing API; `path` begins with a slash. Raises PlayFailedError."""
        members = {name: value for name, value in body.items() if value is not None}
        content = None if method == "GET" else msgspec.json.encode(members)
        headers = {} if method == "GET" else {"content-type": "application/json"}
        try:
            response = await self._http.request(method, f"{TESTING_PATH}{path}", content=content, headers=headers)
        except httpx.HTTPError as error:
            raise PlayFailedError(f"the testing API failed: {_reason(error)}") from error
        if response.is_error:
            raise PlayFailedError(_detail(response))
        answer: Json = response.json() if response.content else {}
        return answer

    async def clock_ms(self) -> int:
        """Return the time of a server with the testing API, in milliseconds since the epoch. Raises PlayFailedError."""
        answer = await self.control("/clock", {}, method="GET")
        return round(datetime.fromisoformat(answer["now"]).timestamp() * 1_000)

    async def events(self, *, stage_arn: str, participant_id: str) -> list[Json]:
        """Return all events of a participant in all sessions of a stage, oldest first, with the id of the session.

        There are none if the stage is deleted. Raises PlayFailedError.
        """
        try:
            return await asyncio.to_thread(self._events, stage_arn, participant_id)
        except self._ivs.exceptions.ResourceNotFoundException:
            return []
        except (BotoCoreError, ClientError) as error:
            raise PlayFailedError(str(error)) from error

    def _events(self, stage_arn: str, participant_id: str) -> list[Json]:
        events: list[Json] = []
        sessions = self._pages("list_stage_sessions", "stageSessions", stageArn=stage_arn)
        for session_id in [session["sessionId"] for session in reversed(list(sessions))]:
            members = {"stageArn": stage_arn, "sessionId": session_id, "participantId": participant_id}
            of_session = list(self._pages("list_participant_events", "events", **members))
            events.extend({**event, "sessionId": session_id} for event in reversed(of_session))
        return events

    def _pages(self, operation: str, listed: str, **members: object) -> Iterator[Json]:
        """Yield what a list operation lists, page by page: boto3 has no paginators for this service."""
        while True:
            page: Json = getattr(self._ivs, operation)(**members)
            yield from page[listed]
            if not page.get("nextToken"):
                return
            members["nextToken"] = page["nextToken"]


def _reason(error: Exception) -> str:
    """Return what an error says, or its kind. Timeouts say nothing."""
    return str(error) or type(error).__name__


def _detail(response: httpx.Response) -> str:
    """Return the detail of a problem document (RFC 9457), or the status of another response."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the testing API returned {response.status_code}"
