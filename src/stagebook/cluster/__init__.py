"""Several nodes on one book: any node takes any request, and sends on what only the owner of the account can answer.

Each account is owned by one run of one node, which alone writes its part of the book and holds its live state. The
node that a client happens to ask finds the account of the request (`request_account`) and the owner of the account
(`directory`, `owner_search`). Reads of the book it answers itself (`local_reads`). Everything else is passed through
to the owner's internal server (`forwarding`): HTTP requests and responses are streamed, websockets are tunnelled, and
the owner verifies signatures and tokens as if the client had asked it.

The server uses `cluster_node.ClusterNode`:

    node = ClusterNode(router, identity=..., local=..., source=..., accounts=..., is_known=..., now_ms=..., ...)
    await node.start()                      after the run of this node is registered
    HttpServer(node.application, ...)       the listener of clients, instead of the router
    HttpServer(node.internal_application)   on `internal_listen`, without trusted proxies, with keep-alive of at least
                                            twice `owner_connections.IDLE_SECONDS`
    node.note_owners_changed()              on each notification of the database
    await node.drain(timeout_seconds=...)   where the router is closed
    await node.stop()                       after both servers

`local` is a `LocalAccounts`: the accounts of this run, and how a free one is taken. `source` is an `AccountDirectory`:
the owners of all accounts, read from the leases. Both are in `account_owner`; `lease_directory` implements the second
one, and `follow(node.note_owners_changed)` of it passes the notifications on.
"""
