#!/bin/bash
# A NetworkManager of its own, in new namespaces, with the keyfiles of the folder $1 and a card for each further argument,
# its MAC address. In a machine of its own (B2CT_OWN_MACHINE=1) cards, /sys and udev are there already.
# Prints what the kernel has then, as ip shows it in JSON: links, addresses, routes.
set -e
if [ ! "$B2CT_OWN_MACHINE" ]; then
    mount -t sysfs -o ro sysfs /sys # a read-only /sys makes NetworkManager do without udev
    mount -t tmpfs tmpfs /run
fi
mount -t tmpfs tmpfs /var/lib/NetworkManager
mount -t tmpfs tmpfs /etc/NetworkManager
mkdir -p /run/dbus /run/NetworkManager /etc/NetworkManager/system-connections
cp "$1"/*.nmconnection /etc/NetworkManager/system-connections/
shift
cat >/etc/NetworkManager/NetworkManager.conf <<EOF
[main]
plugins=keyfile
dns=none
no-auto-default=*
EOF
ip link set lo up
n=0
for mac in "$@"; do
    ip link add "card$n" address "$mac" type veth peer name "cable$n"
    ip link set "cable$n" up
    n=$((n + 1))
done
dbus-daemon --system --nofork --nopidfile --address=unix:path=/run/dbus/system_bus_socket 2>/run/dbus.log &
until [ -S /run/dbus/system_bus_socket ]; do sleep 0.1; done
NetworkManager --debug >/run/nm.log 2>&1 &
nm-online --quiet --timeout=60 || { cat /run/nm.log >&2; exit 1; }
printf '['
ip -details -json link
printf ','
ip -json address
printf ','
ip -json route
printf ']\n'
