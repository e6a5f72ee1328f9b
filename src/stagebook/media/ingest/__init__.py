"""Takes the streams of encoders in: RTMP and RTMPS, in a process of its own, fed to the forwarders."""
