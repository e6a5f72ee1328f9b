"""The benchmark (`make bench`): throughput, latency and CPU time of Stagebook on this machine.

It has four parts: `page` (ListParticipantEvents over HTTP), `appends` (events through the stage manager), `forwarder`
(WebRTC media) and `ingest` (RTMP encoders).
"""
