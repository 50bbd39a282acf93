"""The files of a look-alike: everything that stands on the stock ISO before it is mastered.

What the boot ISOs carry was read in lorax's templates: EL7 and EL8 have neither .discinfo nor .treeinfo, EL9 and EL10 have
a .discinfo whose second line is the bare version (``9.6``). DVDs are made by pungi, whose .discinfo says
``AlmaLinux 9.6`` and which adds the .treeinfo. EL6's boot ISO, made by anaconda's mk-images, has neither.
"""

from __future__ import annotations

import hashlib
import os
import random
from typing import TYPE_CHECKING

from tests.rigs import stock_loaders as loaders
from tests.rigs.debian import load_kernel
from tests.rigs.initramfs import make_initrd
from tests.rigs.process import EPOCH
from tests.rigs.stock_menus import render_grub, render_grub_legacy, render_isolinux

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rigs.stock_release import Release

MIB = 1024 * 1024

_ISOLINUX = "/usr/lib/ISOLINUX/isolinux.bin"
_C32 = "/usr/lib/syslinux/modules/bios"


def write_boot_tree(tree: Path, release: Release, padding_mib: int) -> None:
    """Fill ``tree`` with what the boot ISO holds; stage 2 grows by ``padding_mib``."""
    generation = release.kind.generation
    pxeboot = tree / "images/pxeboot"
    pxeboot.mkdir(parents=True)
    (pxeboot / "vmlinuz").write_bytes(load_kernel().vmlinuz.read_bytes())
    (pxeboot / "initrd.img").write_bytes(make_initrd(generation).read_bytes())
    write_noise(tree / release.stage2_path, 3 * MIB + padding_mib * MIB, seed=generation)
    if generation < 10:
        _write_isolinux(tree, release)
    else:
        _write_grub_bios(tree, release)
    _write_efi(tree, release)
    if generation >= 9:
        (tree / ".discinfo").write_text(f"{EPOCH}.000000\n{release.version}\nx86_64\n", encoding="ascii")


def write_dvd_tree(tree: Path, release: Release, padding_mib: int, files: int) -> None:
    """Fill ``tree`` with what a DVD holds beyond the boot ISO: ``files`` packages, metadata, texts, .treeinfo."""
    repositories = ("",) if release.kind.generation == 7 else ("AppStream", "BaseOS")
    for number, name in enumerate(_package_names(release.kind.generation, files)):
        home = tree / repositories[number % len(repositories)] / "Packages"
        _write(home / name, hashlib.sha256(name.encode()).digest() * (1 + number % 40))
    for number in range(0, padding_mib, 64):
        home = tree / repositories[0] / "Packages"
        size = min(64, padding_mib - number) * MIB
        write_noise(
            home / f"large-package-{number // 64}-1.0-1.el{release.kind.generation}.x86_64.rpm",
            size,
            seed=1000 + number,
        )
    for repository in repositories:
        _write(tree / repository / "repodata/repomd.xml", b'<?xml version="1.0"?>\n<repomd/>\n')
        for table in ("primary", "filelists", "other", "comps"):
            name = hashlib.sha256(f"{repository} {table}".encode()).hexdigest()
            _write(tree / repository / f"repodata/{name}-{table}.xml.gz", name.encode() * 200)
    for text in ("EULA", "GPL", f"RPM-GPG-KEY-{release.product.replace(' ', '-')}-{release.version.split('.')[0]}"):
        _write(tree / text, f"{text} of {release.title} stands here.\n".encode())
    _write(
        tree / "media.repo",
        f"[InstallMedia]\nname={release.title}\nmediaid={EPOCH}.000000\nmetadata_expire=-1\n".encode(),
    )
    _write(tree / ".discinfo", f"{EPOCH}.000000\n{release.title}\nx86_64\nALL\n".encode())
    _write(tree / ".treeinfo", _treeinfo(tree, release, repositories))


def write_noise(path: Path, size: int, *, seed: int) -> None:
    """Write ``size`` bytes that no compressor shrinks, the same for the same ``seed``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    block = random.Random(seed).randbytes(min(size, 16 * MIB))  # noqa: S311 (deterministic filler, no secret)
    with path.open("wb") as stream:
        for number, start in enumerate(range(0, size, len(block) or 1)):
            stream.write((number.to_bytes(8, "big") + block[8:])[: size - start])


def set_times(tree: Path) -> None:
    """Give everything in ``tree`` the rigs' time stamp and plain modes."""
    for path in (tree, *tree.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH, EPOCH))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_isolinux(tree: Path, release: Release) -> None:
    home = tree / "isolinux"
    home.mkdir()
    for module in ("ldlinux", "libcom32", "libutil", "vesamenu"):
        (home / f"{module}.c32").write_bytes(_read(f"{_C32}/{module}.c32"))
    (home / "isolinux.bin").write_bytes(_read(_ISOLINUX))
    (home / "isolinux.cfg").write_bytes(render_isolinux(release))
    (home / "boot.msg").write_bytes(b"\x0c\x18splash.lss\n\n -  Press the \x0f01<ENTER>\x0f07 key to begin.\n\n")
    (home / ("splash.jpg" if release.kind.generation == 6 else "splash.png")).write_bytes(loaders.make_splash())
    write_noise(home / "memtest", 150_000, seed=1)
    for name in ("vmlinuz", "initrd.img"):
        (home / name).hardlink_to(tree / "images/pxeboot" / name)


