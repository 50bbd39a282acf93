"""The agent inside a worker VM: reads its context, checks what a worker needs, and reports when it is ready."""

__version__ = "0.1.0"

RELEASED_S = 1763683200
"""No honest clock is before this: 2025-11-21, seconds since 1970."""
