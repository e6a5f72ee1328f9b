"""Server-side composition: the CPU time and memory of a composition, and the delay until its RTMP output."""
