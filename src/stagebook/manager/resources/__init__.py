"""Services for stages, keys, configurations, replications and connection tokens."""
