"""The wiring of the media engine that is not the own one."""
