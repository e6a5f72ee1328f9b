"""ICE: STUN, candidates, UDP sockets and the demultiplexer."""
