"""Registers a site with its central scheduler."""
