"""The checks of ports and addresses."""
