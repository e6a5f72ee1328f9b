"""Exports of events as files: JSON Lines, CSV and Parquet, at constant memory for any number of events."""
