"""The testing API: what a test controls in a server that was started with `--testing`."""
