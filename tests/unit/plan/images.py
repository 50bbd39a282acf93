"""An image for tests of plans and texts."""

from __future__ import annotations

from pydantic import ByteSize

from b2ct.plan.image import Family, ImageDescription, Method, Repository, Source
from b2ct.plan.image_disk import make_disk_plan

EPOCH = 1_700_000_000

DESCRIPTION = ImageDescription(
    name="worker-x",
    version="1.0.0",
    title="Worker",
    family=Family.DEBIAN,
    release="12",
    method=Method.DEBOOTSTRAP,
    source=Source(url="http://mirror.example/debian", security_url="http://mirror.example/security", suite="bookworm"),
    size=ByteSize(128 * 1024**2),
    packages=("python3",),
    repositories=(
        Repository(
            name="cernvm",
            url="http://cvmfs.example/apt",
            suite="bookworm-prod main",
            key="http://cvmfs.example/key.gpg",
        ),
    ),
    repository_packages=("cvmfs",),
    warm=("belle.cern.ch", "grid.cern.ch"),
)
"""A Debian guest with everything that there is."""

PLAN = make_disk_plan(DESCRIPTION, EPOCH)
