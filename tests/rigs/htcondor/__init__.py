"""A real HTCondor pool: its central manager in one container, a virtual machine's stand-in in another."""
