"""Server-side composition: the publishers of a stage in one picture and one sound."""
