"""The quotas of the service as one value, in two editions.

STRICT has the values of AWS (user guide, "Service Quotas"), for tests of an application against the real limits.
RELAXED has higher values for self-hosted servers. Lengths of strings and page sizes are in the service model, not here.
"""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The quotas of one server. The name of a field is also the name of the setting that overrides it.

    Fields without a `per_` suffix that count resources hold for each account. `docs/operating.md` has the table for
    operators.
    """

    stages: int
    publishers_per_stage: int
    """Publications, offers to publish in progress, and replicas. A participant that reconnects counts once."""
    subscribers_per_stage: int
    """Subscriptions, not viewers: a participant that watches three publishers counts three times."""
    participants_per_stage: int
    """Participants with an open connection or an offer in progress."""
    connections_per_participant: int
    """Open connections and offers in progress: publication, subscriptions and events websockets."""
    subscriptions_per_publisher: int = 8
    """Open subscriptions, and offers in progress, of one participant to one publisher. Each is a copy of the media that
    an engine sends. A client needs one, and more for a while after it has lost its network or reloaded its page."""
    publishers_per_account: int
    """As `publishers_per_stage`, on all stages of the account together."""
    subscriptions_per_account: int
    """As `subscribers_per_stage`, on all stages of the account together."""
    publish_bitrate_bps: int
    """Bits per second of RTP payload of one publication: audio and all simulcast layers."""
    publish_bitrate_window_seconds: int
    """Seconds in a row for which the bitrate must be above its limit before the publication is ended."""
    publish_long_side_pixels: int
    publish_short_side_pixels: int
    """The two sides of a video frame, so that portrait and landscape have the same limit."""
    replications_per_participant: int
    """Destination stages of one publisher at the same time."""
    duration_seconds: int
    """Duration of one publication or one subscription, from the moment at which its transport is connected."""
    attributes_size_bytes: int = 1024
    """Keys and values of a token's attributes together, in bytes of UTF-8."""
    ingest_configurations: int
    encoder_configurations: int
    storage_configurations: int
    compositions: int
    """Compositions that have not ended."""
    compositions_per_stage: int
    """Compositions of one stage that have not ended."""
    public_keys: int
    calls_per_second: int | None = None
    """Calls of one operation of the AWS API by one account. None: no limit. The next three replace it for their
    operations."""
    token_calls_per_second: int | None = None
    """For CreateParticipantToken."""
    tag_calls_per_second: int | None = None
    """For each of TagResource, UntagResource and ListTagsForResource."""
    public_key_calls_per_second: int | None = None
    """For each operation on public keys."""


STRICT = Limits(
    stages=1_000,
    publishers_per_stage=12,
    subscribers_per_stage=10_000,
    participants_per_stage=10_012,
    connections_per_participant=32,
    publishers_per_account=1_000,
    subscriptions_per_account=20_000,
    publish_bitrate_bps=8_500_000,
    publish_bitrate_window_seconds=5,
    publish_long_side_pixels=1_280,
    publish_short_side_pixels=720,
    replications_per_participant=5,
    duration_seconds=24 * 3_600,
    ingest_configurations=100,
    encoder_configurations=20,
    storage_configurations=5,
    compositions=20,
    compositions_per_stage=5,
    public_keys=3,
    calls_per_second=5,
    token_calls_per_second=50,
    tag_calls_per_second=10,
    public_key_calls_per_second=3,
)

RELAXED = Limits(
    stages=100_000,
    publishers_per_stage=100,
    subscribers_per_stage=50_000,
    participants_per_stage=50_000,
    connections_per_participant=256,
    publishers_per_account=100_000,
    subscriptions_per_account=1_000_000,
    publish_bitrate_bps=20_000_000,
    publish_bitrate_window_seconds=5,
    publish_long_side_pixels=1_920,
    publish_short_side_pixels=1_080,
    replications_per_participant=50,
    duration_seconds=24 * 3_600,
    ingest_configurations=10_000,
    encoder_configurations=1_000,
    storage_configurations=1_000,
    compositions=1_000,
    compositions_per_stage=100,
    public_keys=100,
)

EDITIONS = {"strict": STRICT, "relaxed": RELAXED}
"""The editions by the value of the setting `quotas`."""
