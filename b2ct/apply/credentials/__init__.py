"""Answers the virtual machines that ask for credentials."""
