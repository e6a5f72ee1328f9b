"""Public keys that callers import (API reference, PublicKey), and the look-up of the key that a token names.

A key exists from the answer to its import until the answer to its deletion.

Fingerprints are indexed in memory: an import must know whether the account has the key already, and reading all keys of
the account for that would block the event loop.
"""

from collections import OrderedDict
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec

from stagebook.book.changes import DeleteResource, PutResource
from stagebook.book.decision_book import DecisionReader
from stagebook.book.store import BookReader
from stagebook.manager.resources.ingest_configuration_index import iterate_resources
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.key_material import fingerprint, read_material
from stagebook.stage.arns import PUBLIC_KEY
from stagebook.stage.errors import ConflictError, ResourceNotFoundError
from stagebook.stage.input_rules import check_tags
from stagebook.stage.limits import Limits
from stagebook.stage.resources import PublicKey

CACHED_KEYS = 1_024


class KeyRing:
    """Finds imported keys by ARN, to check signatures.

    The book is read each time, so a deleted key is gone at once. Only the parsed form is cached, as parsing costs more
    than the read; a key that is used again after `CACHED_KEYS` others is parsed again. ARNs are never reused.
    """

    def __init__(self, book: DecisionReader) -> None:
        self._book = book
        self._parsed: OrderedDict[str, ec.EllipticCurvePublicKey] = OrderedDict()

    def find(self, arn: str) -> ec.EllipticCurvePublicKey | None:
        """Return the key with this ARN; None if it does not exist or names a resource of another type."""
        resource = self._book.get_resource(arn)
        if not isinstance(resource, PublicKey):
            self._parsed.pop(arn, None)
            return None
        key = self._parsed.get(arn)
        if key is None:
            key = self._parsed[arn] = read_material(resource.material)
            if len(self._parsed) > CACHED_KEYS:
                self._parsed.popitem(last=False)
        return key


class PublicKeyService:
    """Imports and deletes public keys."""

    def __init__(self, *, unit: UnitOfWork, limits: Limits, region: str) -> None:
        self._unit = unit
        self._limits = limits
        self._region = region
        self._arns: dict[tuple[str, str], str] = {}
        """The ARN of every key by its account and fingerprint."""

    async def load(self, account_id: str | None) -> None:
        """Index the keys of an account, None for those of all accounts. Call it before the account is served."""
        self._arns.update(await self._unit.book.read(account_id, partial(_read_fingerprints, account_id=account_id)))

    async def import_key(self, *, account_id: str, name: str, tags: dict[str, str], material: str) -> PublicKey:
        """Import a key; return when it is durable.

        `material` is PEM, stored as given; the key is identified by its fingerprint, so line ends and text around the
        block do not make it another key. Raises InvalidInputError (material, tags), ConflictError if the account has
        this key already, and ServiceQuotaExceededError.
        """
        check_tags(tags)
        digest = fingerprint(read_material(material))
        arn = await self._unit.new_arn(region=self._region, account_id=account_id, resource_type=PUBLIC_KEY)
        self._require_new(account_id, digest)
        self._unit.pending.require_quota(account_id, PUBLIC_KEY, maximum=self._limits.public_keys)
        key = PublicKey(
            arn=str(arn),
            account_id=account_id,
            created_ms=self._unit.now().wall_ms,
            name=name,
            tags=tags,
            material=material,
            fingerprint=digest,
        )
        self._arns[account_id, digest] = key.arn
        await self._unit.submit([PutResource(resource=key)])
        return key

    def _require_new(self, account_id: str, digest: str) -> None:
        # A key with two ARNs would survive the deletion of one of them.
        arn = self._arns.get((account_id, digest))
        if arn is None:
            return
        if self._unit.book.get_resource(arn) is None:
            raise ConflictError("this public key is being imported already")
        raise ConflictError(f"this public key is imported already, as {arn}")

    async def delete(self, *, arn: str) -> None:
        """Delete a key. Tokens that it signed are refused from now on; participants on a stage stay.

        Raises ResourceNotFoundError.
        """
        key = self._unit.pending.find(arn)
        if not isinstance(key, PublicKey):
            raise ResourceNotFoundError(kind="public key", name=arn)
        self._arns.pop((key.account_id, key.fingerprint), None)
        await self._unit.submit([DeleteResource(arn=arn)])


def _read_fingerprints(reader: BookReader, *, account_id: str | None) -> dict[tuple[str, str], str]:
    keys = iterate_resources(reader, PUBLIC_KEY, account_id=account_id)
    return {(key.account_id, key.fingerprint): key.arn for key in keys if isinstance(key, PublicKey)}
