"""The secrets and certificates that the server keeps on disk."""
