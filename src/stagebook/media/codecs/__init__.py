"""Codec formats: bitstream headers, configuration records, packetization."""
