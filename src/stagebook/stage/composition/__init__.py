"""A composition of a stage as a pure state machine: its states, facts and events."""
