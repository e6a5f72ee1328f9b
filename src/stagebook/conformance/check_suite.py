"""All checks in the order of their names, which does not depend on the server."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from stagebook.conformance.behaviour import (
    configuration_checks,
    history_checks,
    http_checks,
    ingest_checks,
    public_key_checks,
    stage_checks,
    tag_checks,
    token_checks,
)
from stagebook.conformance.check import Basis, Check, Cost
from stagebook.conformance.composition_scene import composition_checks, start_checks
from stagebook.conformance.generated.absent_resource_checks import absent_resource_checks
from stagebook.conformance.generated.caller_checks import caller_checks
from stagebook.conformance.generated.input_checks import input_checks
from stagebook.conformance.generated.list_checks import list_checks
from stagebook.conformance.generated.maker_checks import maker_checks
from stagebook.conformance.media_scene import event_checks, recording_checks, scene_checks
from stagebook.conformance.model.api_model import ApiModel

_GENERATED = (input_checks, caller_checks, list_checks, absent_resource_checks, maker_checks)
_GROUPS = (
    http_checks.checks,
    stage_checks.checks,
    token_checks.checks,
    history_checks.checks,
    tag_checks.checks,
    public_key_checks.checks,
    ingest_checks.checks,
    configuration_checks.checks,
    composition_checks.checks,
    start_checks.checks,
    event_checks.checks,
    scene_checks.checks,
    recording_checks.checks,
)


class UnknownCheckError(Exception):
    """A pattern or a baseline names no check."""


def all_checks(model: ApiModel) -> tuple[Check, ...]:
    """Return all checks for a service model, each name once."""
    checks = [check for make in _GENERATED for check in make(model)]
    checks += [check for group in _GROUPS for check in group.checks]
    by_name = {check.name: check for check in checks}
    assert len(by_name) == len(checks), "two checks have the same name"  # noqa: S101 - an invariant
    return tuple(by_name[name] for name in sorted(by_name))


def selected(
    checks: Iterable[Check], *, patterns: Sequence[str], cost: Cost, documented_only: bool
) -> tuple[Check, ...]:
    """Return the checks that a run may try: named by a pattern (`ListStages.*`), and no more costly than `cost`.

    Raises UnknownCheckError when a pattern matches no check at all.
    """
    checks = tuple(checks)
    for pattern in patterns:
        if not any(fnmatchcase(check.name, pattern) for check in checks):
            raise UnknownCheckError(f"no check has a name like {pattern}; --list shows all names")
    costs = tuple(Cost)[: tuple(Cost).index(cost) + 1]
    return tuple(
        check
        for check in checks
        if (not patterns or any(fnmatchcase(check.name, pattern) for pattern in patterns))
        and check.cost in costs
        and (check.basis is Basis.DOCUMENTED or not documented_only)
    )
