"""A machine as %pre sees it: a made-up sysfs tree with the programs of EL6's install environment, and its console."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIBRARY = Path(__file__).parents[2] / "kickstart" / "snippets" / "pre"
PARTS = tuple(sorted(path.name for path in LIBRARY.glob("*.sh")))

ANSWERS = ("HOST", "ROLE", "NIC", "NIC_DEVICE", "ADDRESS", "PREFIX", "GATEWAY", "DNS", "DISKS", "FIRMWARE")

GB = 10**9

BASH = os.environ.get("B2CT_TEST_BASH") or shutil.which("bash") or "bash"
"""The shell that runs the library; set ``B2CT_TEST_BASH`` to try an old one (3.2, 4.1 of EL6, ...)."""

PATIENCE_S = 60
"""How long a test waits for text on the console before it fails; no test depends on how fast anything is."""

PLACES = {
    "ata": "pci0000:00/0000:00:1f.2/ata{n}/host{n}/target{n}:0:0/{n}:0:0:0",
    "usb": "pci0000:00/0000:00:14.0/usb2/2-{n}/2-{n}:1.0/host{n}/target{n}:0:0/{n}:0:0:0",
    "nvme": "pci0000:00/0000:00:1d.{n}/0000:3d:00.0/nvme/nvme{n}",
    "virtio": "pci0000:00/0000:00:0{n}.0/virtio{n}",
    "fc": "pci0000:00/0000:05:00.0/host{n}/rport-{n}:0-2/target{n}:0:0/{n}:0:0:{n}",
    "iscsi": "platform/host{n}/session{n}/target{n}:0:0/{n}:0:0:1",
    "mmc": "pci0000:00/0000:00:1a.0/mmc_host/mmc{n}/mmc{n}:0001",
    "cciss": "pci0000:00/0000:06:00.0/cciss{n}",
}
"""Where devices of a kind sit below /sys/devices."""


@dataclass
class FakeDisk:
    """One whole disk; ``name`` is the kernel's (``sda``, ``nvme0n1``, ``cciss!c0d0``), ``size`` in bytes."""

    name: str
    size: int = 500 * GB
    bus: str = "ata"
    model: str = "ACME DISK"
    serial: str = ""
    wwn: str = ""
    removable: bool = False
    read_only: bool = False
    partitions: int = 0
    mounted: str = ""
    """Mount point of the last partition, or of the disk when it has none."""
    label: str = ""
    """Volume label (on the first partition, or on the disk when it has none), as udev found it."""
    label_link: bool = True
    """Whether /dev/disk/by-label points here."""
    iso9660: bool = False
    holder: str = ""
    """``dm/uuid`` of a device-mapper device on top of it."""
    holder_mounted: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    """More of what udev knows."""


