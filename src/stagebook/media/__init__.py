"""Media: the engines that move audio and video, behind the interface of `port`.

`rtc/` is the WebRTC forwarder, `ingest/` the RTMP server. Both run in worker processes (`worker/`). `media_router`
joins them to one engine, and `media_bus` carries encoders' media between them.
"""
