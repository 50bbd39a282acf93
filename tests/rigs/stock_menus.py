r"""The boot menus of the look-alikes: the structure, entries and arguments of the stock ones, in words of our own.

Structure read in lorax's and (EL6) anaconda's templates: ``Install`` and ``Test this media & install`` (the default
after 60 s), a troubleshooting submenu, the label of stage 2 with ``\x20`` for blanks, in isolinux and in GRUB alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.rigs.stock_release import Release


@dataclass(frozen=True, slots=True)
class _Entry:
    label: str
    """isolinux label."""
    hot_title: str
    """Title with isolinux's ``^`` before the hot key."""
    arguments: str
    """What follows the kernel and stage 2."""

    @property
    def title(self) -> str:
        return self.hot_title.replace("^", "")


def render_isolinux(release: Release) -> bytes:
    """``isolinux/isolinux.cfg`` (EL6 to EL9)."""
    text = _ISOLINUX_EL6_HEAD if release.kind.generation == 6 else _ISOLINUX_HEAD
    main, trouble = _entries(release)
    body = "".join(_isolinux_entry(release, entry) for entry in main)
    if release.kind.generation > 6:
        body += _ISOLINUX_SUBMENU
        body += "".join(_isolinux_entry(release, entry, indent=True) for entry in trouble)
        body += _ISOLINUX_TAIL
    else:
        body += "".join(_isolinux_entry(release, entry) for entry in trouble)
        body += "label local\n  menu label Boot from ^local drive\n  localboot 0xffff\n"
        body += "label memtest86\n  menu label ^Memory test\n  kernel memtest\n  append -\n"
    return (text.replace("@TITLE@", release.title) + body).encode()


def render_grub(release: Release, *, bios: bool) -> bytes:
    """``EFI/BOOT/grub.cfg`` (EL7 to EL10), or ``boot/grub2/grub.cfg`` (EL10) with ``bios``."""
    linux, initrd = ("linux", "initrd") if release.kind.generation == 10 else ("linuxefi", "initrdefi")
    main, trouble = _entries(release)
    text = _GRUB_BIOS_HEAD if bios else _GRUB_EFI_HEAD
    text += f"set timeout=60\n### end of the settings ###\n\nsearch --no-floppy --set=root -l '{release.volume_id}'\n\n"
    text += "### the entries ###\n"
    text += "".join(_grub_entry(release, entry, linux, initrd) for entry in main)
    text += "submenu 'Troubleshooting -->' {\n"
    text += "".join(_grub_entry(release, entry, linux, initrd, "\t") for entry in trouble)
    if bios:
        for disk, name in enumerate(("first", "second")):
            text += f"\tmenuentry 'Boot {name} drive' {_CLASSES} {{\n\t\tchainloader (hd{disk})+1\n\t}}\n"
    return f"{text}}}\n".encode()


def render_grub_legacy(release: Release) -> bytes:
    """``EFI/BOOT/BOOTX64.conf`` (EL6)."""
    return (
        "#debug --graphics\ndefault=0\nsplashimage=/EFI/BOOT/splash.xpm.gz\ntimeout 5\nhiddenmenu\n"
        f"title {release.title}\n\tkernel /images/pxeboot/vmlinuz\n\tinitrd /images/pxeboot/initrd.img\n"
    ).encode()


def _entries(release: Release) -> tuple[list[_Entry], list[_Entry]]:
    """The entries of the main menu and of the troubleshooting menu."""
    generation, title = release.kind.generation, release.title
    if generation == 6:
        return (
            [
                _Entry("linux", "^Install or upgrade an existing system", ""),
                _Entry("vesa", "Install system with ^basic video driver", "xdriver=vesa nomodeset"),
                _Entry("rescue", "^Rescue installed system", "rescue"),
            ],
            [],
        )
    main = [
        _Entry("linux", f"^Install {title}", "quiet"),
        _Entry("check", f"Test this ^media & install {title}", "rd.live.check quiet"),
    ]
    if generation >= 9:
        main.append(_Entry("fips", f"^Install {title} in FIPS mode", "quiet fips=1"))
    basic = "xdriver=vesa nomodeset quiet" if generation == 7 else "nomodeset quiet"
    trouble = [
        _Entry("text", f"Install {title} using ^text mode", "inst.text quiet")
        if generation == 9
        else _Entry("vesa", f"Install {title} in ^basic graphics mode", basic),
        _Entry(
            "rescue", f"^Rescue a {release.product} system", "rescue quiet" if generation == 7 else "inst.rescue quiet"
        ),
    ]
    return main, trouble


def _stage2(release: Release) -> str:
    return "inst.stage2=hd:LABEL=" + release.volume_id.replace(" ", r"\x20")


