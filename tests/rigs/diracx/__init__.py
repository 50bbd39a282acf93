"""A real DiracX on loopback."""
