"""What a stranger may make an RTMP connection hold or do, and the error that says that a rule was broken."""

import msgspec

MAX_FIELD_BYTES = 0xFFFFFF
"""The longest message that a chunk's message header can announce (RTMP 1.0 section 5.3.1.2.1)."""


class RtmpError(Exception):
    """The peer broke the protocol or a limit, or the connection was used after its end. The connection is dead.

    The text names the rule. It holds nothing that the peer sent but numbers and the names of commands.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class RtmpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one connection, whatever its peer sends."""

    max_message_bytes: int = 4 << 20
    """The longest audio, video or aggregate message."""
    max_command_bytes: int = 64 << 10
    """The longest message of any other kind."""
    max_chunk_streams: int = 64
    max_incomplete_bytes: int = 8 << 20
    """What all messages that have begun and are not complete may announce together."""
    max_commands: int = 64
    """How many commands a connection may send; an encoder needs about ten, from `connect` to `deleteStream`."""
    max_early_bytes: int = 64 << 10
    """What may come before `publish`, handshake included; an encoder needs about 4 KiB."""
    max_held_bytes: int = 1 << 20
    """Media of an encoder that does not wait until its publish is accepted."""
    max_short_messages: int = 1000
    """How many messages may come beyond one for every four bytes: reading a message costs more than reading a byte."""
    max_output_bytes: int = 64 << 10
    """What may wait for `data_to_send`."""
    max_name_bytes: int = 1024
    """The longest application name and the longest publish name, in UTF-8."""
    max_aggregate_tags: int = 1024
    max_amf_values: int = 2048
    """How many AMF0 values one message may hold, in all depths."""
    max_amf_depth: int = 16

    def __post_init__(self) -> None:
        """Refuse limits that no encoder could live with. Raises ValueError."""
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1")
        if max(self.max_message_bytes, self.max_command_bytes) > MAX_FIELD_BYTES:
            raise ValueError(f"max_message_bytes and max_command_bytes: at most {MAX_FIELD_BYTES}")
        if self.max_incomplete_bytes < max(self.max_message_bytes, self.max_command_bytes):
            raise ValueError("max_incomplete_bytes: at least max_message_bytes and max_command_bytes")
