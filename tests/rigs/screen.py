"""What a QEMU machine shows on its screen: whether that is a boot menu, and the picture itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.rigs.qmp import Monitor

_GRUB_HELP = "to select which entry"
"""Part of the help under GRUB's menu; OVMF's console repeats the screen on the serial port."""
_VESAMENU_HEADER = b"P6\n640 480\n"
"""Graphics mode of isolinux's vesamenu.c32; SeaBIOS and OVMF start in modes of another size."""
_TEXT_SCREEN = (0xB8000, 80 * 25 * 2)
"""Address and size in bytes of VGA text memory: a character and an attribute for each place."""


def menu_is_shown(monitor: Monitor, serial: str, before: bytes) -> bool:
    """Whether a boot menu is on the screen: GRUB's in text mode, or isolinux's graphical one.

    ``before`` is what :func:`read_screen` returned when the machine had not run yet.
    """
    if _GRUB_HELP in serial or _GRUB_HELP in read_text(monitor):
        return True
    screen = read_screen(monitor)
    return screen != before and screen.startswith(_VESAMENU_HEADER)


def read_text(monitor: Monitor) -> str:
    """The screen of VGA text mode, row after row; nonsense when another mode is on."""
    address, size = _TEXT_SCREEN
    with tempfile.NamedTemporaryFile(prefix="b2ct-text-") as file:
        monitor.execute("pmemsave", val=address, size=size, filename=file.name)
        return Path(file.name).read_bytes()[::2].decode("cp437")


def read_screen(monitor: Monitor) -> bytes:
    """The picture on the screen, as PPM (netpbm's ppm(5))."""
    with tempfile.NamedTemporaryFile(prefix="b2ct-screen-") as file:
        monitor.execute("screendump", filename=file.name)
        return Path(file.name).read_bytes()


def write_png(monitor: Monitor, path: Path) -> None:
    """Write the screen to ``path`` as PNG."""
    monitor.execute("screendump", filename=str(path.absolute()), format="png")
