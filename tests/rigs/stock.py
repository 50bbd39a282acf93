"""Look-alikes of the stock install ISOs of EL6 to EL10, mastered from Debian's packages as the real ones are.

Options: lorax's ``x86.tmpl`` (boot ISOs of EL7 to EL10), anaconda's ``mk-images`` (EL6), pungi's createiso (DVDs).
xorriso's images come out the same every time; genisoimage and isohybrid (EL6 to EL8) put in the clock and random GUIDs.

Command line: ``python -m tests.rigs.stock el9-boot OUT.iso [--padding-mib N]``
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rigs.process import run_tool
from tests.rigs.stock_dvd import write_dvd_tree
from tests.rigs.stock_loaders import GRUB_BIOS
from tests.rigs.stock_release import StockKind, make_release
from tests.rigs.stock_tree import MIB, set_times, write_boot_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.rigs.stock_release import Release

__all__ = ["StockKind", "main", "make_stock"]

_ISOLINUX = "-b isolinux/isolinux.bin -c isolinux/boot.cat -boot-load-size 4 -boot-info-table -no-emul-boot"
_EFI = "-eltorito-alt-boot -e images/efiboot.img -no-emul-boot"
_ELTORITO = "-b images/eltorito.img -no-emul-boot -boot-load-size 4 -boot-info-table --grub2-boot-info"
_EFI_APPENDED = "-eltorito-alt-boot -e --interval:appended_partition_2:all:: -no-emul-boot"
_ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_DATA_TYPE = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
_ONE_EXTENT_MIB = 4096


def make_stock(  # noqa: PLR0913 (what a test may vary)
    kind: StockKind,
    out: Path,
    *,
    padding_mib: int = 0,
    product: str | None = None,
    version: str | None = None,
    files: int = 400,
) -> Path:
    """Write a look-alike of ``kind`` to ``out`` and return it.

    Args:
        kind: which stock ISO.
        out: where to write it.
        padding_mib: so many MiB of incompressible bytes go into stage 2 (boot ISOs) or into large packages (DVDs).
        product: replaces the usual one (``AlmaLinux`` ...); the volume id follows.
        version: replaces the usual one.
        files: number of small packages on a DVD.

    Raises:
        RigError: a tool failed.
        ValueError: a stage 2 of 4 GiB was asked for before EL9, where ISO 9660 level 1 is used.
    """
    if padding_mib >= _ONE_EXTENT_MIB and kind.generation < 9 and not kind.is_dvd:
        raise ValueError(f"{kind} takes less than {_ONE_EXTENT_MIB} MiB of padding")
    release = make_release(kind, product, version)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".stock-") as tmp:
        work = Path(tmp)
        tree = work / "tree"
        write_boot_tree(tree, release, 0 if kind.is_dvd else padding_mib)
        if kind.is_dvd:
            dvd = tree if kind.generation < 9 else work / "dvd"
            write_dvd_tree(dvd, release, boot_tree=tree, padding_mib=padding_mib, files=files)
        set_times(work)
        out.unlink(missing_ok=True)
        _MASTERS[kind](work, release, out)
    return out


def _master_old_boot(work: Path, release: Release, out: Path) -> None:
    """EL6 to EL8, boot ISO: mkisofs, then isohybrid (EL6 without --uefi)."""
    argv: list[str | Path] = ["genisoimage", "-quiet", "-o", out, *_ISOLINUX.split(), *_EFI.split()]
    argv += ["-R", "-J", "-V", release.volume_id, "-T", "-graft-points"]
    run_tool([*argv, *_grafts(work / "tree", release)])
    run_tool(["isohybrid", *([] if release.kind.generation == 6 else ["--uefi"]), out])
    run_tool(["implantisomd5", "--force", out])


def _master_old_dvd(work: Path, release: Release, out: Path) -> None:
    """EL7 and EL8, DVD: genisoimage over a path list, images first and packages last; isohybrid --uefi."""
    tree = work / "tree"
    last = {"Packages", "BaseOS", "AppStream"}
    names = sorted((path.name for path in tree.iterdir()), key=lambda name: (name in last, name != "images", name))
    listing = work / "path-list"
    listing.write_text("".join(f"{name}={tree / name}\n" for name in names), encoding="utf-8")
    argv: list[str | Path] = ["genisoimage", "-quiet", "-untranslated-filenames", "-volid", release.volume_id]
    argv += ["-J", "-joliet-long", "-rational-rock", "-translation-table", "-input-charset", "utf-8"]
    argv += ["-x", "./lost+found", *_ISOLINUX.split(), *_EFI.split(), "-o", out]
    run_tool([*argv, "-graft-points", "-path-list", listing])
    run_tool(["isohybrid", "--uefi", out])
    run_tool(["implantisomd5", "--force", "--supported-iso", out])


def _master_el9_boot(work: Path, release: Release, out: Path) -> None:
    """EL9, boot ISO: xorrisofs with isohybrid MBR and GPT over the embedded ESP."""
    argv: list[str | Path] = ["xorrisofs", "-quiet", *_level(work / "tree", release), "-o", out]
    argv += ["-isohybrid-mbr", "/usr/lib/ISOLINUX/isohdpfx.bin", *_ISOLINUX.split(), *_EFI.split()]
    argv += ["-isohybrid-gpt-basdat", "-R", "-J", "-V", release.volume_id, "-graft-points"]
    run_tool([*argv, *_grafts(work / "tree", release)])
    run_tool(["implantisomd5", "--force", out])


def _master_el10_boot(work: Path, release: Release, out: Path) -> None:
    """EL10, boot ISO: xorrisofs with GRUB's MBR and the ESP appended behind the volume."""
    esp = work / "efiboot.img"
    (work / "tree/images/efiboot.img").rename(esp)
    set_times(work)
    argv: list[str | Path] = ["xorrisofs", "-quiet", *_level(work / "tree", release), "-o", out]
    argv += ["-R", "-J", "-V", release.volume_id, "--grub2-mbr", GRUB_BIOS / "boot_hybrid.img"]
    argv += ["-partition_offset", "16", "-appended_part_as_gpt", "-append_partition", "2", _ESP_TYPE, esp]
    argv += ["-iso_mbr_part_type", _DATA_TYPE, "-c", "boot.cat", "--boot-catalog-hide"]
    run_tool([*argv, *_ELTORITO.split(), *_EFI_APPENDED.split(), "-graft-points", *_grafts(work / "tree", release)])
    run_tool(["implantisomd5", "--force", out])


