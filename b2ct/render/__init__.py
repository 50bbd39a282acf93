"""Pure functions from a plan to the files it stands for."""
