"""The README's demo: a stock ISO (real, or a look-alike), the site's ISO, its inspection, and a boot in QEMU."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from b2ct.cli.main import main as b2ct
from tests.rigs.boot import Firmware, Medium, boot
from tests.rigs.stock import StockKind, make_stock

BOOT_KEYS = ("down", "ret")
"""From the default entry, the local disk, to the first host."""


def _say(text: str) -> None:
    sys.stdout.write(f"\n=== {text}\n")
    sys.stdout.flush()


def _stock(given: Path | None, out: Path) -> Path:
    if given is not None:
        return given
    _say("No STOCK=... was given: mastering a look-alike of a stock ISO from Debian's boot loaders and kernel.")
    sys.stdout.write(
        "It boots like the real one, but holds no installer. With a real ISO: make demo STOCK=/path/to.iso\n"
    )
    return make_stock(StockKind.EL9_BOOT, out / "stock.iso")


def _boot(iso: Path) -> int:
    if shutil.which("qemu-system-x86_64") is None:
        _say("There is no qemu-system-x86_64 here, so the ISO is not booted.")
        return 0
    for firmware in Firmware:
        _say(f"Booting it as a USB stick with {firmware.upper()}, choosing the first host: what Anaconda would get")
        result = boot(iso, firmware=firmware, medium=Medium.USB, keys=BOOT_KEYS)
        sys.stdout.write("".join(f"{name}: {value}\n" for name, value in sorted(result.fields.items())))
        if "ks-sha256" not in result.fields:
            sys.stdout.write(result.serial_text)
            return 1
    return 0


def main() -> int:
    """Run the demo; return 0 when every step worked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stock", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    stock = _stock(arguments.stock, arguments.out)
    iso = arguments.out / "b2ct.iso"
    _say(f"b2ct build-iso {arguments.site} --stock {stock} --out {iso}")
    if code := b2ct(["build-iso", str(arguments.site), "--stock", str(stock), "--out", str(iso), "--force"]):
        return code
    _say(f"b2ct inspect-iso {iso}")
    if code := b2ct(["inspect-iso", str(iso)]):
        return code
    if arguments.stock is not None:
        _say(f"Done. Boot it: qemu-system-x86_64 -m 4096 -cdrom {iso}, or write it to a USB stick.")
        return 0
    return _boot(iso)


if __name__ == "__main__":
    sys.exit(main())
