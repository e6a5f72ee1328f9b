"""The path of one encoder's media from RTMP messages to RTP payloads."""
