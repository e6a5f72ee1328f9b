"""The command line. `command_line` has the entry point; each other module has the commands of one subject."""
