"""The stage manager: the only writer of the book, and the services behind the APIs.

A request takes the same steps in each service: authorize it, let the domain decide it (`stage.session.decide`), commit
events and rows in one transaction, wait until that is durable, answer. A decision and its submission happen without an
await in between, on the event loop's thread, so they need no lock.

    participants/  the participants API: publish, subscribe, events websocket, token exchange, encoders
    presence/      the list of participants that each events websocket receives
    resources/     the operations of the AWS API that change something
    session/       running sessions in memory, transactions, timers
    tokens/        token format, verification, authorization
"""
