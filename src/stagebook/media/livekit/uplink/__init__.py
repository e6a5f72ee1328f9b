"""Uplinks: the media of encoders, published to LiveKit without re-encoding.

    ingest process --media bus--> uplink process --WHIP--> LiveKit

An uplink process has the feeds of encoders as an engine process has them (`media.rtc.sfu.encoder`), and in the place of
viewers one WebRTC connection for each source. LiveKit sees one publisher for each source, also if several encoders feed
it, one after the other or redundantly: their viewers stay.
"""
