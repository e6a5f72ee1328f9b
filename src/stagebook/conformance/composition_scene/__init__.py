"""Compositions that are started once, and the checks of what the API says about them."""
