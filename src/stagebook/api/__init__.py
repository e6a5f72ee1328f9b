"""The doors: where the world comes in. They translate; they decide nothing."""
