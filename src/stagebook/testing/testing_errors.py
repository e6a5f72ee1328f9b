"""The errors of the test tools. All are subclasses of `StagebookTestingError`."""


class StagebookTestingError(Exception):
    """Something that a test asked for could not be done."""


class ServerNotStartedError(StagebookTestingError):
    """The server did not start, or is not running any more. The message has the end of its log."""


class CallRefusedError(StagebookTestingError):
    """The server refused a call of the testing API.

    `status` is the HTTP status, `code` the constant code of the problem document, `detail` its text.
    """

    def __init__(self, *, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code} ({status}): {detail}")
        self.status = status
        self.code = code
        self.detail = detail
