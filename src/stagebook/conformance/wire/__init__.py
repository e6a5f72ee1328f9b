"""Requests to the server that is checked: signed or not, valid or not, and within a budget of calls."""
