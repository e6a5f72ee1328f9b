"""Layouts: which participant is where in the picture of a composition. Pure."""
