"""Talks to an OpenNebula front-end."""
