"""The part `drawing`: what drawing and mixing cost."""
