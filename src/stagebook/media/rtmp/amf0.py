"""AMF0 values, the encoding of RTMP commands ("Action Message Format - AMF 0", Adobe 2007).

Each value is a type marker of one byte and the value itself. Numbers are big-endian, strings are UTF-8 after their
length. Section numbers in this module are those of the AMF0 specification.

| AMF0 | Python |
|---|---|
| number, boolean, null | float, bool, None |
| string, long string, XML document | str |
| undefined, unsupported | UNDEFINED |
| object | dict |
| ECMA array | EcmaArray, a dict |
| strict array | list |
| date | Date |
| typed object | TypedObject |

References, movie clips, record sets and AMF3 values are errors: encoders do not send them. Strings that are not valid
UTF-8 are not an error, because some encoders send titles in other encodings; invalid bytes are replaced.
"""

import struct
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, TypeAlias

import msgspec

from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

# Type markers (section 2.1).
_NUMBER = 0x00
_BOOLEAN = 0x01
_STRING = 0x02
_OBJECT = 0x03
_NULL = 0x05
_UNDEFINED = 0x06
_ECMA_ARRAY = 0x08
_OBJECT_END = 0x09
_STRICT_ARRAY = 0x0A
_DATE = 0x0B
_LONG_STRING = 0x0C
_UNSUPPORTED = 0x0D
_XML_DOCUMENT = 0x0F
_TYPED_OBJECT = 0x10

_MAX_SHORT_STRING_BYTES = 0xFFFF
_DOUBLE = struct.Struct("!d")
_DATE_BODY = struct.Struct("!dh")


class _Undefined(Enum):
    UNDEFINED = "undefined"


UNDEFINED: Final = _Undefined.UNDEFINED


class EcmaArray(dict[str, "Amf0Value"]):
    """An associative array (section 2.10). The count in its encoding is only a hint and is not kept."""


class Date(msgspec.Struct, frozen=True, kw_only=True):
    """A date (section 2.13): milliseconds since 1970 in UTC. The time zone is reserved and should be 0."""

    milliseconds: float
    time_zone: int


class TypedObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object with a class name (section 2.18)."""

    class_name: str
    members: Mapping[str, "Amf0Value"]


Amf0Value: TypeAlias = (
    "float | bool | str | _Undefined | Date | TypedObject | Mapping[str, Amf0Value] | Sequence[Amf0Value] | None"
)


def read_values(data: bytes, limits: RtmpLimits) -> list[Amf0Value]:
    """Decode all values in `data`.

    Raises RtmpError for a truncated value, an unsupported type, and more or deeper values than the limits allow.
    """
    return _Amf0Reader(data, limits).values()


def write_values(*values: Amf0Value) -> bytes:
    """Encode values one after the other.

    An int is encoded as a number. Lone surrogates, which UTF-8 cannot encode, are replaced by `?`.
    """
    written = bytearray()
    for value in values:
        _write(written, value)
    return bytes(written)


class _Amf0Reader:
    """Decodes `data` from start to end and counts the values."""

    def __init__(self, data: bytes, limits: RtmpLimits) -> None:
        self._data = data
        self._position = 0
        self._values_left = limits.max_amf_values
        self._max_depth = limits.max_amf_depth

    def values(self) -> list[Amf0Value]:
        values: list[Amf0Value] = []
        while self._position < len(self._data):
            values.append(self._value(self._max_depth))
        return values

    def _value(self, depth: int) -> Amf0Value:
        """Decode one value, which may have `depth` levels."""
        if not depth:
            raise RtmpError(f"AMF0 values are nested more than {self._max_depth} deep")
        # An encoded value has at least one byte, but a Python object has up to a hundred: without this bound a command
        # of 64 KiB would take megabytes.
        if not self._values_left:
            raise RtmpError("a message has too many AMF0 values")
        self._values_left -= 1
        marker = self._unsigned(1)
        if marker == _NUMBER:
            return float(_DOUBLE.unpack(self._take(8))[0])
        if marker == _BOOLEAN:
            return self._unsigned(1) != 0
        if marker == _STRING:
            return self._string(2)
        if marker in {_LONG_STRING, _XML_DOCUMENT}:
            return self._string(4)
        if marker == _NULL:
            return None
        if marker in {_UNDEFINED, _UNSUPPORTED}:
            return UNDEFINED
        return self._compound(marker, depth)

    def _compound(self, marker: int, depth: int) -> Amf0Value:
        if marker == _OBJECT:
            return self._members(depth)
        if marker == _ECMA_ARRAY:
            self._take(4)  # The count. The end marker counts, because encoders write wrong counts.
            return EcmaArray(self._members(depth))
        if marker == _STRICT_ARRAY:
            return [self._value(depth - 1) for _ in range(self._unsigned(4))]
        if marker == _DATE:
            milliseconds, time_zone = _DATE_BODY.unpack(self._take(_DATE_BODY.size))
            return Date(milliseconds=milliseconds, time_zone=time_zone)
        if marker == _TYPED_OBJECT:
            return TypedObject(class_name=self._string(2), members=self._members(depth))
        raise RtmpError(f"AMF0 values of type {marker} are not supported")

    def _members(self, depth: int) -> dict[str, Amf0Value]:
        """Decode (name, value) pairs up to an empty name and an object end marker (section 2.11)."""
        members: dict[str, Amf0Value] = {}
        while True:
            name = self._string(2)
            if not name and self._data[self._position : self._position + 1] == bytes([_OBJECT_END]):
                self._position += 1
                return members
            members[name] = self._value(depth - 1)

    def _string(self, length_bytes: int) -> str:
        return self._take(self._unsigned(length_bytes)).decode("utf-8", "replace")

    def _unsigned(self, size: int) -> int:
        return int.from_bytes(self._take(size))

    def _take(self, size: int) -> bytes:
        start = self._position
        self._position = start + size
        # Checked before the slice is made: a slice beyond the end would be short and not an error.
        if self._position > len(self._data):
            raise RtmpError("an AMF0 value is truncated")
        return self._data[start : self._position]


def _write(written: bytearray, value: Amf0Value) -> None:
    match value:
        case None:
            written.append(_NULL)
        case _Undefined.UNDEFINED:
            written.append(_UNDEFINED)
        case bool():
            written += bytes((_BOOLEAN, value))
        case int() | float():
            written.append(_NUMBER)
            written += _DOUBLE.pack(value)
        case str():
            _write_string(written, value)
        case _:
            _write_compound(written, value)


def _write_compound(
    written: bytearray, value: Date | TypedObject | Mapping[str, Amf0Value] | Sequence[Amf0Value]
) -> None:
    match value:
        case Date():
            written.append(_DATE)
            written += _DATE_BODY.pack(value.milliseconds, value.time_zone)
        case TypedObject():
            written.append(_TYPED_OBJECT)
            written += _encoded_name(value.class_name)
            _write_members(written, value.members)
        case EcmaArray():
            written.append(_ECMA_ARRAY)
            written += len(value).to_bytes(4)
            _write_members(written, value)
        case Mapping():
            written.append(_OBJECT)
            _write_members(written, value)
        case _:
            written.append(_STRICT_ARRAY)
            written += len(value).to_bytes(4)
            for element in value:
                _write(written, element)


def _write_string(written: bytearray, value: str) -> None:
    encoded = value.encode("utf-8", "replace")
    if len(encoded) > _MAX_SHORT_STRING_BYTES:
        written.append(_LONG_STRING)
        written += len(encoded).to_bytes(4) + encoded
    else:
        written.append(_STRING)
        written += len(encoded).to_bytes(2) + encoded


def _write_members(written: bytearray, members: Mapping[str, Amf0Value]) -> None:
    for name, value in members.items():
        written += _encoded_name(name)
        _write(written, value)
    written += bytes((0, 0, _OBJECT_END))


def _encoded_name(name: str) -> bytes:
    """A member's or class's name with its 16-bit length. Names have no long form, so longer ones are cut."""
    encoded = name.encode("utf-8", "replace")[:_MAX_SHORT_STRING_BYTES]
    return len(encoded).to_bytes(2) + encoded
