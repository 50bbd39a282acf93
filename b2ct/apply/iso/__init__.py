"""Install ISOs: read, verified, and changed by patching bytes."""
