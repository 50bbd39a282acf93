"""Debian's kernel, taken out of its package without installing it."""

from __future__ import annotations

import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

from tests.rigs.cache import make_cached
from tests.rigs.process import RigError, run_tool

MODULES = """
crct10dif_common crct10dif_generic crc-t10dif crc64 crc64-rocksoft scsi_common scsi_mod t10-pi sd_mod cdrom sr_mod
usb-common usbcore xhci-hcd xhci-pci ehci-hcd ehci-pci uhci-hcd usb-storage uas libata ata_piix libahci ahci
virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_scsi
fat vfat isofs nls_cp437 nls_iso8859-1 nls_ascii nls_utf8
"""
"""Modules that find an install medium in QEMU, in an order in which each finds those that it needs already loaded."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel and the modules of :data:`MODULES`, as files."""

    version: str
    vmlinuz: Path
    modules: tuple[Path, ...]
    """In load order."""


def load_kernel(modules: str = MODULES) -> Kernel:
    """Debian's current amd64 kernel; downloaded with apt-get the first time, from the cache afterwards."""
    package = _kernel_package()
    version = package.split("=")[0].removeprefix("linux-image-")
    home = make_cached("kernel", (package, modules), lambda out: _extract(package, modules, out))
    return Kernel(version, home / "vmlinuz", tuple(home / f"{name}.ko" for name in modules.split()))


def _kernel_package() -> str:
    """``name=version`` of the package that linux-image-amd64 stands for."""
    text = run_tool(["apt-cache", "show", "--no-all-versions", "linux-image-amd64"])
    found = re.search(r"^Depends: (linux-image-\S+) \(= (\S+)\)", text, re.MULTILINE)
    if found is None:
        raise RigError("apt-cache knows no linux-image-amd64; run apt-get update")
    return f"{found[1]}={found[2]}"


def _extract(package: str, modules: str, out: Path) -> None:
    """Put vmlinuz and the modules of ``package`` into ``out``."""
    run_tool(["apt-get", "download", "-q", package], cwd=out)
    deb = next(out.glob("*.deb"))
    wanted = {f"{name}.ko" for name in modules.split()}
    with (
        Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=PIPE) as unpack,
        tarfile.open(fileobj=unpack.stdout, mode="r|") as archive,
    ):
        for member in archive:
            name = Path(member.name).name
            is_kernel = name.startswith("vmlinuz-")
            source = archive.extractfile(member) if is_kernel or name in wanted else None
            if source is not None:
                with (out / ("vmlinuz" if is_kernel else name)).open("wb") as target:
                    shutil.copyfileobj(source, target)
    deb.unlink()
    missing = sorted({"vmlinuz", *wanted} - {path.name for path in out.iterdir()})
    if missing:
        raise RigError(f"{package} lacks {', '.join(missing)}")
