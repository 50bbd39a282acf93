"""Which disk %pre takes, and that it takes none when in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rigs.pre_machine import GB, FakeDisk, Machine

if TYPE_CHECKING:
    from pathlib import Path

STICK = FakeDisk("sda", 16 * GB, "usb", model="Ultra Fit", removable=True, partitions=2, label="B2CT-MEDIUM")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "usb3 not a bus")


def chosen(machine: Machine, *rules: str, minimum: int = 65536) -> str:
    """Return the disks that the rules take, without anything on the console."""
    with machine.boot(disk_rules=rules, disk_count=len(rules), disk_min_mib=minimum) as pre:
        disks = pre.answers()["DISKS"]
        assert pre.seen == ""
        return disks


def refusal(machine: Machine, *rules: str, count: int | None = None) -> str:
    """Return the console of a machine where the rules take nothing; it waits and has written no answers."""
    with machine.boot(disk_rules=rules, disk_count=count or len(rules)) as pre:
        text = pre.expect("Disk 1 of . to erase")
        assert "Nothing has been erased yet." in text
        assert "No disk was chosen." in text
        assert pre.running()
        assert not (pre.run_dir / "answers.sh").exists()
        return text


def test_stick_is_sda_and_the_disk_sdb(machine: Machine) -> None:
    machine.add_disk(STICK).add_disk(FakeDisk("sdb", 480 * GB))
    assert chosen(machine, "smallest") == "sdb"


@pytest.mark.parametrize(
    ("rule", "disk"),
    [
        ("size=500000000000", "sda"),
        ("size=480000000000", "sda"),
        ("size=1000000000000", "nvme0n1"),
        ("smallest", "sda"),
        ("wwn=0x5000c500a1b2c3d4", "sda"),
        ("wwn=5000C500A1B2C3D4", "sda"),
        ("wwn=eui.0025385b71b00001", "nvme0n1"),
        ("wwn=0025385b71b00001", "nvme0n1"),
        ("serial=S3Z", "nvme0n1"),
        ("path=/dev/disk/by-path/pci-2", "nvme0n1"),
        ("path=/dev/sda", "sda"),
        ("size=1000000000000,smallest", "nvme0n1"),
        ("serial=Z1,size=500000000000", "sda"),
    ],
)
def test_each_kind_of_rule(machine: Machine, rule: str, disk: str) -> None:
    machine.add_disk(FakeDisk("sda", 500 * GB, serial="Z1", wwn="0x5000c500a1b2c3d4"))
    machine.add_disk(FakeDisk("nvme0n1", 1000 * GB, "nvme"))
    machine.write("sys/block/nvme0n1/wwid", "eui.0025385b71b00001")
    machine.write("sys/block/nvme0n1/device/serial", "S3Z     ")
    assert chosen(machine, rule) == disk


@pytest.mark.parametrize(
    "rule",
    ["size=800000000000", "size=530000000000", "size=470000000000", "wwn=0x5000c500a1b2c3d", "serial=z1", "serial=Z",
     "path=/dev/sdz", "path=/dev", "path=", "serial=Z1,size=1000000000000", "size=", "size=x", "biggest", "",
     "serial=*", "wwn=*"],
)  # fmt: skip
def test_rule_that_fits_nothing(machine: Machine, rule: str) -> None:
    machine.add_disk(FakeDisk("sda", 500 * GB, serial="Z1", wwn="0x5000c500a1b2c3d4"))
    assert "must fit exactly 1 disk(s), but fits 0." in refusal(machine, rule)


def test_two_equal_disks_are_refused(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda")).add_disk(FakeDisk("sdb")).add_disk(FakeDisk("sdc", 900 * GB))
    assert "must fit exactly 1 disk(s), but fits 2: sda sdb." in refusal(machine, "smallest")
    assert "but fits 2: sda sdb." in refusal(machine, "size=500000000000")


def test_smallest_skips_a_disk_too_small_for_the_layout(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda", 64 * GB)).add_disk(FakeDisk("sdb", 500 * GB))
    assert chosen(machine, "smallest") == "sdb"
    assert "refused: smaller than the 65536 MiB that the layout needs" in refusal(machine, "path=/dev/sda")


def test_mirror_of_two_equal_disks(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda")).add_disk(FakeDisk("sdb")).add_disk(FakeDisk("sdc", 900 * GB))
    assert chosen(machine, "smallest", "smallest") == "sda sdb"
    assert chosen(machine, "size=500000000000", "size=500000000000") == "sda sdb"
    assert chosen(machine, "path=/dev/sdc", "path=/dev/sda") == "sdc sda"


def test_mirror_is_refused_unless_exactly_two_fit(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda", 400 * GB)).add_disk(FakeDisk("sdb")).add_disk(FakeDisk("sdc"))
    assert "must fit exactly 2 disk(s), but fits 3: sda sdb sdc." in refusal(machine, "smallest", "smallest")
    assert "Two rules fit the same disk, sda." in refusal(machine, "smallest", "path=/dev/sda")
    assert "has 1 disk rule(s) for this host, not 2." in refusal(machine, "smallest", count=2)


USB = FakeDisk("sda", 4000 * GB, "usb")
NEVER = {
    "refused: USB disk": USB,
    "refused: removable": FakeDisk("sda", removable=True),
    "refused: read-only": FakeDisk("sda", read_only=True),
    "refused: no medium in it": FakeDisk("sda", 0),
    "refused: install medium (volume B2CT-MEDIUM)": FakeDisk("sda", partitions=2, label="B2CT-MEDIUM"),
    "install medium (volume B2CT-MEDIUM)": FakeDisk("sda", label="B2CT-MEDIUM", label_link=False),
    "refused: holds an ISO 9660 file system": FakeDisk("sda", iso9660=True),
    "mounted on /run/install/repo": FakeDisk("sda", partitions=3, mounted="/run/install/repo"),
    "mounted on /mnt/stage2": FakeDisk("sda", mounted="/mnt/stage2"),
    "mounted on /mnt/isodir": FakeDisk("cciss!c0d0", bus="cciss", partitions=1, mounted="/mnt/isodir"),
    "mounted on /run/initramfs/live": FakeDisk(
        "sda", partitions=1, holder="LVM-x", holder_mounted="/run/initramfs/live"
    ),
    "refused: one path of a multipath disk": FakeDisk("sda", holder="mpath-3600508b1001c"),
    "one path of a multipath disk, which": FakeDisk("sda", properties={"ID_FS_TYPE": "mpath_member"}),
    "refused: member of a firmware RAID set": FakeDisk("sda", properties={"ID_FS_TYPE": "isw_raid_member"}),
}


@pytest.mark.parametrize("reason", NEVER)
def test_never_erased(machine: Machine, reason: str) -> None:
    disk = NEVER[reason]
    machine.add_disk(disk)
    assert reason in refusal(machine, "smallest")
    assert reason in refusal(machine, f"path=/dev/{disk.name.replace('!', '/')}")
    machine.add_disk(FakeDisk("sdb", 8000 * GB))
    assert chosen(machine, "smallest") == "sdb"


def test_a_person_cannot_take_what_is_never_erased(machine: Machine) -> None:
    machine.add_disk(USB).add_disk(FakeDisk("sdb"))
    with machine.boot(disk_rules=[]) as pre:
        for typed, why in [
            ("sda", "sda is refused: USB disk."),
            ("sdc", 'There is no disk "sdc".'),
            ("/dev/sdb", 'There is no disk "/dev/sdb".'),
            ("sd?", 'There is no disk "sd?".'),
            ("*", 'There is no disk "\\*".'),
            ("sda sdb", 'There is no disk "sda sdb".'),
            ("$(reboot)", "There is no disk"),
            ("yes", "There is no disk"),
        ]:
            pre.expect("Disk 1 of 1 to erase")
            pre.send(typed)
            pre.expect(why.replace("?", "\\?").replace("$", "\\$").replace("(", "\\(").replace(")", "\\)"))
        pre.expect("Disk 1 of 1 to erase")
        pre.send("sdb")
        pre.expect("Everything on sdb will be ERASED")
        pre.send("yes")
        assert pre.answers()["DISKS"] == "sdb"


@pytest.mark.parametrize("label", ["CentOS 7 x86_64", "RHEL-8-10-0-BaseOS-x86_64"])
def test_stock_labels(machine: Machine, label: str) -> None:
    machine.add_disk(FakeDisk("sda", partitions=1, label=label)).add_disk(FakeDisk("sdb"))
    with machine.boot(media_label=label) as pre:
        assert pre.answers()["DISKS"] == "sdb"


def test_two_paths_to_one_disk(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda", wwn="0x600508b1001c4d5e")).add_disk(FakeDisk("sdb", wwn="0x600508b1001c4d5e"))
    assert "refused: same WWN as sdb: two paths to one disk" in refusal(machine, "path=/dev/sda")


@pytest.mark.parametrize(
    "disk", [FakeDisk("sda", bus="fc"), FakeDisk("sda", bus="iscsi"), FakeDisk("mmcblk0", bus="mmc")]
)
def test_shared_storage_and_memory_cards_only_by_name(machine: Machine, disk: FakeDisk) -> None:
    machine.add_disk(disk)
    assert "but fits 0" in refusal(machine, "smallest")
    assert chosen(machine, f"path=/dev/{disk.name}") == disk.name
    machine.add_disk(FakeDisk("vda", 900 * GB, "virtio"))
    assert chosen(machine, "smallest") == "vda"


def test_old_installation_does_not_stand_in_the_way(machine: Machine) -> None:
    machine.add_disk(
        FakeDisk("sda", partitions=3, holder="LVM-old", label="boot", properties={"ID_FS_TYPE": "linux_raid_member"})
    )
    assert chosen(machine, "smallest") == "sda"


def test_no_disks_but_other_block_devices(machine: Machine) -> None:
    for name in ("loop0", "ram0", "sr0", "zram0", "md127", "fd0", "nvme0c0n1", "mmcblk0boot0"):
        machine.add_disk(FakeDisk(name))
    text = refusal(machine, "smallest")
    assert "no disk was found" in text
    assert "loop0" not in text


def test_el6_smart_array(machine: Machine) -> None:
    machine.add_disk(FakeDisk("cciss!c0d0", bus="cciss", partitions=2))
    assert chosen(machine, "path=/dev/cciss/c0d0") == "cciss/c0d0"


def test_without_udevadm(machine: Machine) -> None:
    (machine.root / "bin/udevadm").unlink()
    machine.add_disk(FakeDisk("sda", partitions=2, label="B2CT-MEDIUM")).add_disk(FakeDisk("sdb", iso9660=True))
    machine.add_disk(FakeDisk("vda", bus="virtio"))
    machine.write("sys/block/vda/serial", "DEADBEEF")
    assert chosen(machine, "smallest") == "vda"
    assert chosen(machine, "serial=DEADBEEF") == "vda"


def test_disk_with_hostile_names(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda", model="\x1b[2J`reboot`$(reboot)'\"", serial="a*b", wwn="*")).add_disk(
        FakeDisk("sdb")
    )
    text = refusal(machine, "smallest")
    assert "\x1b" not in text
    assert "?[2J`reboot`$(reb" in text


def test_person_chooses_where_rules_do_not(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda")).add_disk(FakeDisk("sdb"))
    with machine.boot(disk_rules=["size=500000000000"]) as pre:
        pre.expect("Disk 1 of 1 to erase")
        pre.send("sda")
        pre.expect("Type yes to erase, anything else to choose again")
        pre.send("y")
        pre.expect("Disk 1 of 1 to erase")
        pre.send("sdb")
        pre.expect("Type yes to erase")
        pre.send("yes")
        assert pre.answers()["DISKS"] == "sdb"


def test_person_chooses_a_mirror(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda")).add_disk(FakeDisk("sdb", 900 * GB))
    with machine.boot(disk_rules=[], disk_count=2) as pre:
        pre.expect("Disk 1 of 2 to erase")
        pre.send("sdb")
        pre.expect("Disk 2 of 2 to erase")
        pre.send("sdb")
        pre.expect("sdb is chosen already")
        pre.send("sda")
        pre.expect("Everything on sdb sda will be ERASED")
        pre.send("yes")
        assert pre.answers()["DISKS"] == "sdb sda"


def test_look_again_after_a_disk_was_plugged_in(machine: Machine) -> None:
    machine.add_disk(STICK)
    with machine.boot(disk_rules=["smallest"]) as pre:
        pre.expect("fits 0")
        pre.expect("Disk 1 of 1 to erase")
        pre.send("r")
        pre.expect("Disk 1 of 1 to erase")
        machine.add_disk(FakeDisk("sdb"))
        pre.send("r")
        assert pre.answers()["DISKS"] == "sdb"


def test_silence_and_closed_terminal_never_erase(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda"))
    with machine.boot(disk_rules=[], ask_timeout_s=1) as pre:
        for _ in range(3):
            pre.expect("Disk 1 of 1 to erase")
        pre.key(b"\x04\x04")  # end of file, as from a terminal that was closed
        pre.expect("Disk 1 of 1 to erase")
        pre.key(b"\x03\x1c\x1a")  # Ctrl-C, Ctrl-\\, Ctrl-Z
        pre.expect("Disk 1 of 1 to erase")
        pre.send("sda")
        for _ in range(2):
            pre.expect("Type yes to erase")
        assert pre.running()
        assert not (pre.run_dir / "answers.sh").exists()


def test_no_terminal_waits(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda")).add_disk(FakeDisk("sdb"))
    with machine.boot(terminal=False) as pre:
        pre.expect_log("/dev/tty cannot be opened. Waiting; nothing has been erased.")
        assert pre.running()
        assert not (pre.run_dir / "answers.sh").exists()


def test_firmware(machine: Machine) -> None:
    machine.add_disk(FakeDisk("sda"))
    with machine.boot() as pre:
        assert pre.answers()["FIRMWARE"] == "bios"
    (machine.root / "sys/firmware/efi").mkdir(parents=True)
    with machine.boot() as pre:
        assert pre.answers()["FIRMWARE"] == "uefi"
