#!/bin/sh
# Takes out of a guest what machines made from its image must not share, and what only takes room.
# Runs as root in the guest, or in its root folder by chroot; needs nothing but a POSIX shell and find.
set -eu

# empty FOLDER...: remove what is in the folders, keep them; a symbolic link is left alone, as find does.
empty() {
    for folder; do
        if [ -d "$folder" ]; then find "$folder" -mindepth 1 -xdev -delete; fi
    done
}

# Identity: systemd fills an empty machine-id at the first boot, and sshd's unit or cloud-init makes host keys.
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id /etc/hostname /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/NetworkManager/secret_key
empty /var/lib/cloud /var/lib/one-context

# Networks that the build had: they are written anew from each machine's context.
rm -f /etc/udev/rules.d/70-persistent-net.rules /etc/netplan/50-cloud-init.yaml
rm -f /etc/network/interfaces.d/50-cloud-init /etc/systemd/network/*cloud-init*.network
rm -f /etc/NetworkManager/system-connections/*.nmconnection /etc/sysconfig/network-scripts/ifcfg-e*
rm -f /var/lib/NetworkManager/*.lease /var/lib/dhcp/*.leases /var/lib/dhclient/*.lease* /var/lib/chrony/drift
if [ -f /etc/resolv.conf ] && [ ! -L /etc/resolv.conf ]; then : >/etc/resolv.conf; fi

# Who was here.
empty /root/.ssh /root/.cache /tmp /var/tmp
rm -f /root/.bash_history /root/.lesshst /root/.viminfo /root/anaconda-ks.cfg /root/original-ks.cfg

# Logs and what can be downloaded again.
if [ -d /var/log ]; then find /var/log -xdev -type f -delete; fi
empty /var/log/journal /run/log/journal
empty /var/lib/apt/lists /var/cache/apt /var/cache/dnf /var/cache/yum /var/cache/PackageKit /var/cache/man
rm -f /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/aux-cache