def _master_new_dvd(work: Path, release: Release, out: Path) -> None:
    """EL9 and EL10, DVD: the boot ISO replayed by xorriso with the packages mapped in and .discinfo updated."""
    boot = work / "boot.iso"
    (_master_el9_boot if release.kind.generation == 9 else _master_el10_boot)(work, release, boot)
    argv: list[str | Path] = ["xorriso", "-abort_on", "FATAL", "-indev", boot, "-outdev", out, "-joliet", "on"]
    argv += ["-compliance", "joliet_long_names", "-boot_image", "any", "replay", "-volid", release.volume_id]
    for path in sorted((work / "dvd").iterdir()):
        argv += ["-update" if path.name == ".discinfo" else "-map", path, f"/{path.name}"]
    run_tool([*argv, "-chown_r", "0", "/", "--", "-chgrp_r", "0", "/", "--", "-end"])
    run_tool(["implantisomd5", "--force", "--supported-iso", out])


def _level(tree: Path, release: Release) -> list[str]:
    """Options for a stage 2 that needs more than one extent, as lorax decides."""
    is_large = (tree / release.stage2_path).stat().st_size >= _ONE_EXTENT_MIB * MIB
    return ["-iso-level", "3"] if is_large else []


def _grafts(tree: Path, release: Release) -> list[str]:
    """Graft points in the order of lorax's templates."""
    names = (".discinfo", release.stage2_path, "isolinux", "images/pxeboot", "boot/grub2", "images/eltorito.img")
    return [f"{name}={tree / name}" for name in (*names, "EFI/BOOT", "images/efiboot.img") if (tree / name).exists()]


_MASTERS = {
    StockKind.EL6_BOOT: _master_old_boot,
    StockKind.EL7_BOOT: _master_old_boot,
    StockKind.EL7_DVD: _master_old_dvd,
    StockKind.EL8_BOOT: _master_old_boot,
    StockKind.EL8_DVD: _master_old_dvd,
    StockKind.EL9_BOOT: _master_el9_boot,
    StockKind.EL9_DVD: _master_new_dvd,
    StockKind.EL10_BOOT: _master_el10_boot,
    StockKind.EL10_DVD: _master_new_dvd,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Master one look-alike from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.rigs.stock", description=__doc__)
    parser.add_argument("kind", type=StockKind, choices=list(StockKind))
    parser.add_argument("out", type=Path)
    parser.add_argument("--padding-mib", type=int, default=0)
    chosen = parser.parse_args(arguments)
    make_stock(chosen.kind, chosen.out, padding_mib=chosen.padding_mib)


if __name__ == "__main__":
    main()
