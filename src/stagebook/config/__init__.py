"""The settings of a server: their names, types, defaults and rules, and the sources of their values."""
