"""What the checks read from the service model: the shapes, values that satisfy them, and rules of outputs."""
