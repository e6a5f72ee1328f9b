"""Input rules that the service model does not state: tags, attributes, and the frame size of a composition.

Each check raises InvalidInputError, which names the member and the rule.
"""

from stagebook.stage.errors import InvalidInputError

MAXIMUM_TAGS = 50
RESERVED_TAG_PREFIX = "aws:"
MAXIMUM_PIXELS = 2_073_600
"""Maximum frame size of a composition: 1920x1080 or 1080x1920 (API reference, Video)."""


def check_tags(tags: dict[str, str]) -> None:
    """Check the tags of one resource against the tagging rules of AWS ("Tag naming limits and requirements")."""
    if len(tags) > MAXIMUM_TAGS:
        raise InvalidInputError(member="tags", rule=f"a resource has at most {MAXIMUM_TAGS} tags")
    for key in tags:
        if key.lower().startswith(RESERVED_TAG_PREFIX):
            raise InvalidInputError(member="tags", rule=f"keys must not start with {RESERVED_TAG_PREFIX}")


def check_attributes(attributes: dict[str, str], *, size_bytes: int) -> None:
    """Check the size of a participant's attributes: UTF-8 bytes of keys and values together."""
    total_bytes = sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items())
    if total_bytes > size_bytes:
        rule = f"keys and values must have at most {size_bytes} bytes of UTF-8 in all"
        raise InvalidInputError(member="attributes", rule=rule)


def check_frame_size(*, width: int, height: int) -> None:
    """Check the frame size of a composition (API reference, Video)."""
    for member, pixels in (("video.width", width), ("video.height", height)):
        if pixels % 2:
            raise InvalidInputError(member=member, rule="must be an even number")
    if width * height > MAXIMUM_PIXELS:
        rule = f"with video.height must be at most {MAXIMUM_PIXELS} pixels in all"
        raise InvalidInputError(member="video.width", rule=rule)
