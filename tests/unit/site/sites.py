"""A small valid site, for tests that change one thing about it."""

from __future__ import annotations

import copy
from typing import Any

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVSJQKUmqP8wgPaVDYGQ4hgT6G2ZSKIPfpdtLTJ0rXo admin@example"

SITE: dict[str, Any] = {
    "site": "torino",
    "domain": "to.infn.it",
    "media": {"distro": "almalinux", "version": "9.6"},
    "opennebula": {"version": "7.2"},
    "networks": {
        "service": {"cidr": "10.10.0.0/24", "gateway": "10.10.0.1", "dns": ["10.10.0.2"]},
        "private": {
            "cidr": "192.168.100.0/24",
            "gateway": "192.168.100.1",
            "dns": ["10.10.0.2"],
            "vlan": "100",
            "ranges": [{"first": "192.168.100.10", "size": "100"}],
        },
    },
    "hosts": [
        {
            "name": "cn01",
            "role": "frontend",
            "services": ["squid"],
            "nics": [{"mac": "52:54:00:00:01:01"}],
            "links": [{"network": "service", "address": "10.10.0.11"}, {"network": "private"}],
            "disks": [{"serial": "S3Z8NB0K"}],
        },
        {
            "name": "hv01",
            "role": "node",
            "nics": [{"name": "eno1"}, {"name": "eno2"}],
            "bonds": [{"name": "bond0", "nics": ["eno1", "eno2"]}],
            "links": [{"network": "service", "address": "10.10.0.21"}, {"network": "private"}],
            "disks": [{"size": "480GB"}],
        },
    ],
    "users": [{"name": "admin", "ssh_keys": [KEY]}],
    "vo": [{"name": "belle", "cvmfs": ["belle.cern.ch"]}],
}


def changed(path: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - any YAML value
    """Return SITE with the value at a dotted path replaced; ``...`` as the value takes it away."""
    data = copy.deepcopy(SITE)
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = data
    for step in way:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    if value is ...:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return data
