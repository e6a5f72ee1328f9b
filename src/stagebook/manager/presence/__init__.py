"""The participants of each stage, published to the participants that watch it."""
