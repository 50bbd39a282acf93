"""Makes golden images: disks that become workers by their context alone."""
