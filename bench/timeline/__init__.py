"""The timeline of a large session in the console, in a real browser."""
