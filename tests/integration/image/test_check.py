"""``check_image`` on disks that the real tools made: clean ones, dirty ones, damaged ones, hostile ones."""

from __future__ import annotations

import hashlib
import os
import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.check import check_image
from b2ct.apply.image.check_container import ImageError
from b2ct.apply.image.qcow2 import DiskFormat
from b2ct.errors import UsageError
from b2ct.plan.image import BootMode, Contextualization, Family, Method
from b2ct.plan.image_record import ImageRecord, record_name, render_record
from tests.rigs.disk_images import DISK_TOOLS, DiskSpec, make_qcow2, make_raw_disk
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from b2ct.apply.image.check import ImageCheck


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean image; leave it unchanged."""
    need_tool(*DISK_TOOLS)
    folder = tmp_path_factory.mktemp("golden")
    return make_qcow2(make_raw_disk(DiskSpec(), folder / "disk.raw"), folder / "golden-1.0.qcow2")


def failed(report: ImageCheck) -> dict[str, str]:
    """The failed checks and what they say."""
    return {check.name: check.detail for check in report.checks if not check.ok}


def check_disk(spec: DiskSpec, folder: Path) -> ImageCheck:
    need_tool(*DISK_TOOLS)
    return check_image(make_raw_disk(spec, folder / "disk.raw"))


def test_a_clean_image_passes_every_check(golden: Path) -> None:
    report = check_image(golden)
    assert failed(report) == {}
    assert report.ok
    assert (report.format, report.compressed, report.table) == (DiskFormat.QCOW2, True, "gpt")
    assert report.virtual_bytes == 55 * 1024**2
    assert report.bytes == golden.stat().st_size
    assert [(p.number, p.file_system) for p in report.partitions] == [(1, ""), (2, "vfat"), (3, "ext4")]
    assert report.boot == (BootMode.BIOS, BootMode.UEFI)
    assert report.system == "Debian GNU/Linux 12 (bookworm)"
    assert report.contextualization == (Contextualization.CLOUD_INIT,)
    assert (report.agent, report.cvmfs) == (True, False)
    assert [c.detail for c in report.checks if c.name == "CVMFS client"] == ["absent: workers need it"]
    assert report.sha256 == hashlib.sha256(golden.read_bytes()).hexdigest()


def test_nothing_is_written_to_the_image_and_nothing_is_left_behind(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = golden.read_bytes()
    check_image(golden)
    assert golden.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


def test_a_raw_disk_is_looked_into_as_well(tmp_path: Path) -> None:
    report = check_disk(DiskSpec(), tmp_path)
    assert failed(report) == {}
    assert (report.format, report.virtual_bytes) == (DiskFormat.RAW, report.bytes)


def test_an_mbr_disk_is_read(tmp_path: Path) -> None:
    report = check_disk(DiskSpec(label="dos"), tmp_path)
    assert failed(report) == {}
    assert (report.table, report.boot) == ("mbr", (BootMode.BIOS, BootMode.UEFI))


def test_the_firmware_is_found(tmp_path: Path) -> None:
    for number, (bios, uefi, wanted) in enumerate(
        [(True, False, (BootMode.BIOS,)), (False, True, (BootMode.UEFI,)), (False, False, ())]
    ):
        (tmp_path / str(number)).mkdir()
        report = check_disk(DiskSpec(bios=bios, uefi=uefi), tmp_path / str(number))
        assert report.boot == wanted
        assert ("boot" in failed(report)) is (wanted == ())


DIRT: dict[str, tuple[DiskSpec, str, str]] = {
    "machine id": (DiskSpec(files={"etc/machine-id": "c0ffee" * 5 + "c0\n"}), "machine id", "/etc/machine-id is set"),
    "host key": (DiskSpec(files={"etc/ssh/ssh_host_ed25519_key": "secret"}), "host keys", "ssh_host_ed25519_key"),
    "root's password": (
        DiskSpec(files={"etc/shadow": "root:$6$salt$hash:1::::::\n"}),
        "accounts",
        "root has a pass",
    ),
    "no password": (DiskSpec(files={"etc/shadow": "root:*:1::::::\nguest::1::::::\n"}), "accounts", "guest needs no"),
    "no shadow": (DiskSpec(files={"etc/shadow": None}), "accounts", "cannot be read"),
    "seed": (DiskSpec(files={"var/lib/systemd/random-seed": "x" * 512}), "leftovers", "random-seed"),
    "root's key": (DiskSpec(files={"root/.ssh/authorized_keys": "ssh-ed25519 A"}), "leftovers", "authorized_keys"),
    "somebody's key": (DiskSpec(files={"home/anna/.ssh/id_ed25519": "x"}), "leftovers", "/home/anna/.ssh/id_ed25519"),
    "somebody's words": (DiskSpec(files={"root/.bash_history": "x"}), "leftovers", "/root/.bash_history"),
    "a password": (DiskSpec(files={"home/anna/.netrc": "x"}), "leftovers", "/home/anna/.netrc"),
    "a host's certificate": (DiskSpec(files={"etc/grid-security/hostkey.pem": "x"}), "leftovers", "hostkey.pem"),
    "cloud-init's state": (
        DiskSpec(files={"var/lib/cloud/instances/i/x": "x"}),
        "leftovers",
        "/var/lib/cloud/instances",
    ),
    "a log": (DiskSpec(files={"var/log/apt/history.log": "Start"}), "logs", "/var/log/apt/history.log (5 bytes)"),
    "packages": (DiskSpec(files={"var/cache/apt/archives/a.deb": "x" * 2**20 + "x"}), "caches", "/var/cache/apt"),
    "no context": (DiskSpec(files={"usr/bin/cloud-init": None}), "contextualization", "neither"),
    "two contexts": (DiskSpec(files={"usr/sbin/one-contextd": "x"}), "contextualization", "remove one"),
    "disabled": (DiskSpec(files={"etc/cloud/cloud-init.disabled": ""}), "contextualization", "neither"),
    "unit": (
        DiskSpec(files={"usr/lib/systemd/system/b2ct-vm-scratch.service": None}),
        "agent",
        "scratch.service is miss",
    ),
    "not enabled": (
        DiskSpec(links={"etc/systemd/system/multi-user.target.wants/b2ct-vm-agent.service": None}),
        "agent",
        "not enabled",
    ),
    "no system": (DiskSpec(files={"usr/lib/os-release": None}), "system", "no os-release can be read (ext4, vfat"),
    "CVMFS without autofs": (DiskSpec(files={"usr/bin/cvmfs2": "x"}), "CVMFS client", "no autofs"),
}


@pytest.mark.parametrize("case", DIRT)
def test_what_makes_an_image_unfit_is_found(tmp_path: Path, case: str) -> None:
    spec, name, words = DIRT[case]
    found = failed(check_disk(spec, tmp_path))
    assert list(found) == [name]
    assert words in found[name]
    assert "$6$" not in str(found)


def test_an_image_without_the_agent_is_fit(tmp_path: Path) -> None:
    report = check_disk(DiskSpec(files={"usr/libexec/b2ct-vm/agent.pyz": None}), tmp_path)
    assert report.ok
    assert not report.agent


def test_one_context_and_cvmfs_are_found(tmp_path: Path) -> None:
    files = {"usr/bin/cloud-init": None, "usr/sbin/one-contextd": "x", "usr/bin/cvmfs2": "x", "etc/auto.master": "x"}
    report = check_disk(DiskSpec(files=files), tmp_path)
    assert report.ok
    assert report.contextualization == (Contextualization.ONE_CONTEXT,)
    assert report.cvmfs


def test_hostile_names_and_texts_are_shown_harmlessly(tmp_path: Path) -> None:
    files = {
        "usr/lib/os-release": 'PRETTY_NAME="\x1b[31mred $(reboot)"\nID="\n',
        "var/log/\x1b[2J\nx (loop0)'\"": "log",
        "var/log/-l": "log",
        "etc/ssh/ssh_host_\x07_key": "x",
    }
    report = check_disk(DiskSpec(files=files), tmp_path)
    assert report.system == "[31mred $(reboot)"
    found = failed(report)
    assert set(found) == {"host keys", "logs"}
    assert all(text.isprintable() for text in found.values())


def test_a_symbolic_link_never_leads_out_of_the_disk(tmp_path: Path) -> None:
    links = {"etc/os-release": "(host)/etc/os-release", "etc/machine-id": "/../../../../etc/passwd"}
    files = {"usr/lib/os-release": None, "etc/machine-id": None}
    assert list(failed(check_disk(DiskSpec(files=files, links=links), tmp_path))) == ["system"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    links = {"etc/os-release": "os-release", "var/log/round": "."}
    assert "system" not in failed(check_disk(DiskSpec(links=links), tmp_path))


# ---- the file


def test_a_backing_file_is_refused_and_not_followed(golden: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.qcow2"
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", golden, overlay])
    found = failed(check_image(overlay))
    assert f"a difference to another file, {golden}" in found["stands alone"]
    assert set(found) == {"stands alone", "consistency", "inside"}


def test_an_image_that_leans_on_itself_ends(golden: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.qcow2"
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", golden, image])
    run_tool(["qemu-img", "rebase", "-u", "-F", "qcow2", "-b", image, image])
    assert "a difference to another file" in failed(check_image(image))["stands alone"]


def test_data_elsewhere_encryption_and_snapshots_are_found(tmp_path: Path) -> None:
    need_tool(*DISK_TOOLS)
    external, secret, snap = (tmp_path / f"{name}.qcow2" for name in ("external", "secret", "snap"))
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/data", external, "1M"])
    # LUKS measures the processor when it is made, which fails on a busy one
    key = ["--object", "secret,id=s,data=x", "-o", "encrypt.format=aes,encrypt.key-secret=s"]
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", *key, secret, "1M"])
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", snap, "1M"])
    run_tool(["qemu-img", "snapshot", "-c", "before", snap])
    assert "in another file" in failed(check_image(external))["stands alone"]
    assert "encrypted" in failed(check_image(secret))["stands alone"]
    assert "1 snapshots" in failed(check_image(snap))["stands alone"]


def test_a_name_that_lies_is_found(golden: Path, tmp_path: Path) -> None:
    raw, qcow2 = tmp_path / "disk.qcow2", tmp_path / "disk.raw"
    make_raw_disk(DiskSpec(), tmp_path / "x.img").rename(raw)
    qcow2.write_bytes(golden.read_bytes())
    assert failed(check_image(raw)) == {"format": "raw, and its name says qcow2"}
    assert failed(check_image(qcow2)) == {"format": "qcow2, and its name says raw"}


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.7, 0.97])
def test_a_truncated_image_is_found(golden: Path, tmp_path: Path, fraction: float) -> None:
    image = tmp_path / "short.qcow2"
    image.write_bytes(golden.read_bytes()[: int(golden.stat().st_size * fraction)])
    assert "inside" in failed(check_image(image))


def test_wrong_reference_counts_are_found(golden: Path, tmp_path: Path) -> None:
    data = bytearray(golden.read_bytes())
    (table_at,) = struct.unpack_from(">Q", data, 48)
    (block_at,) = struct.unpack_from(">Q", data, table_at)
    struct.pack_into(">4H", data, block_at, 7, 0, 1, 9)
    image = tmp_path / "counts.qcow2"
    image.write_bytes(data)
    assert "qemu-img check finds" in failed(check_image(image))["consistency"]


def test_the_header_is_damaged_in_many_ways_without_a_traceback(golden: Path, tmp_path: Path) -> None:
    data = golden.read_bytes()
    image = tmp_path / "damaged.qcow2"
    words = ((4, 1), (4, 9), (20, 0), (20, 60), (24, 2**31), (32, 1), (36, 2**31), (44, 7), (56, 2**31), (72, 7))
    for at, value in words:
        damaged = bytearray(data)
        struct.pack_into(">I", damaged, at, value)
        image.write_bytes(damaged)
        assert not check_image(image).ok, at
    for length in (4, 20, 71, 80):
        image.write_bytes(data[:length])
        assert "header" in str(failed(check_image(image)))


def test_a_huge_virtual_disk_is_not_unpacked(tmp_path: Path) -> None:
    need_tool(*DISK_TOOLS)
    image = tmp_path / "huge.qcow2"
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", image, "512T"])
    assert "cannot be unpacked" in failed(check_image(image))["inside"]


@pytest.mark.parametrize(
    ("head", "name"),
    [(b"\x1f\x8b\x08", "gzip"), (b"KDMV", "vmdk"), (bytes(0x8001) + b"CD001", "iso9660")],
)
def test_other_formats_are_named(tmp_path: Path, head: bytes, name: str) -> None:
    need_tool(*DISK_TOOLS)
    image = tmp_path / "image.img"
    image.write_bytes(head + bytes(4096))
    assert f"{name}; only qcow2 and raw can be used" in failed(check_image(image))["format"]


def test_text_and_noise_are_no_disks(tmp_path: Path) -> None:
    need_tool(*DISK_TOOLS)
    image = tmp_path / "image.img"
    for data in (b"hello", b"x" * 511, os.urandom(100_000), bytes(100_000)):
        image.write_bytes(data)
        assert {"partitions", "boot", "system"} <= set(failed(check_image(image)))


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    cases = {"none": "No such file", "empty": "is empty", "fifo": "not a file", ".": "not a file", "loop": "Too many"}
    for name, words in cases.items():
        with pytest.raises(ImageError, match=words):
            check_image(tmp_path / name)


def test_a_name_is_never_taken_for_a_protocol_or_an_option(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("nbd:localhost:1", "-rf.qcow2", "json:{}", "a b'\"$(x),y=(z)"):
        (tmp_path / name).write_bytes(golden.read_bytes())
        assert check_image(type(golden)(name)).ok, name


# ---- the partition table


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (512 + 60, "checksum is wrong"),
        (1024 + 8, "checksum is wrong"),
        (446 + 4, "protective MBR"),
        (-512 + 60, "backup"),
    ],
)
def test_a_damaged_partition_table_is_found(tmp_path: Path, at: int, words: str) -> None:
    need_tool(*DISK_TOOLS)
    disk = make_raw_disk(DiskSpec(), tmp_path / "disk.raw")
    data = bytearray(disk.read_bytes())
    data[at] = data[at] ^ 0x5A
    disk.write_bytes(data)
    assert words in failed(check_image(disk))["partitions"]


def test_a_disk_that_grew_is_found(tmp_path: Path) -> None:
    need_tool(*DISK_TOOLS)
    disk = make_raw_disk(DiskSpec(), tmp_path / "disk.raw")
    os.truncate(disk, disk.stat().st_size + 2**20)
    assert failed(check_image(disk)) == {
        "partitions": "the GPT's backup is not at the end of the disk: sgdisk -e moves it"
    }


def test_overlapping_partitions_are_found(tmp_path: Path) -> None:
    disk = make_raw_disk(DiskSpec(label="dos"), tmp_path / "disk.raw")
    data = bytearray(disk.read_bytes())
    struct.pack_into("<I", data, 446 + 16 + 12, 2**20)
    disk.write_bytes(data)
    found = failed(check_image(disk))["partitions"]
    assert "partition 2 reaches out of the disk; partitions 2 and 3 overlap" in found


# ---- checksums and the record


def make_record(image: Path, **changes: object) -> ImageRecord:
    data = image.read_bytes()
    record = ImageRecord(
        name="golden",
        version="1.0",
        title="Golden",
        family=Family.DEBIAN,
        release="12",
        file=image.name,
        bytes=len(data),
        virtual_bytes=55 * 1024**2,
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        boot=(BootMode.BIOS,),
        contextualization=Contextualization.CLOUD_INIT,
        method=Method.DEBOOTSTRAP,
        built_from=("http://deb.example.org",),
    )
    return record.model_copy(update=changes)


@pytest.fixture
def recorded(golden: Path, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Writes a record with changes beside a copy of the clean image, and checks it."""

    def check(**changes: object) -> dict[str, str]:
        image = tmp_path / golden.name
        image.write_bytes(golden.read_bytes())
        (tmp_path / record_name(image.name)).write_text(render_record(make_record(image, **changes)))
        return failed(check_image(image))

    return check


