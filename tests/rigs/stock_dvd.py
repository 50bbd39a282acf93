"""The files that a look-alike DVD holds beyond the boot ISO: packages, their metadata, texts, .discinfo, .treeinfo."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tests.rigs.process import EPOCH
from tests.rigs.stock_tree import MIB, write_file, write_noise

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rigs.stock_release import Release

_STEMS = "kernel-modules-extra glibc-langpack python3-requests-oauthlib texlive-collection-latexrecommended gcc-toolset"
_LARGE_MIB = 64


def write_dvd_tree(tree: Path, release: Release, *, boot_tree: Path, padding_mib: int, files: int) -> None:
    """Fill ``tree`` with what a DVD adds to ``boot_tree``: ``files`` small packages, ``padding_mib`` of large ones."""
    generation = release.kind.generation
    repositories = ("",) if generation == 7 else ("AppStream", "BaseOS")
    for number, name in enumerate(_package_names(generation, files)):
        home = tree / repositories[number % len(repositories)] / "Packages"
        write_file(home / name, hashlib.sha256(name.encode()).digest() * (1 + number % 40))
    for start in range(0, padding_mib, _LARGE_MIB):
        name = f"Packages/large-package-{start}-1.0-1.el{generation}.x86_64.rpm"
        write_noise(tree / repositories[0] / name, min(_LARGE_MIB, padding_mib - start) * MIB, seed=1000 + start)
    for repository in repositories:
        write_file(tree / repository / "repodata/repomd.xml", b'<?xml version="1.0"?>\n<repomd/>\n')
        for table in ("primary", "filelists", "other", "comps"):
            name = hashlib.sha256(f"{repository} {table}".encode()).hexdigest()
            write_file(tree / repository / f"repodata/{name}-{table}.xml.gz", name.encode() * 200)
    key = f"RPM-GPG-KEY-{release.product.replace(' ', '-')}-{generation}"
    for name in ("EULA", "GPL", key):
        write_file(tree / name, f"{name} of {release.title} stands here.\n".encode())
    write_file(tree / "media.repo", f"[InstallMedia]\nname={release.title}\nmediaid={EPOCH}.000000\n".encode())
    write_file(tree / ".discinfo", f"{EPOCH}.000000\n{release.title}\nx86_64\nALL\n".encode())
    write_file(tree / ".treeinfo", _render_treeinfo(boot_tree, release).encode())


def _package_names(generation: int, count: int) -> list[str]:
    """File names of ``count`` packages: most of 30 to 65 characters, some of the 100 and more that real DVDs reach."""
    stems = _STEMS.split()
    names = []
    for number in range(count):
        long = "-with-a-rather-long-name-as-some-language-packs-have" if number % 50 == 3 else ""
        version = f"{1 + number % 9}.{number % 31}-{1 + number % 4}"
        names.append(f"{stems[number % len(stems)]}-{number:05d}{long}-{version}.el{generation}.x86_64.rpm")
    return names


def _render_treeinfo(boot_tree: Path, release: Release) -> str:
    """.treeinfo in productmd's format 1.2 (EL8+), or in the one before it (EL7)."""
    images = ("images/efiboot.img", release.stage2_path, "images/pxeboot/initrd.img", "images/pxeboot/vmlinuz")
    sums = "".join(f"{name} = sha256:{_sha256(boot_tree / name)}\n" for name in images)
    return (_TREEINFO_EL7 if release.kind.generation == 7 else _TREEINFO).format(
        product=release.product,
        version=release.version,
        short=release.volume_id.split("-", maxsplit=1)[0],
        time=EPOCH,
        stage2=release.stage2_path,
        sums=sums,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


_IMAGES = """\
[images-x86_64]
initrd = images/pxeboot/initrd.img
kernel = images/pxeboot/vmlinuz

[images-xen]
initrd = images/pxeboot/initrd.img
kernel = images/pxeboot/vmlinuz

[stage2]
mainimage = {stage2}
"""

_TREEINFO_EL7 = f"""\
[general]
name = {{product}}-{{version}}
family = {{product}}
timestamp = {{time}}.0
variant =
version = {{version}}
packagedir =
arch = x86_64

[checksums]
{{sums}}
{_IMAGES}"""

_TREEINFO = f"""\
[checksums]
{{sums}}
[general]
arch = x86_64
family = {{product}}
name = {{product}} {{version}}
packagedir = BaseOS/Packages
platforms = x86_64,xen
repository = BaseOS
timestamp = {{time}}
variant = BaseOS
variants = AppStream,BaseOS
version = {{version}}

[header]
type = productmd.treeinfo
version = 1.2

{_IMAGES}
[release]
name = {{product}}
short = {{short}}
version = {{version}}

[tree]
arch = x86_64
build_timestamp = {{time}}
platforms = x86_64,xen
variants = AppStream,BaseOS

[variant-AppStream]
id = AppStream
name = AppStream
packages = AppStream/Packages
repository = AppStream
type = variant
uid = AppStream

[variant-BaseOS]
id = BaseOS
name = BaseOS
packages = BaseOS/Packages
repository = BaseOS
type = variant
uid = BaseOS
"""
