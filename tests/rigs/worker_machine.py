"""Builds golden images from this machine's own mirror, and starts them as OpenNebula would: context CD, OneGate."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

from b2ct.apply.image.build import build_image
from b2ct.apply.image.builder import ImageRequest
from b2ct.apply.image.guest_boot import find_accelerator
from b2ct.assets import Assets
from b2ct.plan.image import load_image_description
from tests.rigs.boot import Firmware, firmware_arguments
from tests.rigs.context_cd import make_context_cd
from tests.rigs.fresh import find_mirror, read_sources
from tests.rigs.machine import start_machine
from tests.rigs.opennebula.onegate import OneGateServer
from tests.rigs.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from b2ct.plan.image import ImageDescription
    from b2ct.plan.image_record import ImageRecord
    from tests.rigs.machine import Machine

VM_ID = 7
HOST_NAME = "worker-7"
DISK = "12G"
"""More than the image has, for its root to grow into."""

_TOKEN = "the+token/of=7"  # noqa: S105 (it opens only the rig's OneGate)
_MAC = "02:00:0a:00:02:0f"
_HOST = "10.0.2.2"
"""Where the guest finds this machine (QEMU, user network)."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A running worker that has said READY=YES."""

    machine: Machine
    ready_s: float
    """Seconds from the machine's first instruction to READY."""
    ssh: tuple[str, ...]
    gate: OneGateServer

    def attributes(self) -> dict[str, str]:
        """What it has told OneGate."""
        return dict(self.gate.machines[VM_ID].attributes)

    def wait_off(self) -> None:
        """Wait until it has turned itself off; raises RigError when it does not in time."""
        self.machine.wait_until("power-off", lambda: self.machine.process.poll() is not None)

    def run(self, command: str) -> str:
        """What ``command`` writes in the guest; raises RigError when it fails."""
        return run_tool([*self.ssh, command])


def make_request(description: ImageDescription, out: Path, *, with_repositories: bool = False) -> ImageRequest:
    """What builds an image from the mirrors in this machine's apt sources."""
    suite, sources = str(description.source.suite), read_sources()
    return ImageRequest(
        description,
        Assets(),
        out,
        mirror=find_mirror(sources, suite),
        security_mirror=find_mirror(sources, f"{suite}-security"),
        with_repositories=with_repositories,
    )


@contextmanager
def apt_proxy() -> Iterator[None]:
    """This machine's apt proxy, if there is one, is that of every program within."""
    proxy = run_tool(["apt-config", "shell", "P", "Acquire::http::Proxy"])
    with patch.dict(os.environ, {"http_proxy": proxy.split("'")[1], "no_proxy": "127.0.0.1"} if proxy else {}):
        yield


def build_from_own_mirror(name: str, out: Path) -> ImageRecord:
    """Build the image ``name`` without its repositories."""
    with apt_proxy():
        return build_image(make_request(load_image_description(Assets(), name), out))


@contextmanager
def start_worker(
    image: Path, firmware: Firmware, folder: Path, *, context: Mapping[str, str], timeout_s: float
) -> Iterator[Worker]:
    """Start a worker of ``image``, which stays as it is, and wait for READY; ``folder`` is new.

    It has a blank second disk, and the CONTEXT of a VM template with what OpenNebula puts into it.

    Raises:
        RigError: it did not say READY=YES in time; carries what its serial port said.
    """
    folder.mkdir()
    run_tool(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"])
    disk, port = folder / "disk.qcow2", _free_port()
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", disk, DISK])
    scratch = folder / "scratch.qcow2"
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", scratch, DISK])
    with OneGateServer() as gate:
        gate.add_vm(VM_ID, _TOKEN)
        cd = make_context_cd(folder / "context.iso", _fill(context, gate.endpoint, folder), _TOKEN)
        arguments = [*firmware_arguments(firmware, folder), "-smp", "2", "-device", "virtio-rng-pci"]
        arguments += ["-drive", f"if=virtio,format=qcow2,file={disk}"]
        arguments += ["-drive", f"if=virtio,format=qcow2,file={scratch}"]
        arguments += [
            "-drive",
            f"if=none,id=cd,media=cdrom,readonly=on,format=raw,file={cd}",
            "-device",
            "ide-cd,drive=cd",
        ]
        arguments += ["-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{port}-:22"]
        arguments += ["-device", f"virtio-net-pci,netdev=n,mac={_MAC}"]
        with start_machine(arguments, timeout_s=timeout_s, accelerator=find_accelerator()) as machine:
            started = time.monotonic()
            machine.monitor.execute("cont")
            machine.wait_until("READY", lambda: gate.machines[VM_ID].attributes.get("READY") == "YES")
            yield Worker(machine, time.monotonic() - started, _ssh(folder, port), gate)


def _fill(context: Mapping[str, str], endpoint: str, folder: Path) -> dict[str, str]:
    """What OpenNebula makes of CONTEXT for a VM with one card, when it has a OneGate and TOKEN is wanted."""
    port = endpoint.rsplit(":", 1)[1]
    named = {
        "$NAME": HOST_NAME,
        "$USER[SSH_PUBLIC_KEY]": (folder / "key.pub").read_text(encoding="ascii").strip(),
    }
    return {
        "DISK_ID": "2",
        "ETH0_MAC": _MAC,
        "ETH0_IP": "10.0.2.15",
        "ETH0_MASK": "255.255.255.0",
        "ETH0_GATEWAY": _HOST,
        "VMID": str(VM_ID),
        "TOKEN": "YES",
        "ONEGATE_ENDPOINT": f"http://{_HOST}:{port}",
        **{key: named.get(value, value) for key, value in context.items()},
    }


def _ssh(folder: Path, port: int) -> tuple[str, ...]:
    options = ("BatchMode=yes", "StrictHostKeyChecking=no", f"UserKnownHostsFile={folder}/known", "ConnectTimeout=60")
    words = tuple(word for option in options for word in ("-o", option))
    return ("ssh", "-q", "-F", "none", "-i", str(folder / "key"), "-p", str(port), *words, "root@127.0.0.1")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
