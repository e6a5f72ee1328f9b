"""The rules of a stage session: which function decides which fact."""
