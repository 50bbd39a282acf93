# Installs the VM agent from the unpacked folder $1, where FILES lists mode and place of each file under tree/.
# Says "b2ct:changed WHAT" for whatever it changes; a second run changes nothing. Run by sh, as root.
set -eu
umask 022
cd "$1"
sha256sum --check --status SHA256SUMS
changed=
while read -r mode place; do
    if [ -f "/$place" ] && [ "$(stat -c %a "/$place")" = "$mode" ] &&
        [ "$(sha256sum <"tree/$place")" = "$(sha256sum <"/$place")" ]; then
        continue
    fi
    mkdir -p "$(dirname "/$place")"
    (umask 077 && cp "tree/$place" "/$place.b2ct-new")
    chmod "$mode" "/$place.b2ct-new"
    mv -f "/$place.b2ct-new" "/$place"
    if command -v restorecon >/dev/null 2>&1; then restorecon "/$place"; fi
    changed=yes
    echo "b2ct:changed /$place"
done <FILES
if [ -n "$changed" ]; then
    systemctl daemon-reload
    systemd-tmpfiles --create b2ct-vm.conf
fi
if ! systemctl is-enabled --quiet b2ct-vm-agent.service 2>/dev/null; then
    systemctl enable --quiet b2ct-vm-agent.service
    echo "b2ct:changed enabled b2ct-vm-agent.service"
fi
if [ -n "$changed" ] || ! systemctl is-active --quiet b2ct-vm-agent.service; then
    # what fails here is told by the agent's own status
    systemctl restart b2ct-vm-context.service b2ct-vm-scratch.service b2ct-vm-agent.service || :
    echo "b2ct:changed started b2ct-vm-agent.service"
fi
echo "b2ct:installed"
