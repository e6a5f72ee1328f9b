"""The error of an RTMP connection."""


class RtmpError(Exception):
    """The client violated the protocol or exceeded a limit, or the caller used the connection in the wrong state.

    The connection cannot be used further. The detail names the rule and is sent to the client. Of the client's own data
    it holds only numbers and the names of commands.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
