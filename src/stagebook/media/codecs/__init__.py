"""Codec formats: bitstream headers, configuration records and RTP payload formats. Nothing here decodes media."""
