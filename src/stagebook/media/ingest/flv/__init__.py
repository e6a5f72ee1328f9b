"""Readers of FLV tag headers, which begin the payload of RTMP audio and video messages."""