def test_a_record_that_fits_passes(recorded: Callable[..., dict[str, str]]) -> None:
    assert recorded() == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256": "0" * 64}, "its sha256 is"),
        ({"md5": "0" * 32}, "its md5 is"),
        ({"bytes": 7}, "the record says 7"),
        ({"virtual_bytes": 7}, "its virtual size is"),
        ({"file": "other.qcow2"}, "the record says other.qcow2"),
    ],
)
def test_a_record_of_another_file_is_found(
    recorded: Callable[..., dict[str, str]], changes: dict[str, object], words: str
) -> None:
    found = recorded(**changes)
    assert list(found) == ["record"]
    assert words in found["record"]


def test_a_record_that_is_no_record_is_said(golden: Path, tmp_path: Path) -> None:
    image = tmp_path / golden.name
    image.write_bytes(golden.read_bytes())
    for text in (b"", b"[]", b"{", b'{"name": 3}', b"\xff\xfe", b"&a [*a]"):
        (tmp_path / record_name(image.name)).write_bytes(text)
        assert list(failed(check_image(image))) == ["record"], text


def test_firmware_that_the_record_promises_has_to_be_there(tmp_path: Path) -> None:
    need_tool(*DISK_TOOLS)
    raw = make_raw_disk(DiskSpec(uefi=False), tmp_path / "disk.raw")
    image = make_qcow2(raw, tmp_path / "image.qcow2")
    record = make_record(image, boot=(BootMode.BIOS, BootMode.UEFI))
    (tmp_path / record_name(image.name)).write_text(render_record(record))
    assert failed(check_image(image)) == {"boot": "nothing to boot with UEFI"}


