"""Policies in the JSON form of AWS IAM: parsed once, evaluated on every request.

A statement allows or denies actions on resources; `*` and `?` are wildcards in both. An explicit deny overrides every
allow, and what no statement allows is denied.

Supported elements are Effect, Action and Resource. A policy with any other element (Condition, NotAction, ...) is
refused when it is parsed: ignoring a condition would allow what its author meant to restrict.

An identity is a caller with its policy, however the request was authenticated.

Sources: "IAM JSON policy elements reference" and "Policy evaluation logic" in the IAM user guide.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

# The versions differ in policy variables, which are refused, so both mean the same here.
_VERSIONS = ("2012-10-17", "2008-10-17")
_POLICY_ELEMENTS = frozenset({"Version", "Id", "Statement"})
_STATEMENT_ELEMENTS = frozenset({"Sid", "Effect", "Action", "Resource"})
_ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_RESOURCE = re.compile(r"\*|arn:.+")
MAXIMUM_PATTERNS = 1_000


class MalformedPolicyError(ValueError):
    """A policy document is invalid or uses an unsupported element. The message names the place and the rule."""


class Effect(StrEnum):
    """The effect of a statement that matches."""

    ALLOW = "Allow"
    DENY = "Deny"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement: patterns of actions (`ivs:Get*`) and patterns of resources (`arn:aws:ivs:*:*:stage/*`)."""

    effect: Effect
    actions: tuple[str, ...]
    resources: tuple[str, ...]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed policy. The order of the statements has no meaning."""

    statements: tuple[Statement, ...]


ALLOW_EVERYTHING = Policy(statements=(Statement(effect=Effect.ALLOW, actions=("*",), resources=("*",)),))
ALLOW_NOTHING = Policy(statements=())


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller. `arn` is what AccessDenied errors call it; `access_key_id` is the id of its key."""

    access_key_id: str
    account_id: str
    arn: str
    policy: Policy


class PolicyEvaluator:
    """Evaluates one policy.

    The statements about an action are compiled to two regular expressions over resources, for allow and deny, when the
    action is first evaluated. The service model has 40 actions, and the watch API one for each route, which bounds the
    cache.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._patterns_by_action: dict[str, tuple[re.Pattern[str] | None, re.Pattern[str] | None]] = {}

    def allows(self, action: str, resource: str) -> bool:
        """Return whether the policy allows `action` (`ivs:GetStage`, a name of the service model) on `resource`."""
        patterns = self._patterns_by_action.get(action)
        if patterns is None:
            patterns = (self._compile(action, Effect.ALLOW), self._compile(action, Effect.DENY))
            self._patterns_by_action[action] = patterns
        allowed, denied = patterns
        if allowed is None or allowed.fullmatch(resource) is None:
            return False
        return denied is None or denied.fullmatch(resource) is None

    def _compile(self, action: str, effect: Effect) -> re.Pattern[str] | None:
        """Return what matches the resources of every statement with this effect on the action; None without one."""
        # A dictionary drops duplicates and keeps the order.
        resources = {
            resource: None
            for statement in self._policy.statements
            if statement.effect is effect and _matches_any(statement.actions, action)
            for resource in statement.resources
        }
        if not resources:
            return None
        return re.compile("|".join(_expression(resource) for resource in resources), re.DOTALL)


def parse_policy(document: Mapping[str, Any]) -> Policy:
    """Return the policy of a document in IAM's JSON form.

    Raises MalformedPolicyError for an invalid document and for elements that are not supported.
    """
    _require_known_elements(document, _POLICY_ELEMENTS, where="the policy")
    if document.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise MalformedPolicyError(f"Version must be one of {', '.join(_VERSIONS)}")
    statements = document.get("Statement", [])
    # IAM accepts a single statement without a list, and below a single pattern.
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, list):
        raise MalformedPolicyError("Statement must be an object or a list of objects")
    return Policy(statements=tuple(_statement(item, f"Statement[{i}]") for i, item in enumerate(statements)))


def _statement(document: object, where: str) -> Statement:
    if not isinstance(document, Mapping):
        raise MalformedPolicyError(f"{where} must be an object")
    _require_known_elements(document, _STATEMENT_ELEMENTS, where=where)
    if document.get("Effect") not in tuple(Effect):
        raise MalformedPolicyError(f"{where}.Effect must be Allow or Deny")
    return Statement(
        effect=Effect(document["Effect"]),
        actions=_patterns(
            document.get("Action"), _ACTION, f"{where}.Action", '"*", "ivs:<operation>" or "stagebook:<action>"'
        ),
        resources=_patterns(document.get("Resource"), _RESOURCE, f"{where}.Resource", '"*" or an ARN'),
    )


def _require_known_elements(document: Mapping[str, Any], known: frozenset[str], *, where: str) -> None:
    for element in document:
        if element not in known:
            raise MalformedPolicyError(
                f"{where} has {element}, which is not supported ({', '.join(sorted(known))} are)"
            )


def _patterns(value: object, form: re.Pattern[str], where: str, description: str) -> tuple[str, ...]:
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not 1 <= len(patterns) <= MAXIMUM_PATTERNS:
        raise MalformedPolicyError(f"{where} must be a string or a list of 1 to {MAXIMUM_PATTERNS} strings")
    for pattern in patterns:
        if not isinstance(pattern, str) or form.fullmatch(pattern) is None:
            raise MalformedPolicyError(f"{where} must be {description}")
        # Matched literally, a variable in a Deny statement would deny nothing.
        if "${" in pattern:
            raise MalformedPolicyError(f"{where} has a policy variable, which is not supported")
    return tuple(patterns)


def _matches_any(patterns: tuple[str, ...], action: str) -> bool:
    # Actions are case-insensitive, resources case-sensitive (IAM user guide, Action and Resource).
    return any(re.fullmatch(_expression(pattern), action, re.IGNORECASE | re.ASCII) for pattern in patterns)


def _expression(pattern: str) -> str:
    # Adjacent asterisks mean the same as one. Collapsing them avoids exponential backtracking.
    collapsed = re.sub(r"\*+", "*", pattern)
    return re.escape(collapsed).replace(r"\*", ".*").replace(r"\?", ".")
