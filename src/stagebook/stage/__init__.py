"""The heart: what a stage session is and which events it emits. Pure: no I/O, no clock, no randomness."""
