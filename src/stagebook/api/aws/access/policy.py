"""Who may do what: policies in the form of AWS IAM, read once and asked on every request.

Effect, Action and Resource, with `*` and `?` as wildcards. What is not understood is refused when the policy is read:
a condition that is silently ignored would open what its author meant to close.
Sources: "IAM JSON policy elements reference" and "Policy evaluation logic" in the IAM user guide.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

_VERSIONS = ("2012-10-17", "2008-10-17")
_POLICY_ELEMENTS = frozenset({"Version", "Id", "Statement"})
_STATEMENT_ELEMENTS = frozenset({"Sid", "Effect", "Action", "Resource"})
_ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_RESOURCE = re.compile(r"\*|arn:.+")
MAXIMUM_PATTERNS = 1_000


class MalformedPolicyError(ValueError):
    """A policy document cannot be used. The text says where and why."""


class Effect(StrEnum):
    """What a statement that matches does."""

    ALLOW = "Allow"
    DENY = "Deny"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement: patterns of actions (`ivs:Get*`) and patterns of resources (`arn:aws:ivs:*:*:stage/*`)."""

    effect: Effect
    actions: tuple[str, ...]
    resources: tuple[str, ...]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Statements in any order. Deny wins; without a statement that allows, nothing is allowed."""

    statements: tuple[Statement, ...]


ALLOW_EVERYTHING = Policy(statements=(Statement(effect=Effect.ALLOW, actions=("*",), resources=("*",)),))
ALLOW_NOTHING = Policy(statements=())


class PolicyEvaluator:
    """Answers for one policy, with the patterns of each action compiled when it is first asked about."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._by_action: dict[str, tuple[re.Pattern[str] | None, re.Pattern[str] | None]] = {}

    def allows(self, action: str, resource: str) -> bool:
        """Return whether the policy allows `action` (`ivs:GetStage`, a name of the service model) on `resource`."""
        patterns = self._by_action.get(action)
        if patterns is None:
            patterns = (self._resources(action, Effect.ALLOW), self._resources(action, Effect.DENY))
            self._by_action[action] = patterns
        allowed, denied = patterns
        if allowed is None or allowed.fullmatch(resource) is None:
            return False
        return denied is None or denied.fullmatch(resource) is None

    def _resources(self, action: str, effect: Effect) -> re.Pattern[str] | None:
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
    """Return the policy of a document in IAM's JSON form; raise MalformedPolicyError for what is not understood."""
    _refuse_unknown(document, _POLICY_ELEMENTS, where="the policy")
    if document.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise MalformedPolicyError(f"Version must be one of {', '.join(_VERSIONS)}")
    statements = document.get("Statement", [])
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, list):
        raise MalformedPolicyError("Statement must be an object or a list of objects")
    return Policy(statements=tuple(_statement(item, f"Statement[{i}]") for i, item in enumerate(statements)))


def _statement(document: object, where: str) -> Statement:
    if not isinstance(document, Mapping):
        raise MalformedPolicyError(f"{where} must be an object")
    _refuse_unknown(document, _STATEMENT_ELEMENTS, where=where)
    if document.get("Effect") not in tuple(Effect):
        raise MalformedPolicyError(f"{where}.Effect must be Allow or Deny")
    return Statement(
        effect=Effect(document["Effect"]),
        actions=_patterns(document.get("Action"), _ACTION, f"{where}.Action", '"*" or "ivs:<operation>"'),
        resources=_patterns(document.get("Resource"), _RESOURCE, f"{where}.Resource", '"*" or an ARN'),
    )


def _refuse_unknown(document: Mapping[str, Any], known: frozenset[str], *, where: str) -> None:
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
        if "${" in pattern:
            raise MalformedPolicyError(f"{where} has a policy variable, which is not supported")
    return tuple(patterns)


def _matches_any(patterns: tuple[str, ...], action: str) -> bool:
    # Actions compare without regard to case, resources with it (IAM user guide, Action and Resource).
    return any(re.fullmatch(_expression(pattern), action, re.IGNORECASE | re.ASCII) for pattern in patterns)


def _expression(pattern: str) -> str:
    # Adjacent wildcards mean what one means; collapsing them keeps the expression from backtracking.
    collapsed = re.sub(r"\*+", "*", pattern)
    return re.escape(collapsed).replace(r"\*", ".*").replace(r"\?", ".")
