"""The commands about the installation: its versions, completion for shells, and what is wrong with the machine."""
