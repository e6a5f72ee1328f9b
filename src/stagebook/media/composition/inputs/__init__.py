"""The inputs of a composition: decoders of the publishers' video and audio."""
