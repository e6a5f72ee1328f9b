"""FLV tag headers, as RTMP carries them."""
