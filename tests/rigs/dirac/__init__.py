"""A real DIRAC 8 on loopback: configuration server, virtual machine manager, and the whole workload management."""
