"""Decides every name, size, address, label and id; pure functions and frozen dataclasses."""