class Machine:
    """The tree below ``root``; disks and network cards are added to it, then ``boot`` runs the library in it."""

    def __init__(self, root: Path) -> None:
        need_tool("setsid", "dd")
        self.root = root
        self.count = 0
        self.mounts = ["22 1 0:20 / / rw,relatime - rootfs rootfs rw"]
        for folder in (
            "sys/block",
            "sys/class/net",
            "proc/self",
            "dev/disk/by-label",
            "dev/disk/by-path",
            "udev",
            "bin",
        ):
            (root / folder).mkdir(parents=True)
        self.write("proc/cmdline", "BOOT_IMAGE=vmlinuz inst.ks=hd:LABEL=X:/ks.cfg quiet")
        for tool in ("mkdir", "mv", "dd"):  # of EL6's stage 2, as all that is used must be
            (root / "bin" / tool).symlink_to(shutil.which(tool) or tool)
        self.program(
            "udevadm",
            f"for a; do case $a in --name=*) f=${{a##*/dev/}}; f='{root}'/udev/${{f//\\//!}};; esac; done\n"
            '[ "$1 $2" = "info --query=property" ] && [ -e "$f" ] || exit 0\n'
            'while read -r l; do printf "%s\\n" "$l"; done <"$f"',
        )
        (root / "dev/tty").symlink_to("/dev/tty")
        self.program("sleep", f"exec {shutil.which('sleep')} 0.1")
        self.program("chvt", f'echo "$1" >>"{root}/chvt.log"')
        self.program("ip", f'echo "$*" >>"{root}/ip.log"')
        self.flush_mounts()

    def program(self, name: str, text: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!{BASH}\n{text}\n")
        path.chmod(0o755)

    def write(self, path: str, text: str | int) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{text}\n")

    def flush_mounts(self) -> None:
        self.write("proc/self/mountinfo", "\n".join(self.mounts))

    def mount(self, device: str, place: str) -> None:
        self.mounts.append(f"{30 + len(self.mounts)} 22 {device} / {place} ro,relatime - iso9660 /dev/x ro")
        self.flush_mounts()

    def add_disk(self, disk: FakeDisk) -> Self:
        self.count += 1
        n, node = self.count, disk.name.replace("!", "/")
        place = f"sys/devices/{PLACES[disk.bus].format(n=n)}"
        home = f"{place}/block/{disk.name}"
        attributes: dict[str, int | str] = {
            "size": disk.size // 512,
            "removable": int(disk.removable),
            "ro": int(disk.read_only),
            "dev": f"8:{16 * n}",
        }
        for name, value in attributes.items():
            self.write(f"{home}/{name}", value)
        self.write(f"{place}/model", f"{disk.model}    ")
        (self.root / home / "holders").mkdir()
        (self.root / home / "device").symlink_to(self.root / place)
        (self.root / "sys/block" / disk.name).symlink_to(self.root / home)
        self._write_node(node, iso9660=disk.iso9660)
        parts = [f"{disk.name}{'p' if disk.name[-1].isdigit() else ''}{i + 1}" for i in range(disk.partitions)]
        for i, part in enumerate(parts):
            self.write(f"{home}/{part}/partition", i + 1)
            self.write(f"{home}/{part}/dev", f"8:{16 * n + i + 1}")
            (self.root / home / part / "holders").mkdir()
            self._write_node(part.replace("!", "/"))
        if disk.mounted:
            self.mount(f"8:{16 * n + len(parts)}", disk.mounted)
        if disk.holder:
            self._add_holder(disk, f"{home}/{parts[-1]}" if parts else home)
        self._write_udev(disk, parts)
        (self.root / "dev/disk/by-path" / f"pci-{n}").symlink_to(self.root / "dev" / node)
        return self

    def _write_node(self, node: str, *, iso9660: bool = False) -> None:
        path = self.root / "dev" / node
        path.parent.mkdir(parents=True, exist_ok=True)
        content = bytearray(40960)
        if iso9660:
            content[32768:32775] = b"\x01CD001\x01"
        path.write_bytes(content)

    def _add_holder(self, disk: FakeDisk, below: str) -> None:
        mapper = self.root / f"sys/devices/virtual/block/dm-{self.count}"
        self.write(f"sys/devices/virtual/block/{mapper.name}/dev", f"253:{self.count}")
        self.write(f"sys/devices/virtual/block/{mapper.name}/dm/uuid", disk.holder)
        (self.root / below / "holders" / mapper.name).symlink_to(mapper)
        (self.root / "sys/block" / mapper.name).symlink_to(mapper)
        if disk.holder_mounted:
            self.mount(f"253:{self.count}", disk.holder_mounted)

    def _write_udev(self, disk: FakeDisk, parts: Sequence[str]) -> None:
        known = {"DEVNAME": f"/dev/{disk.name}", **disk.properties}
        if disk.serial:
            known |= {"ID_SERIAL_SHORT": disk.serial, "ID_SERIAL": f"ACME_{disk.serial}"}
        if disk.wwn:
            known["ID_WWN"] = disk.wwn
        self.write(f"udev/{disk.name}", "\n".join(f"{key}={value}" for key, value in known.items()))
        if disk.label:
            owner = parts[0] if parts else disk.name
            encoded = disk.label.replace(" ", "\\x20")
            with (self.root / "udev" / owner).open("a") as file:
                file.write(f"ID_FS_LABEL_ENC={encoded}\n")
            if disk.label_link:
                (self.root / "dev/disk/by-label" / encoded).symlink_to(self.root / "dev" / owner)

    def add_nic(self, device: str, mac: str, *, speed: int | None = None, driver: str = "igb") -> Self:
        """Add an Ethernet card; with a ``speed`` (Mb/s) it has a link, 0 is a link of unknown speed."""
        home = f"sys/class/net/{device}"
        self.write(f"{home}/address", mac)
        self.write(f"{home}/type", 1)
        self.write(f"{home}/carrier", "" if speed is None else 1)
        if speed is not None:
            self.write(f"{home}/speed", speed or -1)
        bus = self.root / "sys/bus/pci/drivers" / driver
        bus.mkdir(parents=True, exist_ok=True)
        (self.root / home / "device").mkdir()
        (self.root / home / "device/driver").symlink_to(bus)
        return self

    def boot(self, *, terminal: bool = True, own_terminal: str = "", **settings: str | int | Sequence[str]) -> Pre:
        """Start %pre with these ``B2CT_`` settings (lower case, no prefix) on top of ``COMPLETE``.

        The console is the process's own terminal, or is reached by the name ``own_terminal`` in /dev.
        """
        return Pre(self, terminal=terminal, own_terminal=own_terminal, settings={**COMPLETE, **settings})


COMPLETE: dict[str, str | int | Sequence[str]] = {
    "generation": 9,
    "host": "hv01",
    "domain": "example.org",
    "role": "node",
    "ask_timeout_s": 0,
    "tty": "/dev/tty",
    "media_label": "B2CT-MEDIUM",
    "disk_rules": ["smallest"],
    "disk_count": 1,
    "disk_min_mib": 65536,
    "nic": "bond0",
    "address": "10.10.0.11",
    "prefix": "24",
    "gateway": "10.10.0.1",
    "dns": "10.10.0.2",
    "network_cidr": "10.10.0.0/24",
    "hosts_taken": ["cn01=10.10.0.10"],
    "ranges_taken": ["10.10.0.100-10.10.0.150", "10.10.0.200-10.10.0.200"],
}


def assignments(settings: Mapping[str, str | int | Sequence[str]]) -> str:
    """Return the settings as the kickstart writes them: quoted for the shell, arrays in parentheses."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, str | int):
            text = shlex.quote(str(value))
        else:
            text = f"( {' '.join(shlex.quote(word) for word in value)} )"
        lines.append(f"B2CT_{name.upper()}={text}\n")
    return "".join(lines)


class Pre:
    """A running %pre: what its person sees (``expect``), types (``send``, ``key``), and what comes of it."""

    def __init__(
        self,
        machine: Machine,
        *,
        terminal: bool,
        own_terminal: str,
        settings: Mapping[str, str | int | Sequence[str]],
    ) -> None:
        self.run_dir = machine.root / "run"
        self.seen = ""
        self.unread = ""
        script = machine.root / "pre.sh"
        hooks = {"run_dir": str(self.run_dir), "sysroot": str(machine.root)}
        values = " ".join(f'"$B2CT_{name}"' for name in ANSWERS)
        script.write_text(
            assignments({**settings, **hooks})
            + "".join((LIBRARY / part).read_text() for part in PARTS)
            + f"b2ct_pre_main\nprintf '%s\\0' {values} >\"$B2CT_RUN_DIR/left\"\necho back in the log\n"
        )
        self.log = machine.root / "ks-script.log"
        self.master, self.slave = os.openpty()
        if own_terminal:
            (machine.root / "dev" / own_terminal).symlink_to(os.ttyname(self.slave))
        take_terminal, stdin = (["--ctty"], self.slave) if terminal else ([], subprocess.DEVNULL)
        shutil.rmtree(self.run_dir, ignore_errors=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["setsid", *take_terminal, BASH, "-c", 'exec "$0" "$1" </dev/null', BASH, str(script)],
                stdin=stdin,
                stdout=log,
                stderr=log,
                env={"PATH": str(machine.root / "bin")},
                executable=shutil.which("setsid"),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def _read(self, deadline: float) -> bool:
        """Take what the console shows next; False when %pre has ended and all is read."""
        while True:
            ended = self.process.poll() is not None
            ready, _, _ = select.select([self.master], [], [], 0 if ended else 0.05)
            if ready:
                text = os.read(self.master, 65536).decode("utf-8", "replace").replace("\r\n", "\n")
                self.seen += text
                self.unread += text
                return True
            if ended:
                return False
            assert time.monotonic() < deadline, (
                f"nothing more happens after:\n{self.seen}\nlog:\n{self.log.read_text()}"
            )

    def expect(self, pattern: str) -> str:
        """Wait until the console shows ``pattern`` (after what was expected before); return what led up to it."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, self.unread)):
            if not self._read(deadline):
                raise AssertionError(f"%pre ended without {pattern!r}:\n{self.seen}\nlog:\n{self.log.read_text()}")
        before, self.unread = self.unread[: found.end()], self.unread[found.end() :]
        return before

    def expect_log(self, text: str) -> None:
        """Wait until ``text`` is in pre.log."""
        deadline = time.monotonic() + PATIENCE_S
        path = self.run_dir / "pre.log"
        while not (path.exists() and text in path.read_text()):
            if time.monotonic() > deadline:
                raise AssertionError(f"no {text!r} in pre.log:\n{path.read_text()}")
            time.sleep(0.05)

    def key(self, data: bytes) -> None:
        os.write(self.master, data)

    def send(self, line: str) -> None:
        self.key(line.encode() + b"\n")

    def running(self) -> bool:
        return self.process.poll() is None

    def answers(self) -> dict[str, str]:
        """Wait for the end of %pre; return what a clean shell reads from answers.sh."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        assert self.process.wait(PATIENCE_S) == 0
        assert self.log.read_text().endswith("back in the log\n"), self.log.read_text()
        read = subprocess.run(
            [
                BASH,
                "--norc",
                "-c",
                f'. "$0"; for n in {" ".join(ANSWERS)}; do n=B2CT_$n; printf "%s\\0" "${{!n}}"; done',
                self.run_dir / "answers.sh",
            ],
            env={},
            check=True,
            capture_output=True,
        )
        assert read.stderr == b""
        assert read.stdout == (self.run_dir / "left").read_bytes()
        return dict(zip(ANSWERS, read.stdout.decode().split("\0"), strict=False))
