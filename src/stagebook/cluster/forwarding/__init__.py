"""The requests that a node sends on to the owner of their account, and the server that takes them there."""
