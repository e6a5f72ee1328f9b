"""Reads of the book that the AWS API does not have: search, sessions, export."""
