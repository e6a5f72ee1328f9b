"""`make bench`: what Stagebook costs on this machine, measured in one run.

Three parts, each in a folder of its own: `page` (ListParticipantEvents), `appends` (events through the manager) and
`forwarder` (media). This package knows the product; the product knows nothing of it.
"""
