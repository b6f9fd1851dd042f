"""Faults of a Redis broker, of the way to it, and of the workers on it."""
