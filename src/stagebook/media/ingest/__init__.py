"""RTMP and RTMPS ingest: a process that receives encoders' streams and feeds them to the engine processes."""
