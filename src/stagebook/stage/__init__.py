"""The domain: the state of a stage session, the events that it emits, and the rules for both.

All of it is pure. Functions take values and return values; there is no I/O, and time and random ids are arguments. So
a test can run any sequence of facts, and the same sequence always gives the same events.

    participant/   one participant: its connections as a state machine
    session/       one stage session: `decide(session, fact)` returns the next session, the events and the orders
    others         the values that both use: events, resources, claims, limits, errors, ids
"""
