"""Settings: their values, where they come from and the rules they must keep."""
