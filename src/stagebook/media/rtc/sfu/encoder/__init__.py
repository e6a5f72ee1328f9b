"""Sources whose media comes from encoders (RTMP) over the media bus instead of a WebRTC connection.

An encoder cannot be asked for a keyframe. The forwarder therefore caches the current GOP (group of pictures: a keyframe
and the frames up to the next one) and replays it to each viewer that joins between two keyframes.
"""
