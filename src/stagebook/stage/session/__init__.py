"""One stage session as a pure function: `decide(session, fact)` returns the next session, the events and the orders."""