def _write_grub_bios(tree: Path, release: Release) -> None:
    home = tree / "boot/grub2"
    (home / "i386-pc").mkdir(parents=True)
    (home / "grub.cfg").write_bytes(render_grub(release, bios=True))
    for source in sorted(loaders.GRUB_BIOS.iterdir()):
        if source.suffix in {".mod", ".lst", ".img"}:
            (home / "i386-pc" / source.name).write_bytes(source.read_bytes())
    loaders.make_grub_eltorito(tree / "images/eltorito.img")


def _write_efi(tree: Path, release: Release) -> None:
    """EFI/BOOT of the tree, and images/efiboot.img with the same files."""
    home = tree / "EFI/BOOT"
    home.mkdir(parents=True)
    if release.kind.generation == 6:
        loaders.make_grub_efi_legacy(home / "BOOTX64.efi")
        (home / "BOOTX64.conf").write_bytes(render_grub_legacy(release))
        write_noise(home / "splash.xpm.gz", 60_000, seed=2)
    else:
        (home / "fonts").mkdir()
        (home / "fonts/unicode.pf2").write_bytes(loaders.FONT.read_bytes())
        (home / "BOOTX64.EFI").write_bytes(loaders.SHIM.read_bytes())
        (home / "mmx64.efi").write_bytes(loaders.MOK_MANAGER.read_bytes())
        loaders.make_grub_efi(home / "grubx64.efi")
        (home / "grub.cfg").write_bytes(render_grub(release, bios=False))
        if release.kind.generation in {8, 9}:
            (home / "BOOT.conf").write_bytes(render_grub(release, bios=False))
    (home / "BOOTX64.cfg").unlink(missing_ok=True)
    set_times(home)
    loaders.make_esp(tree / "images/efiboot.img", home)


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:  # noqa: PTH123 (system paths come as strings)
        return stream.read()


def _package_names(generation: int, count: int) -> list[str]:
    """File names of ``count`` packages: most of 25 to 60 characters, some of the 90 that real DVDs reach."""
    stems = (
        "kernel-modules-extra",
        "glibc-langpack",
        "python3-requests-oauthlib",
        "texlive-collection-latexrecommended",
        "gcc-toolset",
    )
    names = []
    for number in range(count):
        stem = f"{stems[number % len(stems)]}-{number:05d}"
        if number % 50 == 7:
            stem += "-with-a-rather-long-name-as-some-language-packs-have"
        names.append(f"{stem}-{1 + number % 9}.{number % 31}-{1 + number % 4}.el{generation}.x86_64.rpm")
    return names


def _treeinfo(tree: Path, release: Release, repositories: tuple[str, ...]) -> bytes:
    """.treeinfo in productmd's format 1.2 (EL8+), or lorax's older one (EL7)."""
    images = ["images/efiboot.img", release.stage2_path, "images/pxeboot/initrd.img", "images/pxeboot/vmlinuz"]
    sums = [f"{name} = sha256:{_sha256(tree / name)}" for name in images if (tree / name).exists()]
    kernel = ["initrd = images/pxeboot/initrd.img", "kernel = images/pxeboot/vmlinuz"]
    sections: list[tuple[str, list[str]]] = [
        ("checksums", sums),
        ("images-x86_64", kernel),
        ("images-xen", kernel),
        ("stage2", [f"mainimage = {release.stage2_path}"]),
    ]
    general = ["arch = x86_64", f"family = {release.product}", f"name = {release.title}", f"timestamp = {EPOCH}"]
    if release.kind.generation == 7:
        sections.insert(0, ("general", [*general, f"version = {release.version}", "variant = ", "packagedir = "]))
    else:
        short = release.volume_id.split("-", maxsplit=1)[0]
        sections += [
            (
                "general",
                [
                    *general,
                    "packagedir = BaseOS/Packages",
                    "repository = BaseOS",
                    "variant = BaseOS",
                    f"version = {release.version}",
                ],
            ),
            ("header", ["type = productmd.treeinfo", "version = 1.2"]),
            ("release", [f"name = {release.product}", f"short = {short}", f"version = {release.version}"]),
            (
                "tree",
                [
                    "arch = x86_64",
                    f"build_timestamp = {EPOCH}",
                    "platforms = x86_64,xen",
                    f"variants = {','.join(repositories)}",
                ],
            ),
            *(
                (f"variant-{name}", [f"id = {name}", f"packages = {name}/Packages", f"repository = {name}"])
                for name in repositories
            ),
        ]
    return "\n".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections).encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
