"""The search of events: a real server with a large book, alone and beside appends and pages."""
