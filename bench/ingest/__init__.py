"""What an encoder's stream costs, and how long a keyframe takes from the encoder to a viewer's picture."""
