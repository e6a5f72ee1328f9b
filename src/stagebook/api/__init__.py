"""The HTTP and websocket APIs. Each translates between a wire format and the stage manager, and holds no domain rules.

`aws` is the AWS control plane, `participants` is what publishers and viewers connect to, `watch` is for operators.
`access` and the modules in this folder itself (ASGI types, HTTP responses, request bodies) are shared by the three.
"""
