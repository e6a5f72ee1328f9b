"""Objects in buckets: S3 and what speaks its protocol, or folders."""
