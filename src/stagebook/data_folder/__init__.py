"""The data folder: the secrets and certificates that the server keeps on disk."""
