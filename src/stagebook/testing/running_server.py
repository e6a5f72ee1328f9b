"""A running server, as a test uses it."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from stagebook.testing.account_access import Account, client_environment, patched_environment
from stagebook.testing.codes import FaultKind
from stagebook.testing.injected_fault import InjectedFault, new_fault
from stagebook.testing.server_clock import ServerClock
from stagebook.testing.stage_composition import StageComposition
from stagebook.testing.stage_encoder import EncoderAnswer, StageEncoder
from stagebook.testing.stage_participant import ParticipantAnswer, StageParticipant
from stagebook.testing.testing_calls import ControlCalls

if TYPE_CHECKING:
    import boto3


class StagebookServer:
    """A server with the testing API.

    `url` is its address, `region` its region, and `account` the account that it was started with.
    """

    def __init__(self, *, url: str, region: str, read_log: Callable[[], str]) -> None:
        self.url = url
        self.region = region
        self.clock = ServerClock(calls := ControlCalls(url))
        """The clock of the server."""
        self._calls = calls
        self._read_log = read_log
        self._session: boto3.Session | None = None
        self._session_lock = threading.Lock()
        self._has_faults = False
        self._has_seed = False
        self.account = calls.get("server", Account)

    def __repr__(self) -> str:
        return f"StagebookServer({self.url!r})"

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return self._read_log()

    def new_account(self) -> Account:
        """Return a new account with nothing in it. It lasts as long as the server."""
        return self._calls.post("accounts", Account)

    def client(self, service: str = "ivs-realtime", *, account: Account | None = None, **arguments: Any) -> Any:  # noqa: ANN401 - boto3 makes its clients and their arguments at run time
        """Return a boto3 client of this server, for `account` or the server's own one.

        `arguments` are those of `boto3.Session.client`, for instance `config`.
        """
        account = account or self.account
        # Making clients in several threads is safe with a session for each, or one at a time (guide of boto3).
        with self._session_lock:
            if self._session is None:
                self._session = _new_session()
            make: Any = self._session.client
            return make(
                service,
                **{
                    "endpoint_url": self.url,
                    "region_name": self.region,
                    "aws_access_key_id": account.access_key_id,
                    "aws_secret_access_key": account.secret_access_key,
                    **arguments,
                },
            )

    def environment(self, account: Account | None = None) -> dict[str, str]:
        """Return the environment variables with which any AWS SDK, and the AWS CLI, use this server as `account`.

        For a process that a test starts: `subprocess.run(command, env={**os.environ, **server.environment()})`.
        """
        return client_environment(account or self.account, endpoint_url=self.url, region=self.region)

    @contextlib.contextmanager
    def patched_environment(self, account: Account | None = None) -> Iterator[Account]:
        """Set these variables in this process for the block, for code that makes its own boto3 clients.

        It yields the account. Clients that exist already keep their configuration.
        """
        account = account or self.account
        with patched_environment(self.environment(account)):
            yield account

    def participant(
        self,
        stage_arn: str | None = None,
        *,
        token: str | None = None,
        participant_id: str | None = None,
        user_id: str | None = None,
        attributes: Mapping[str, str] | None = None,
        capabilities: Sequence[str] | None = None,
        duration_minutes: int | None = None,
    ) -> StageParticipant:
        """Return a participant without media, who has not joined yet.

        Give the `token` that the application under test has created, or the ARN of a stage and what a new token shall
        contain. Raises CallRefusedError for a token or a stage that the server does not know.
        """
        described = self._calls.post(
            "participants",
            ParticipantAnswer,
            token=token,
            stageArn=stage_arn,
            participantId=participant_id,
            userId=user_id,
            attributes=None if attributes is None else dict(attributes),
            capabilities=None if capabilities is None else list(capabilities),
            durationMinutes=duration_minutes,
        )
        return StageParticipant(self._calls, described)

    def encoder(
        self,
        stream_key: str | None = None,
        *,
        stage_arn: str | None = None,
        protocol: Literal["RTMPS", "RTMP"] | None = None,
    ) -> StageEncoder:
        """Return an RTMP encoder without media, which has not connected yet.

        Give the stream key of an ingest configuration, or the ARN of a stage, for which an ingest configuration is
        made. The protocol is RTMPS unless it is given.
        """
        described = self._calls.post(
            "encoders", EncoderAnswer, streamKey=stream_key, stageArn=stage_arn, protocol=protocol
        )
        return StageEncoder(self._calls, described)

    def composition(self, arn: str) -> StageComposition:
        """Return a composition of a stage without media, by its ARN, to let it or its destinations fail."""
        return StageComposition(self._calls, arn)

    def seed(self, seed: int | None) -> None:
        """Let further ids follow from `seed`, so that whole answers can be compared. None: random again."""
        self._has_seed = seed is not None
        self._calls.call("PUT", "seed", object, {"seed": seed})

    def fault(
        self,
        operation: str,
        kind: FaultKind,
        *,
        times: int = 1,
        seconds: float | None = None,
        account: Account | None = None,
    ) -> InjectedFault:
        """Let the next `times` calls of an operation of the AWS API fail, of all accounts or of one.

        `seconds` is how long a SLOW answer takes. The result is a context manager: the fault ends with the block.
        """
        self._has_faults = True
        account_id = None if account is None else account.account_id
        return new_fault(self._calls, operation, kind, times=times, seconds=seconds, account_id=account_id)

    def reset(self) -> None:
        """Remove all faults, make ids random, and let the clock run. Stages, participants and accounts stay."""
        if self._has_faults:
            self._calls.call("DELETE", "faults", object)
            self._has_faults = False
        if self._has_seed:
            self.seed(None)
        if self.clock.is_frozen:
            self.clock.resume()


def _new_session() -> "boto3.Session":
    try:
        import boto3
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("a client needs boto3: pip install 'stagebook[testing]'") from error
    return boto3.Session()
