"""A session with real participants, played once for all checks of sessions, participants and events."""
