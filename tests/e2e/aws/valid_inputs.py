"""The service model and a valid input of every operation.

botocore's copy of the model is read as plain JSON. The inputs have every member of their shape, so that a test can vary
each of them.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from botocore.loaders import Loader
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.e2e.aws.documented_example import ENCODER_ARN, INGEST_ARN, PARTICIPANT_ID, STAGE_ARN, STORAGE_ARN

Json: TypeAlias = Any
Raw: TypeAlias = Mapping[str, Any]

MODEL: Raw = Loader().load_service_model("ivs-realtime", "service-2", "2020-07-14")
OTHER_STAGE_ARN = "arn:aws:ivs:us-west-2:123456789012:stage/neverThereAtAll"
PUBLIC_KEY_ARN = "arn:aws:ivs:us-west-2:123456789012:public-key/abcdABCDefgh"
COMPOSITION_ARN = "arn:aws:ivs:us-west-2:123456789012:composition/abcdABCDefgh"
SESSION = {"stageArn": STAGE_ARN, "sessionId": "st-a1b2c3d4e5f6g"}
PARTICIPANT = {**SESSION, "participantId": "abCDEf12GHIj"}
RECORDING = {
    "storageConfigurationArn": "",
    "mediaTypes": ["AUDIO_VIDEO"],
    "thumbnailConfiguration": {"targetIntervalSeconds": 60, "storage": ["LATEST"], "recordingMode": "INTERVAL"},
    "recordingReconnectWindowSeconds": 0,
    "hlsConfiguration": {"targetSegmentDurationSeconds": 6},
    "recordParticipantReplicas": True,
}
TOKEN = {"duration": 30, "userId": "bob", "attributes": {"role": "host"}, "capabilities": ["PUBLISH"]}
PAGE = {"maxResults": 50, "nextToken": ""}
REPLICATION = {
    "sourceStageArn": STAGE_ARN,
    "destinationStageArn": OTHER_STAGE_ARN,
    "participantId": PARTICIPANT_ID,
}
PUBLIC_KEY = (
    ec.generate_private_key(ec.SECP384R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
    .strip()
)
GRID = {
    "featuredParticipantAttribute": "featured",
    "omitStoppedVideo": True,
    "videoAspectRatio": "VIDEO",
    "videoFillMode": "COVER",
    "gridGap": 2,
    "participantOrderAttribute": "order",
}
PIP = {
    "featuredParticipantAttribute": "featured",
    "omitStoppedVideo": True,
    "videoFillMode": "COVER",
    "gridGap": 0,
    "pipParticipantAttribute": "pip",
    "pipBehavior": "STATIC",
    "pipOffset": 0,
    "pipPosition": "BOTTOM_RIGHT",
    "pipWidth": 320,
    "pipHeight": 180,
    "participantOrderAttribute": "order",
}
COMPOSITION = {
    "stageArn": STAGE_ARN,
    "idempotencyToken": "token",
    "layout": {"grid": GRID, "pip": PIP},
    "destinations": [
        {
            "name": "destination",
            "channel": {
                "channelArn": "arn:aws:ivs:us-west-2:123456789012:channel/abcABCdefDEg",
                "encoderConfigurationArn": ENCODER_ARN,
            },
            "s3": {
                "storageConfigurationArn": STORAGE_ARN,
                "encoderConfigurationArns": [ENCODER_ARN],
                "recordingConfiguration": {"hlsConfiguration": {"targetSegmentDurationSeconds": 2}, "format": "HLS"},
                "thumbnailConfigurations": [{"targetIntervalSeconds": 60, "storage": ["LATEST"]}],
            },
        }
    ],
    "tags": {"team": "blue"},
}

VALID_INPUTS: Mapping[str, dict[str, Json]] = {
    "CreateStage": {
        "name": "stage",
        "participantTokenConfigurations": [TOKEN],
        "tags": {"team": "blue"},
        "autoParticipantRecordingConfiguration": RECORDING,
    },
    "GetStage": {"arn": STAGE_ARN},
    "ListStages": PAGE,
    "UpdateStage": {"arn": STAGE_ARN, "name": "documented", "autoParticipantRecordingConfiguration": RECORDING},
    "DeleteStage": {"arn": STAGE_ARN},
    "CreateParticipantToken": {"stageArn": STAGE_ARN, **TOKEN},
    "ListStageSessions": {"stageArn": STAGE_ARN, **PAGE},
    "GetStageSession": SESSION,
    "ListParticipants": {
        **SESSION,
        **PAGE,
        "filterByUserId": "bob",
        "filterByPublished": True,
        "filterByState": "CONNECTED",
        "filterByRecordingState": "ACTIVE",
    },
    "GetParticipant": PARTICIPANT,
    "ListParticipantEvents": {**PARTICIPANT, **PAGE},
    "DisconnectParticipant": {"stageArn": STAGE_ARN, "participantId": "neverThere", "reason": "enough"},
    "CreateIngestConfiguration": {
        "name": "ingest",
        "stageArn": STAGE_ARN,
        "userId": "bob",
        "attributes": {"role": "host"},
        "ingestProtocol": "RTMPS",
        "insecureIngest": True,
        "redundantIngest": True,
        "tags": {"team": "blue"},
    },
    "GetIngestConfiguration": {"arn": INGEST_ARN},
    "ListIngestConfigurations": {**PAGE, "filterByStageArn": STAGE_ARN, "filterByState": "INACTIVE"},
    "UpdateIngestConfiguration": {"arn": INGEST_ARN, "stageArn": STAGE_ARN, "redundantIngest": True},
    "DeleteIngestConfiguration": {"arn": INGEST_ARN, "force": True},
    "CreateEncoderConfiguration": {
        "name": "encoder",
        "video": {"width": 1280, "height": 720, "framerate": 30.0, "bitrate": 2_500_000},
        "tags": {"team": "blue"},
    },
    "GetEncoderConfiguration": {"arn": ENCODER_ARN},
    "ListEncoderConfigurations": PAGE,
    "DeleteEncoderConfiguration": {"arn": ENCODER_ARN},
    "CreateStorageConfiguration": {
        "name": "storage",
        "s3": {"bucketName": "amzn-s3-demo-bucket"},
        "tags": {"team": "blue"},
    },
    "GetStorageConfiguration": {"arn": STORAGE_ARN},
    "ListStorageConfigurations": PAGE,
    "DeleteStorageConfiguration": {"arn": STORAGE_ARN},
    "StartComposition": COMPOSITION,
    "GetComposition": {"arn": COMPOSITION_ARN},
    "ListCompositions": {**PAGE, "filterByStageArn": STAGE_ARN, "filterByEncoderConfigurationArn": ENCODER_ARN},
    "StopComposition": {"arn": COMPOSITION_ARN},
    "ImportPublicKey": {"publicKeyMaterial": PUBLIC_KEY, "name": "key", "tags": {"team": "blue"}},
    "GetPublicKey": {"arn": PUBLIC_KEY_ARN},
    "ListPublicKeys": PAGE,
    "DeletePublicKey": {"arn": PUBLIC_KEY_ARN},
    "StartParticipantReplication": {
        **REPLICATION,
        "reconnectWindowSeconds": 0,
        "attributes": {"role": "guest"},
    },
    "StopParticipantReplication": REPLICATION,
    "ListParticipantReplicas": {"sourceStageArn": STAGE_ARN, "participantId": PARTICIPANT_ID, **PAGE},
    "RevokeConnectionToken": {"tokenId": "Mx6clRRHODPy"},
    "TagResource": {"resourceArn": STAGE_ARN, "tags": {"team": "blue"}},
    "UntagResource": {"resourceArn": STAGE_ARN, "tagKeys": ["team"]},
    "ListTagsForResource": {"resourceArn": STAGE_ARN},
}
"""A valid input with every member for each operation. EXPECTED_REFUSALS lists those that the server still refuses."""

EXPECTED_REFUSALS: Mapping[str, tuple[int, str]] = {
    "ListParticipants": (400, "only one filter"),
    "ListIngestConfigurations": (400, "only one filter"),
    "StartComposition": (400, "exactly one of channel and s3"),
    "GetComposition": (404, COMPOSITION_ARN),
    "StopComposition": (404, COMPOSITION_ARN),
    "GetPublicKey": (404, PUBLIC_KEY_ARN),
    "StartParticipantReplication": (404, OTHER_STAGE_ARN),
    "StopParticipantReplication": (404, ""),
}
"""The status, and a part of the message, for valid inputs that the server refuses for other reasons."""
