"""Input rules that the service model does not state: tags, attributes, and the frame size of a composition.

Each check raises InvalidInputError, which names the member and the rule.
"""

from stagebook.stage.errors import InvalidInputError

MAXIMUM_TAGS = 50
RESERVED_TAG_PREFIX = "aws:"
MAXIMUM_PIXELS = 2_073_600
"""Maximum frame size of a composition: 1920x1080 or 1080x1920 (API reference, Video)."""


def check_tags(tags: dict[str, str]) -> None:
    """Check all tags of one resource against the tagging rules of AWS ("Tag naming limits and requirements").

    `tags` are the tags that the resource will have, not only the added ones. Raises InvalidInputError for more than 50
    tags, and for a key with the prefix `aws:` in any case.
    """
    if len(tags) > MAXIMUM_TAGS:
        raise InvalidInputError(member="tags", rule=f"a resource has at most {MAXIMUM_TAGS} tags")
    for key in tags:
        if key.lower().startswith(RESERVED_TAG_PREFIX):
            raise InvalidInputError(member="tags", rule=f"keys must not start with {RESERVED_TAG_PREFIX}")


def check_attributes(attributes: dict[str, str], *, size_bytes: int) -> None:
    """Check the size of a participant's attributes (API reference, CreateParticipantToken: 1 KB in total).

    `size_bytes` is the maximum for keys and values together, in bytes of UTF-8. Raises InvalidInputError.
    """
    total_bytes = sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items())
    if total_bytes > size_bytes:
        rule = f"keys and values must have at most {size_bytes} bytes of UTF-8 in all"
        raise InvalidInputError(member="attributes", rule=rule)


def check_frame_size(*, width: int, height: int) -> None:
    """Check the frame size of a composition, in pixels (API reference, Video).

    Both sides must be even, because H.264 with 4:2:0 sampling needs even sides, and the area is limited. Raises
    InvalidInputError. The range of each side is in the service model.
    """
    for member, pixels in (("video.width", width), ("video.height", height)):
        if pixels % 2:
            raise InvalidInputError(member=member, rule="must be an even number")
    if width * height > MAXIMUM_PIXELS:
        rule = f"with video.height must be at most {MAXIMUM_PIXELS} pixels in all"
        raise InvalidInputError(member="video.width", rule=rule)
