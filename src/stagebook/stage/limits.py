"""Every quota of the service as one value, in two editions: AWS's own numbers, and roomy ones for self-hosting.

Source of STRICT: the service quotas page of the IVS Real-Time user guide. Bounds of the wire that the
model states (lengths, page sizes) are not here: the model itself holds them.
"""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quotas per account unless said otherwise. A field's name is also the name of the setting that overrides it.

    Calls per second count for each operation of the AWS API by itself; None does not limit them.
    """

    stages: int
    publishers_per_stage: int
    subscribers_per_stage: int
    participants_per_stage: int
    connections_per_participant: int
    publishers_per_account: int
    subscriptions_per_account: int
    publish_bitrate_bps: int
    publish_bitrate_window_seconds: int
    publish_long_side_pixels: int
    publish_short_side_pixels: int
    replications_per_participant: int
    duration_seconds: int
    attributes_size_bytes: int = 1024
    ingest_configurations: int
    encoder_configurations: int
    storage_configurations: int
    public_keys: int
    calls_per_second: int | None = None
    token_calls_per_second: int | None = None
    tag_calls_per_second: int | None = None
    public_key_calls_per_second: int | None = None


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
    public_keys=100,
)

EDITIONS = {"strict": STRICT, "relaxed": RELAXED}