def test_a_checksum_is_compared(golden: Path) -> None:
    data = golden.read_bytes()
    for kind in ("sha256", "sha512"):
        assert check_image(golden, checksum=f"{kind}:{hashlib.new(kind, data).hexdigest()}").ok
        assert list(failed(check_image(golden, checksum=f"{kind}:{'0' * 64}"))) == ["checksum"]
    assert "give it as sha256:HEX" in failed(check_image(golden, checksum="crc:7"))["checksum"]


def test_progress_reaches_the_whole(golden: Path) -> None:
    seen: list[tuple[int, int]] = []
    check_image(golden, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (golden.stat().st_size, golden.stat().st_size)


def test_a_missing_program_is_named(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("b2ct.apply.tool.find_program", lambda _name: None)
    with pytest.raises(UsageError, match="missing: qemu-img, grub-fstest, blkid"):
        check_image(golden)


# ---- other file systems


def test_xfs_is_read_as_well(tmp_path: Path) -> None:
    need_tool(*DISK_TOOLS, "mkfs.xfs")
    disk, proto, release = tmp_path / "disk.raw", tmp_path / "proto", tmp_path / "os-release"
    release.write_text('PRETTY_NAME="AlmaLinux 10"\n')
    proto.write_text(f"/\n0 0\nd--755 0 0\netc d--755 0 0\nos-release ---644 0 0 {release}\n$\n$\n")
    with disk.open("wb") as file:
        file.truncate(320 * 1024**2)
    # EL10 makes its file systems with large extent counters
    run_tool(["mkfs.xfs", "-q", "-i", "nrext64=1", "-p", proto, disk])
    report = check_image(disk)
    assert report.system == "AlmaLinux 10"
    assert failed(report)["partitions"] == "no partition table"


def test_a_file_system_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    disk = make_raw_disk(DiskSpec(), tmp_path / "disk.raw")
    data = bytearray(disk.read_bytes())
    data[6 * 1024**2 + 1024 + 0x60] |= 0x04  # a journal device of its own's feature bit, which GRUB does not know
    data[6 * 1024**2 + 1024 + 0x63] |= 0x80
    disk.write_bytes(data)
    assert "no os-release can be read (ext4, vfat; " in failed(check_image(disk))["system"]


# ---- programs that fail


@pytest.mark.parametrize(("body", "words"), [("exec sleep 60", "took too long"), ("kill -SEGV $$", "failed with exit")])
def test_a_reader_that_hangs_or_crashes_is_a_finding(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    program = tmp_path / "grub-fstest"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("b2ct.apply.image.check_files._TIMEOUT_S", 0.5)
    assert words in failed(check_image(golden))["inside"]


def test_without_room_to_unpack_it_is_said(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    assert "No such file or directory" in failed(check_image(golden))["inside"]
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("b2ct.apply.image.check.shutil.disk_usage", lambda _path: SimpleNamespace(free=0))
    assert "TMPDIR names another folder" in failed(check_image(golden))["inside"]
