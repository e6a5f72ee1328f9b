"""The limits of one RTMP connection.

RTMP itself bounds almost nothing: a client can announce 16 MiB messages on 65,000 chunk streams without sending them.
These limits bound the memory and the work that a client can cause, above all before it has named a valid stream key.
"""

import msgspec

_MAX_MESSAGE_LENGTH = 0xFFFFFF
"""The largest message length that a chunk message header can hold (section 5.3.1.2.1)."""


class RtmpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Exceeding any limit is an RtmpError."""

    max_message_bytes: int = 4 << 20
    """Maximum length of an audio, video or aggregate message."""
    max_command_bytes: int = 64 << 10
    """Maximum length of a message of any other type. A longer data message is skipped and is no error."""
    max_chunk_streams: int = 64
    max_incomplete_bytes: int = 8 << 20
    """Maximum total length of the messages that have begun and are not complete."""
    max_commands: int = 64
    """Maximum number of commands on a connection. An encoder sends about ten, from `connect` to `deleteStream`."""
    max_bytes_before_publish: int = 64 << 10
    """Maximum bytes received before `publish`, handshake included. An encoder sends about 4 KiB."""
    max_messages_before_publish: int = 512
    """Maximum number of messages before `publish`. An encoder sends about ten."""
    max_pending_media_bytes: int = 1 << 20
    """Maximum media between `publish` and its acceptance, for encoders that do not wait for the answer."""
    max_short_messages: int = 1000
    """Maximum number of messages beyond one for every four bytes received. Handling a message costs more than receiving
    its bytes, so many tiny messages would cost a client little and the server much."""
    max_output_bytes: int = 64 << 10
    """Maximum bytes of answers that wait for `data_to_send`."""
    max_name_bytes: int = 1024
    """Maximum length of the application name and of the publishing name, in UTF-8."""
    max_aggregate_tags: int = 1024
    max_amf_values: int = 2048
    """Maximum number of AMF0 values in a message, at all depths together."""
    max_amf_depth: int = 16

    def __post_init__(self) -> None:
        """Raises ValueError for limits that contradict each other or the protocol."""
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1")
        if max(self.max_message_bytes, self.max_command_bytes) > _MAX_MESSAGE_LENGTH:
            raise ValueError(f"max_message_bytes and max_command_bytes: at most {_MAX_MESSAGE_LENGTH}")
        if self.max_incomplete_bytes < max(self.max_message_bytes, self.max_command_bytes):
            raise ValueError("max_incomplete_bytes: at least max_message_bytes and max_command_bytes")
