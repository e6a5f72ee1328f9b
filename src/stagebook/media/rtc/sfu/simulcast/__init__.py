"""Simulcast: the layers of a publisher's video, and the tracks of a source that follow one of them each."""
