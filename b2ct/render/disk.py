"""Texts that make a disk: the script of sfdisk, and GRUB's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.plan.image_disk import SECTOR

if TYPE_CHECKING:
    from b2ct.plan.image_disk import DiskPlan

KERNEL_ARGUMENTS = "console=tty0 console=ttyS0,115200n8"
"""The last console is where init writes; OpenNebula shows the first one, its hosts may log the second."""

MKE2FS_CONF = """\
[defaults]
base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
default_mntopts = acl,user_xattr
blocksize = 4096
inode_size = 256
inode_ratio = 16384
[fs_types]
ext4 = {
features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
}
"""
"""What every ext4 of a golden image can do, on any build host: no feature that GRUB 2.06 or Linux 5.4 lacks."""


def render_sfdisk(plan: DiskPlan) -> str:
    """Return the script of sfdisk(8) that makes the partition table; sectors."""
    lines = ["label: gpt", f"label-id: {plan.uuid}", "unit: sectors", "first-lba: 34", ""]
    for part in (plan.bios, plan.esp, plan.root):
        place = f"start={part.start // SECTOR}, size={part.size // SECTOR}"
        lines.append(f"{place}, type={part.type_uuid}, uuid={part.uuid}, name={part.name}")
    return "\n".join(lines) + "\n"


def render_grub_start(plan: DiskPlan) -> str:
    """Return what GRUB runs first: it finds the root file system, and reads the configuration there."""
    find = f"search --no-floppy --fs-uuid --set=root {plan.root.uuid}"
    return f"{find}\nset prefix=($root)/boot/grub\nconfigfile ($root)/boot/grub/grub.cfg\n"


def render_grub_config(plan: DiskPlan) -> str:
    """Return ``/boot/grub/grub.cfg``: whatever kernel the links in /boot lead to, on screen and serial port.

    The links follow every update of the kernel, so nothing has to write this file anew.
    """
    return f"""\
set timeout_style=hidden
set timeout=1
set default=0
if serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
menuentry 'Linux' {{
  linux /boot/vmlinuz root=UUID={plan.root.uuid} ro {KERNEL_ARGUMENTS}
  initrd /boot/initrd.img
}}
menuentry 'Linux, the kernel before' {{
  linux /boot/vmlinuz.old root=UUID={plan.root.uuid} ro {KERNEL_ARGUMENTS}
  initrd /boot/initrd.img.old
}}
"""
