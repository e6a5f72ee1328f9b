"""Individual participant recording: the configuration of a stage, and one recording as a state machine. Pure."""
