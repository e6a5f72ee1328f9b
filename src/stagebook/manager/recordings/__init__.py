"""Recordings of participants: from the events of sessions and the reports of the recorder to states, events, orders."""
