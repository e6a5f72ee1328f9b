"""RTMP, as a server speaks it to an encoder: sans-I/O. Knows no codec, no socket and no stage."""