def _isolinux_entry(release: Release, entry: _Entry, *, indent: bool = False) -> str:
    default = "linux" if release.kind.generation == 6 else "check"
    lines = [f"label {entry.label}"]
    if indent:
        lines.append("  menu indent count 5")
    lines.append(f"  menu label {entry.hot_title}")
    if entry.label == default:
        lines.append("  menu default")
    if indent:
        lines += [
            "  text help",
            f"\tFor machines on which {release.title} does not",
            "\tinstall or start as it should.",
            "  endtext",
        ]
    words = ["initrd=initrd.img", *([] if release.kind.generation == 6 else [_stage2(release)]), entry.arguments]
    lines += ["  kernel vmlinuz", f"  append {' '.join(word for word in words if word)}", ""]
    return "\n".join(lines) + ("" if release.kind.generation == 6 else "\n")


def _grub_entry(release: Release, entry: _Entry, linux: str, initrd: str, indent: str = "") -> str:
    return (
        f"{indent}menuentry '{entry.title}' {_CLASSES} {{\n"
        f"{indent}\t{linux} /images/pxeboot/vmlinuz {_stage2(release)} {entry.arguments}\n"
        f"{indent}\t{initrd} /images/pxeboot/initrd.img\n{indent}}}\n"
    )


_CLASSES = "--class fedora --class gnu-linux --class gnu --class os"

_ISOLINUX_EL6_HEAD = """\
default vesamenu.c32
#prompt 1
timeout 600

display boot.msg

menu background splash.jpg
menu title Welcome to @TITLE@!
menu color border 0 #ffffffff #00000000
menu color sel 7 #ffffffff #ff000000
menu color title 0 #ffffffff #00000000
menu color tabmsg 0 #ffffffff #00000000
menu color unsel 0 #ffffffff #00000000
menu color hotsel 0 #ff000000 #ffffffff
menu color hotkey 7 #ffffffff #ff000000
menu color scrollbar 0 #ffffffff #00000000

"""

_ISOLINUX_HEAD = """\
default vesamenu.c32
timeout 600

display boot.msg

# What stays on the screen when the menu is left: with vesamenu
# that is the background picture, without the entries, for as long as
# the screen remains in its graphics mode.
menu clear
menu background splash.png
menu title @TITLE@
menu vshift 8
menu rows 18
menu margin 8
#menu hidden
menu helpmsgrow 15
menu tabmsgrow 13

# the frame
menu color border * #00000000 #00000000 none

# the chosen entry
menu color sel 0 #ffffffff #00000000 none

# the title
menu color title 0 #ff7ba3d0 #00000000 none

# the line about the Tab key
menu color tabmsg 0 #ff3a6496 #00000000 none

# entries that are not chosen
menu color unsel 0 #84b8ffff #00000000 none

# hot keys, chosen and not
menu color hotsel 0 #84b8ffff #00000000 none
menu color hotkey 0 #ffffffff #00000000 none

# the help below
menu color help 0 #ffffffff #00000000 none

# the bar at the side, if there is one
menu color scrollbar 0 #ffffffff #ff355594 none

# the count-down
menu color timeout 0 #ffffffff #00000000 none
menu color timeout_msg 0 #ffffffff #00000000 none

# the line to type on
menu color cmdmark 0 #84b8ffff #00000000 none
menu color cmdline 0 #ffffffff #00000000 none

# The menu is shown at once; with "menu hidden" only the count-down would be, until a key is pressed.

menu tabmsg Press Tab to see and change the arguments of an entry.

menu separator # leave a line free
menu separator # leave a line free

"""

_ISOLINUX_SUBMENU = """\
menu separator # leave a line free

# the submenu for when things go wrong
menu begin ^Troubleshooting
  menu title Troubleshooting

"""

_ISOLINUX_TAIL = """\
label memtest
  menu label Run a ^memory test
  text help
\tFaulty memory makes machines fail in strange ways.
\tThis looks for it.
  endtext
  kernel memtest

menu separator # leave a line free

label local
  menu label Boot from ^local drive
  localboot 0xffff

menu separator # leave a line free
menu separator # leave a line free

label returntomain
  menu label Return to ^main menu
  menu exit

menu end
"""

_GRUB_EFI_HEAD = """\
set default="1"

function load_video {
  insmod efi_gop
  insmod efi_uga
  insmod video_bochs
  insmod video_cirrus
  insmod all_video
}

load_video
set gfxpayload=keep
insmod gzio
insmod part_gpt
insmod ext2

"""

_GRUB_BIOS_HEAD = """\
set default="1"

function load_video {
  insmod all_video
}

load_video
set gfxpayload=keep
insmod gzio
insmod part_gpt
insmod ext2
insmod chain

"""
