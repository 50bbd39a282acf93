"""Builds a site's ISO from a look-alike, through the public command."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from typing import TYPE_CHECKING

import pycdlib

from b2ct.cli.main import main as b2ct
from tests.rigs.stock_release import make_release

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rigs.stock_release import StockKind

DISTROS = {"CentOS": "centos", "AlmaLinux": "almalinux", "Rocky Linux": "rocky"}
"""The site file's word for each product of the look-alikes."""

OPENNEBULA = {6: "4.14", 7: "5.8", 8: "6.10", 9: "7.2", 10: "7.2"}
"""An OpenNebula version that runs on each generation."""

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVSJQKUmqP8wgPaVDYGQ4hgT6G2ZSKIPfpdtLTJ0rXo admin@example"


def write_site(kind: StockKind, folder: Path) -> Path:
    """Write a site file for a look-alike's distribution: a front-end and a node."""
    release = make_release(kind)
    site = {
        "site": "lab",
        "domain": "example.org",
        "media": {"distro": DISTROS[release.product], "version": release.version},
        "opennebula": {"version": OPENNEBULA[kind.generation]},
        "networks": {"service": {"cidr": "10.10.0.0/24", "gateway": "10.10.0.1", "dns": ["10.10.0.2"]}},
        "hosts": [
            {
                "name": "cn01",
                "role": "frontend",
                "services": ["squid"],
                "nics": [{"mac": "52:54:00:00:01:01"}],
                "links": [{"network": "service", "address": "10.10.0.11"}],
                "disks": [{"serial": "S3Z8NB0K"}],
            },
            {"name": "hv01", "role": "node"},
        ],
        "users": [{"name": "admin", "ssh_keys": [KEY]}],
    }
    path = folder / "site.yaml"
    path.write_text(json.dumps(site, indent=1))
    return path


def build_media(kind: StockKind, stock: Path, folder: Path, *options: str) -> Path:
    """Return the ISO that ``b2ct build-iso`` makes of a look-alike, with these options."""
    out = folder / "b2ct.iso"
    code = b2ct(["build-iso", str(write_site(kind, folder)), "--stock", str(stock), "--out", str(out), *options])
    assert code == 0, f"b2ct build-iso: exit code {code}"
    return out


def read_sha256(iso: Path, path: str) -> str:
    """Return the checksum of a file on an ISO, as pycdlib reads it."""
    image = pycdlib.PyCdlib()
    image.open(str(iso))
    try:
        data = BytesIO()
        image.get_file_from_iso_fp(data, rr_path=path)
        return hashlib.sha256(data.getvalue()).hexdigest()
    finally:
        image.close()
