"""HLS recordings: encoded media to fragmented MP4 segments and playlists."""
