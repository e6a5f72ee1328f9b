"""The readers' door: health."""
