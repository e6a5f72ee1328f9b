"""The operations of the AWS API that need only the book, so that any node answers them.

An answer to a write follows its commit, and these operations read the primary. So a client that has the answer to a
write reads what it wrote, whichever node it asks.

Operations on ingest configurations are not among them: the state of a configuration is that of its encoder, which only
the owner of the account knows.
"""

from typing import Final

LOCAL_READS: Final = frozenset(
    {
        "GetComposition",
        "GetEncoderConfiguration",
        "GetParticipant",
        "GetPublicKey",
        "GetStage",
        "GetStageSession",
        "GetStorageConfiguration",
        "ListCompositions",
        "ListEncoderConfigurations",
        "ListParticipantEvents",
        "ListParticipantReplicas",
        "ListParticipants",
        "ListPublicKeys",
        "ListStageSessions",
        "ListStages",
        "ListStorageConfigurations",
        "ListTagsForResource",
    }
)
