"""The console: a web page for people, which the server serves under `/console/`."""
