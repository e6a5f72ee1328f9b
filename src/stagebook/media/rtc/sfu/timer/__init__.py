"""What an engine does at intervals, for all of its sources and connections."""
