"""A Debian whose first process is systemd, in a container with a network of its own: loopback, and nothing else."""

from __future__ import annotations

import contextlib
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rigs.cache import make_cached
from tests.rigs.fresh import SUITE, find_mirror, read_sources
from tests.rigs.process import RigError, run_tool
from tests.rigs.tools import need_root, need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGES = ("dbus", "iproute2", "openssh-server", "openssl", "python3", "sudo", "systemd", "systemd-sysv")
BOOT_S = 60.0
STOP_S = 30.0

_TIMERS = ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup")
"""They would work beside the test."""

_START = """
set -e
ip link set lo up
mount -t cgroup2 cgroup2 /sys/fs/cgroup # systemd 256 and later refuse version 1, which the machine may still have
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
shift 2
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Container:
    """A running container."""

    leader: int
    """Process id, outside, of its first process."""

    def run(self, argv: Sequence[str], *, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a program as root inside with ``data`` as its input; its exit code is the caller's business."""
        enter = ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--"]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"]
        return subprocess.run([*enter, *clean, *argv], input=data, capture_output=True, check=False)

    def tell(self, *argv: str, data: bytes = b"") -> str:
        """Run a program as root inside; return its standard output.

        Raises:
            RigError: the exit code is not 0; carries everything written.
        """
        done = self.run(argv, data=data)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise RigError(f"{' '.join(argv)}: exit {done.returncode}\n{said[-4000:]}")
        return done.stdout.decode(errors="replace")

    def beside(self, argv: Sequence[str]) -> list[str]:
        """Return an argument vector that runs ``argv`` on this machine, but in the container's network."""
        return ["nsenter", f"--net=/proc/{self.leader}/ns/net", "--", *argv]


def make_debian(suite: str = SUITE, packages: Sequence[str] = PACKAGES) -> Path:
    """Return a folder with a minimal Debian that holds ``packages``; the first time it is installed, then cached.

    The mirror is the one of this machine's own release; it has every ``suite``.
    """

    def install(out: Path) -> None:
        proxy = run_tool(["apt-config", "shell", "P", "Acquire::http::Proxy"])
        variables = {"http_proxy": proxy.split("'")[1]} if proxy else {}
        include = f"--include={','.join(packages)}"
        mirror = find_mirror(read_sources(), SUITE)
        run_tool(["debootstrap", "--variant=minbase", include, suite, out / "root", mirror], env=variables)
        for name in _TIMERS:
            (out / f"root/etc/systemd/system/timers.target.wants/{name}.timer").unlink(missing_ok=True)

    return make_cached("debian", (suite, *packages), install) / "root"


@contextlib.contextmanager
def start_container(base: Path, folder: Path) -> Iterator[Container]:
    """Boot ``base``, which stays as it is, until the context ends; what it writes goes to ``folder``.

    Raises:
        RigError: it does not come up within a minute; carries the end of its console.
    """
    need_root()
    need_tool("systemd-nspawn", "nsenter", "unshare", "ip")
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(parents=True)
    machine = f"b2ct-{uuid.uuid4().hex[:8]}"
    nspawn = ["systemd-nspawn", "--register=no", "--keep-unit", f"--machine={machine}", "--console=pipe", "--boot"]
    argv = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", _START, "sh", str(base), str(folder)]
    console = folder / "console.log"
    with console.open("wb") as log:
        words = [*argv, *nspawn, "-D", str(folder / "root")]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield _wait(process, console)
    finally:
        process.terminate()  # nspawn(1), --kill-signal: an orderly power-off with --boot
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], console: Path) -> Container:
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline and process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        for child in children:
            container = Container(int(child))
            state = container.run(["systemctl", "is-system-running"]).stdout.strip()
            if state in {b"running", b"degraded"}:
                return container
        time.sleep(0.2)
    raise RigError(f"the container did not boot:\n{console.read_text(errors='replace')[-3000:]}")
