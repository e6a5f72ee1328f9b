"""Sources published by encoders (RTMP): media bus, frame cache and replay to new viewers."""
