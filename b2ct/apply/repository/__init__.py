"""Reads bundles from folders and repositories, and builds repositories."""
