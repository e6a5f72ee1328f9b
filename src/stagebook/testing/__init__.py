"""Servers and participants for the tests of applications that use Amazon IVS Real-Time.

    with stagebook.testing.serve() as server:
        ivs = server.client()
        stage = ivs.create_stage(name="show")["stage"]
        ann = server.participant(stage["arn"], user_id="ann")
        ann.join()
        ann.publish()

The modules of this package are clients of a server process. They use the AWS API and the testing API and no part of the
server itself. `pytest_plugin` makes the same available as fixtures. docs/testing.md is the guide.

The names of this package are imported when they are first used: pytest imports the package in every project of an
environment in which it is installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stagebook.testing.account_access import Account
    from stagebook.testing.codes import (
        COMPOSITION_EVENTS,
        DESTINATION_ERRORS,
        ERROR_CODES,
        EVENT_NAMES,
        RECORDING_ERRORS,
        RECORDING_EVENTS,
        FaultKind,
    )
    from stagebook.testing.injected_fault import InjectedFault
    from stagebook.testing.reported_event import (
        ReportedCompositionEvent,
        ReportedEvent,
        ReportedRecording,
        ReportedToken,
    )
    from stagebook.testing.running_server import StagebookServer
    from stagebook.testing.serve import serve
    from stagebook.testing.server_clock import ServerClock
    from stagebook.testing.stage_composition import StageComposition
    from stagebook.testing.stage_encoder import StageEncoder
    from stagebook.testing.stage_participant import StageParticipant
    from stagebook.testing.testing_errors import CallRefusedError, ServerNotStartedError, StagebookTestingError

__all__ = [
    "COMPOSITION_EVENTS",
    "DESTINATION_ERRORS",
    "ERROR_CODES",
    "EVENT_NAMES",
    "RECORDING_ERRORS",
    "RECORDING_EVENTS",
    "Account",
    "CallRefusedError",
    "FaultKind",
    "InjectedFault",
    "ReportedCompositionEvent",
    "ReportedEvent",
    "ReportedRecording",
    "ReportedToken",
    "ServerClock",
    "ServerNotStartedError",
    "StageComposition",
    "StageEncoder",
    "StageParticipant",
    "StagebookServer",
    "StagebookTestingError",
    "serve",
]

_MODULES = {
    "Account": "account_access",
    "CallRefusedError": "testing_errors",
    "ServerClock": "server_clock",
    "COMPOSITION_EVENTS": "codes",
    "DESTINATION_ERRORS": "codes",
    "ERROR_CODES": "codes",
    "EVENT_NAMES": "codes",
    "RECORDING_ERRORS": "codes",
    "RECORDING_EVENTS": "codes",
    "StageComposition": "stage_composition",
    "StageEncoder": "stage_encoder",
    "InjectedFault": "injected_fault",
    "FaultKind": "codes",
    "StageParticipant": "stage_participant",
    "ReportedCompositionEvent": "reported_event",
    "ReportedEvent": "reported_event",
    "ReportedRecording": "reported_event",
    "ReportedToken": "reported_event",
    "ServerNotStartedError": "testing_errors",
    "StagebookServer": "running_server",
    "StagebookTestingError": "testing_errors",
    "serve": "serve",
}


def __getattr__(name: str) -> object:
    """Import the module of a public name (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
