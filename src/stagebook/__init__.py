"""Stagebook: stages, their participants, and the durable book of what each of them did."""
