"""The media of one encoder, from FLV tags to RTP payloads: timestamps, H.264 and AAC to Opus."""
