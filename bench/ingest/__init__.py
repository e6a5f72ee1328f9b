"""Encoder ingest: the CPU time of an RTMP stream, and the latency from the encoder to a viewer's decoded frame."""
