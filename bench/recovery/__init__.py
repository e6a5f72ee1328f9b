"""The start after a crash: from the process to its first response, with many participants on stage."""
