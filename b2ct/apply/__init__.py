"""Everything that touches the world: disks, ISO images, other programs."""
