"""The participants' door: WHIP, subscribe and the events websocket."""
