"""Files of a Debian or Ubuntu guest that no package brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.plan.artifact import Artifact
from b2ct.plan.guest_debian import EXCLUDED, INCLUDED
from b2ct.render.disk import render_grub_config
from b2ct.render.quoting import word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from b2ct.plan.guest_debian import PackageSource
    from b2ct.plan.image_disk import DiskPlan

_INITRAMFS_MODULES = "virtio_pci virtio_blk virtio_scsi ata_piix ahci nvme sd_mod sr_mod isofs ext4"
"""Every disk that OpenNebula's KVM driver gives a machine; the CD is the context's, and has to be there early."""

_CLOUD_INIT = """\
# The context comes from OpenNebula's CD; NoCloud is for machines without OpenNebula. Nothing is asked on the network.
datasource_list: [ OpenNebula, NoCloud, None ]
# OpenNebula's SSH_PUBLIC_KEY is root's key, as with its own context packages; passwords open nothing.
users: [root]
disable_root: false
ssh_pwauth: false
ssh_deletekeys: true
ssh_genkeytypes: [ed25519, ecdsa]
preserve_hostname: false
manage_etc_hosts: localhost
growpart: {mode: auto, devices: [/], ignore_growroot_disabled: false}
resize_rootfs: true
apt: {preserve_sources_list: true}
system_info:
  network: {renderers: [networkd]}
# What a worker's user-data may ask for; every module that is left out is not even loaded.
cloud_init_modules: [bootcmd, write-files, growpart, resizefs, set_hostname, update_etc_hosts, users-groups, ssh]
cloud_config_modules: [timezone, runcmd]
cloud_final_modules: [package-update-upgrade-install, write-files-deferred, scripts-user]
"""

_SSHD = """\
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
"""

WARM_SCRIPT = """\
#!/bin/sh
# usage: b2ct-warm-cvmfs SECONDS REPOSITORY...: fetches the catalogues of CVMFS repositories into the cache
seconds=$1
shift
failed=0
[ -e /dev/fuse ] || mknod -m 666 /dev/fuse c 10 229
printf 'CVMFS_HTTP_PROXY=DIRECT\\n' >/etc/cvmfs/default.local
for repository in "$@"; do
    mkdir -p "/cvmfs/$repository"
    if timeout "$seconds" mount -t cvmfs "$repository" "/cvmfs/$repository"; then
        timeout "$seconds" ls -l "/cvmfs/$repository" >/dev/null || failed=1
        umount "/cvmfs/$repository" || failed=1
    else
        failed=1
    fi
    rmdir "/cvmfs/$repository"
done
rm -f /etc/cvmfs/default.local
exit "$failed"
"""
"""Warms CVMFS's cache without daemons. The agent writes default.local in the running guest."""


def render_source(source: PackageSource) -> str:
    """Return one entry of apt's sources in the one-line style (sources.list(5)).

    Raises:
        QuotingError: a value could be read as something else.
    """
    words = " ".join(map(word, (source.url, source.suite, *source.components)))
    return f"deb [signed-by={word(source.keyring)}] {words}"


def render_sources(sources: Sequence[PackageSource]) -> tuple[Artifact, ...]:
    """Return apt's files, one a source; raises QuotingError as ``render_source`` does."""
    return tuple(
        Artifact(f"etc/apt/sources.list.d/{source.name}.list", f"{render_source(source)}\n".encode())
        for source in sources
    )


def render_early_files(plan: DiskPlan) -> tuple[Artifact, ...]:
    """Return what has to be there before packages are installed, above all before the initramfs is made."""
    dpkg = [f"path-exclude={path}" for path in EXCLUDED] + [f"path-include={path}" for path in INCLUDED]
    texts = {
        "etc/dpkg/dpkg.cfg.d/b2ct": "\n".join(dpkg) + "\n",
        "etc/kernel-img.conf": "do_symlinks = yes\nlink_in_boot = yes\ndo_initrd = yes\n",
        "etc/initramfs-tools/conf.d/b2ct": "MODULES=list\nCOMPRESS=gzip\nRESUME=none\n",
        "etc/initramfs-tools/modules": _INITRAMFS_MODULES.replace(" ", "\n") + "\n",
        "etc/fstab": f"UUID={plan.root.uuid} / ext4 noatime,errors=remount-ro 0 1\n",
    }
    return _artifacts(texts)


def render_late_files(plan: DiskPlan) -> tuple[Artifact, ...]:
    """Return what is written after the packages; the empty machine-id makes each guest find its own at its start."""
    texts = {
        "boot/grub/grub.cfg": render_grub_config(plan),
        "etc/cloud/cloud.cfg.d/95-b2ct.cfg": _CLOUD_INIT,
        "etc/cloud/ds-identify.cfg": "policy: enabled\n",
        "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
        "etc/machine-id": "",
        "etc/ssh/sshd_config.d/10-b2ct.conf": _SSHD,
    }
    return _artifacts(texts)


def _artifacts(texts: dict[str, str]) -> tuple[Artifact, ...]:
    return tuple(Artifact(path, text.encode()) for path, text in texts.items())
