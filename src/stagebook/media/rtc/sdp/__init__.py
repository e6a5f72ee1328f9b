"""SDP: reading offers, negotiating, writing answers."""
