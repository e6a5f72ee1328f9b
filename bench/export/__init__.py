"""The benchmark of exports and of session reports."""
