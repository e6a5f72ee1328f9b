"""Access to the watch API: bearer keys, and who a request is made by."""
