"""The publisher's side of RTMP: Stagebook pushes a composition to another server. Sans-I/O like the server's side."""
