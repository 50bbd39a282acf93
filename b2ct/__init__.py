"""B2CT: from bare metal to a scientific cloud, described by one site file."""

__version__ = "0.1.0"
