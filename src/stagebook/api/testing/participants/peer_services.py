"""What simulated participants and encoders use of the server, and how its refusals are answered."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import msgspec

from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.book.book_pages import BookPages
from stagebook.book.event_log import LoggedEvent
from stagebook.manager.controlled.keys_of_tests import KeysOfTests
from stagebook.manager.stage_manager import StageManager
from stagebook.media.simulated.simulated_engine import EncoderRefusedError, SimulatedEngine
from stagebook.media.simulated.simulated_recorder import SimulatedRecorder
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import (
    AttemptRefusedError,
    ConnectionNotFoundError,
    ExchangeRefusedError,
    TokenRefusedError,
)


class EventsBySequence(Protocol):
    """The part of the event log that is read here."""

    def read_at(self, sequences: Sequence[int]) -> list[LoggedEvent]:
        """Return the events with these sequence numbers, in the same order."""


class PeerServices(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a server with `--testing` that its simulated participants and encoders use."""

    manager: StageManager
    pages: BookPages
    engine: SimulatedEngine
    recorder: SimulatedRecorder
    log: EventsBySequence
    keys: KeysOfTests
    randomness: Randomness

    async def settled(self) -> None:
        """Wait until everything so far is durable and carried out, and the recordings that it started or ended, too."""
        await self.manager.control.settled()
        while await self.recorder.settled():
            await self.manager.control.settled()


def conflict(detail: str) -> ApiRefusedError:
    """Return the error of an action that is not possible in the present state of a participant or encoder."""
    return ApiRefusedError(status=409, code=ApiProblemCode.CONFLICT, detail=detail)


def bad_request(detail: str) -> ApiRefusedError:
    """Return the error of a body whose members contradict a rule."""
    return ApiRefusedError(status=400, code=ApiProblemCode.INVALID_BODY, detail=detail)


@contextmanager
def refusals_as_conflicts() -> Iterator[None]:
    """Raise ApiRefusedError 409 for what the server refuses to a participant or an encoder.

    The detail begins with the error code of the event, or with the reason of a refusal without an event.
    """
    try:
        yield
    except AttemptRefusedError as error:
        raise conflict(f"{error.code.value}: {error}") from None
    except TokenRefusedError as error:
        raise conflict(f"{error.refusal.name}: {error}") from None
    except (ExchangeRefusedError, ConnectionNotFoundError, EncoderRefusedError) as error:
        raise conflict(str(error)) from None
