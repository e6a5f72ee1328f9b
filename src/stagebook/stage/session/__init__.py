"""One stage session as a pure machine: `decide(session, fact)` returns the next session, events and orders."""
