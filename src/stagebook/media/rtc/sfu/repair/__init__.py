"""What a viewer is sent beside its media: retransmissions, redundancy, and padding that probes its line."""
