"""Individual participant recording: the media of a source as HLS in a bucket."""
