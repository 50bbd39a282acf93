"""Consistency of the EFI boot image and of the boot menus with what they name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from b2ct.apply.checks import NOTHING, Verdict, judge
from b2ct.apply.iso.menus import open_esp
from b2ct.plan.iso_facts import MenuHome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.apply.iso.checks import Subject
    from b2ct.apply.iso.fat import FatVolume
    from b2ct.plan.iso_facts import MenuFile
    from b2ct.plan.menus import MenuEntry

_LABEL = re.compile(r"(?:hd:|live:CD|live:)LABEL=([^:\s]+)")
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")
_KICKSTART = re.compile(r"(?:inst\.)?ks=hd:LABEL=([^:\s]+)(?::(\S+))?")
_DRIVER_DISK = "OEMDRV"


def _check_esp(subject: Subject) -> Verdict:
    esp = subject.layout.esp
    if esp is None:
        return NOTHING
    volume = open_esp(subject.source, esp)
    free = volume.free_clusters() * volume.cluster_size
    return judge(fat_problems(volume), f"FAT{volume.bits} of {esp.size} bytes, {free} free, {esp.home}")


def fat_problems(volume: FatVolume) -> list[str]:
    """Return what is wrong with a FAT file system: tables that differ, chains that are short, shared or lost."""
    problems = [] if volume.tables_agree() else ["the copies of the file allocation table differ"]
    owners: dict[int, str] = {}
    for path, entry in (("/", volume.root), *volume.walk()):
        chain = volume.chain(entry.cluster) if entry.cluster else []
        if not entry.is_directory and len(chain) != -(-entry.size // volume.cluster_size):
            problems.append(f"{path} has {entry.size} bytes in {len(chain)} clusters")
        shared = [cluster for cluster in chain if cluster in owners]
        if shared:
            problems.append(f"{path} shares cluster {shared[0]} with {owners[shared[0]]}")
        owners.update(dict.fromkeys(chain, path))
    lost = volume.clusters - volume.free_clusters() - volume.bad_clusters() - len(owners)
    if lost:
        problems.append(f"{lost} clusters belong to no file")
    return problems


def _check_copies(subject: Subject) -> Verdict:
    """A menu in the EFI boot image is the same as the one at that path of the tree: firmware may take either."""
    menus = [menu for menu, _ in subject.menus]
    tree = {menu.path.casefold(): menu.data for menu in menus if menu.home is MenuHome.TREE}
    pairs = [menu for menu in menus if menu.home is MenuHome.ESP and menu.path.casefold() in tree]
    if not pairs:
        return NOTHING
    problems = [
        f"{m.path} differs between the EFI boot image and the tree" for m in pairs if tree[m.path.casefold()] != m.data
    ]
    return judge(problems, ", ".join(menu.path for menu in pairs))


def unescape(label: str) -> str:
    r"""Return a label as udev wrote it, ``\x20`` for a blank, in plain text."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), label)


def _check_labels(subject: Subject) -> Verdict:
    volume_id = subject.layout.volume_id
    problems = []
    count = 0
    for file, menu in subject.menus:
        labels = list(menu.labels)
        for entry in menu.entries:
            labels += [unescape(match[1]) for argument in entry.arguments for match in _LABEL.finditer(argument)]
        count += len(labels)
        wrong = sorted({label for label in labels if label not in (volume_id, _DRIVER_DISK)})
        problems += [f"{file.home} {file.path} looks for {label!r}, but the volume is {volume_id!r}" for label in wrong]
    return judge(problems, f"{count} name {volume_id!r}") if count else NOTHING


def _check_kernels(subject: Subject) -> Verdict:
    """Kernels and initial RAM disks of all entries are in the tree."""
    wanted = {path for file, menu in subject.menus for entry in menu.entries for path in _boot_files(file, entry)}
    if not wanted:
        return NOTHING
    missing = sorted(path for path in wanted if subject.layout.trees[0].find(path, ignore_case=True) is None)
    return judge([f"{path} is not on the ISO" for path in missing], f"{len(wanted)} files")


def _boot_files(file: MenuFile, entry: MenuEntry) -> Iterator[str]:
    """Yield the files that an entry loads; isolinux starts from its own directory."""
    for path in (entry.kernel, *entry.initrds):
        if not path or path.endswith((".c32", ".bin", ".0", ".bss")) or "$" in path or path.startswith("("):
            continue
        yield path.strip("/") if path.startswith("/") else f"{file.path.rpartition('/')[0]}/{path}"


def kickstart_paths(subject: Subject) -> set[str]:
    """Return the paths on this ISO that menu entries name as kickstart."""
    found = set()
    for _, menu in subject.menus:
        for argument in (argument for entry in menu.entries for argument in entry.arguments):
            match = _KICKSTART.fullmatch(argument)
            if match and unescape(match[1]) == subject.layout.volume_id:
                found.add(unescape(match[2] or "/ks.cfg").strip("/"))
    return found


def _check_kickstarts(subject: Subject) -> Verdict:
    paths = kickstart_paths(subject)
    if not paths:
        return NOTHING
    missing = sorted(path for path in paths if subject.layout.trees[0].find(path) is None)
    return judge([f"{path} is not on the ISO" for path in missing], f"{len(paths)} files")


def _check_menus(subject: Subject) -> Verdict:
    entries = sum(bool(entry.kernel) for _, menu in subject.menus for entry in menu.entries)
    problems = [] if entries else ["no boot menu starts a kernel: this is no install ISO"]
    return judge(problems, f"{len(subject.menus)} menus, {entries} entries start a kernel")


CHECKS = (
    ("boot menus", _check_menus),
    ("EFI boot image", _check_esp),
    ("menu copies", _check_copies),
    ("labels in menus", _check_labels),
    ("kernels in menus", _check_kernels),
    ("kickstarts in menus", _check_kickstarts),
)
