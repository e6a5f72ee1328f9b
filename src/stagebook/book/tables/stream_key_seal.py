"""Seals the stream keys of ingest configurations: in the book they are encrypted with a secret that is not in it.

Whoever has a stream key can publish to its stage. The API must return it (GetIngestConfiguration), so the book cannot
keep a hash instead. A copy of the book alone, for example a backup, does not reveal the keys.

The cipher is AES-256-SIV (RFC 5297). It needs no nonce: the same key of the same participant is always sealed to the
same text, so a configuration that is written again does not change. The ARN and the participant id are authenticated
with it, so a sealed key that is moved to another row cannot be opened.

There is no index of stream keys, because a key names its configuration (see `stage/stream_keys.py`).
"""

import base64
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from msgspec.structs import replace

from stagebook.stage.resources import IngestConfiguration, IngestCredential, Resource

SECRET_SIZE_BYTES: Final = 64
"""Two AES-256 keys: one authenticates, the other one encrypts (RFC 5297, section 2.2)."""


class SealBrokenError(ValueError):
    """A sealed stream key was sealed with another secret or for another participant, or is damaged."""


class ReadSecret(Protocol):
    """Reads the secret from where it is kept, beside the book."""

    def __call__(self, *, may_generate: bool) -> bytes:
        """Return the secret: SECRET_SIZE_BYTES random bytes.

        `may_generate` is true if the book has no sealed keys yet. A missing secret is then generated; else it is an
        error, because a new one would not open the keys.
        """


class StreamKeySeal:
    """Seals and opens stream keys with one secret."""

    def __init__(self, secret: bytes) -> None:
        """Raises ValueError if `secret` has not SECRET_SIZE_BYTES bytes."""
        if len(secret) != SECRET_SIZE_BYTES:
            raise ValueError(f"the secret of stream keys must have {SECRET_SIZE_BYTES} bytes")
        self._cipher = AESSIV(secret)

    def seal(self, stream_key: str, *, arn: str, participant_id: str) -> str:
        """Return the sealed form of a participant's stream key, as text."""
        sealed = self._cipher.encrypt(stream_key.encode(), [arn.encode(), participant_id.encode()])
        return base64.urlsafe_b64encode(sealed).decode("ascii")

    def open(self, sealed: str, *, arn: str, participant_id: str) -> str:
        """Return the stream key of a sealed form. Raises SealBrokenError."""
        try:
            content = base64.b64decode(sealed, altchars=b"-_", validate=True)
            return self._cipher.decrypt(content, [arn.encode(), participant_id.encode()]).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBrokenError(f"the stream key of {participant_id} cannot be opened") from error

    def sealed(self, resource: Resource) -> Resource:
        """Return a resource as the book stores it: an ingest configuration with sealed keys, others unchanged."""
        return _with_keys(resource, self.seal) if isinstance(resource, IngestConfiguration) else resource

    def opened(self, resource: Resource) -> Resource:
        """Return a stored resource with its keys opened. Raises SealBrokenError."""
        return _with_keys(resource, self.open) if isinstance(resource, IngestConfiguration) else resource


class _Conversion(Protocol):
    def __call__(self, stream_key: str, /, *, arn: str, participant_id: str) -> str: ...


def _with_keys(configuration: IngestConfiguration, convert: _Conversion) -> IngestConfiguration:
    arn = configuration.arn
    return replace(
        configuration,
        stream_key=convert(configuration.stream_key, arn=arn, participant_id=configuration.participant_id),
        redundant_credentials=tuple(
            IngestCredential(
                participant_id=each.participant_id,
                stream_key=convert(each.stream_key, arn=arn, participant_id=each.participant_id),
            )
            for each in configuration.redundant_credentials
        ),
    )
