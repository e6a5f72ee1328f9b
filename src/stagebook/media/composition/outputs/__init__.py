"""The outputs of a composition: what takes the encoded pictures and sound, and sends them to a destination."""
