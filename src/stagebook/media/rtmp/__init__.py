"""The Real-Time Messaging Protocol as a publisher's server speaks it. Sans-I/O: bytes in, events out, bytes to send.

Specifications: "Adobe's Real Time Messaging Protocol" 1.0 (2012), "Action Message Format - AMF 0" (2007), and
"Enhanced RTMP" v2 (Veovera). Section numbers in this package refer to RTMP 1.0 unless another one is named.
"""
