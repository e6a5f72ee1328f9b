"""The objects that a recorder puts, in memory."""


class StoredObjects:
    """An ObjectWriter that keeps the newest body of each name, and counts."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.content_types: dict[str, str] = {}
        self.puts: list[tuple[str, int]] = []
        """Name and size of each put, in order."""

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Keep an object."""
        self.bodies[name] = body
        self.content_types[name] = content_type
        self.puts.append((name, len(body)))

    def text(self, name: str) -> str:
        """Return an object as text."""
        return self.bodies[name].decode()
