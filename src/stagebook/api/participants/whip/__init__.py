"""Publishing and subscribing by an exchange of SDP over HTTP (WHIP)."""
