"""The checks that are made from the service model, for every operation alike."""
