"""The results of a run: a table for people, JSON and JUnit for machines, and the failures that are expected."""
