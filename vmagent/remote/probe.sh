# Says what a host has of what the VM agent needs: a line "b2ct:have THING" for each. Read by sh -s, as any user.
if [ "$(id -u)" -eq 0 ]; then
    echo "b2ct:have root"
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    echo "b2ct:have sudo"
fi
for python in python3 /usr/libexec/platform-python; do
    if command -v "$python" >/dev/null 2>&1; then
        # Debian's python3-minimal and its like lack these modules
        "$python" -I -c 'import sys, json, http.client; sys.exit(sys.version_info < (3, 6))' 2>/dev/null &&
            echo "b2ct:have python"
        break
    fi
done
[ -d /run/systemd/system ] && echo "b2ct:have systemd"
for tool in tar sha256sum stat mktemp; do
    command -v "$tool" >/dev/null 2>&1 && echo "b2ct:have $tool"
done
echo "b2ct:have shell"
