"""Times building an install ISO against copying it, and against xorriso with implantisomd5: same run, cold cache.

Command line, as root (who may drop the cache): ``python tests/bench/build_iso.py [--size-gib N] [--runs N]``

Ours is the whole public command, ``b2ct build-iso`` with a site file, from looking at the stock to the finished ISO.
Every contender runs in a process of its own; wall time ends when the process does, "durable" when the file is on disk.
A peak below this process's own (about 20 MiB) shows as that: a child starts with its parent's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

CHECKOUT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")

_WRITE_SITE = """
import sys
from pathlib import Path
from tests.rigs.media import write_site
from tests.rigs.stock import StockKind

write_site(StockKind(sys.argv[1]), Path(sys.argv[2]))
"""
"""Writes the example site of a look-alike; in a process of its own, which keeps this one small."""
_PEER = """
set -e
for number in $(seq 20); do yes text | head -n 2000 > "$3/host$number.ks"; done
xorriso -indev "$1" -outdev "$2" -boot_image any replay -joliet on -map "$3" /b2ct -commit -end
implantisomd5 --force "$2"
"""


@dataclass(frozen=True, slots=True)
class Measure:
    """One run of one contender."""

    wall_s: float
    durable_s: float
    cpu_s: float
    peak_mib: float
    read_mib: float
    written_mib: float


def measure(argv: list[str], out: Path) -> Measure:
    """Run a command with a cold cache and return what it took; raises CalledProcessError when it fails."""
    out.unlink(missing_ok=True)
    os.sync()
    _DROP_CACHES.write_text("3", encoding="ascii")
    start = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    with out.open("rb") as stream:
        os.fsync(stream.fileno())
    durable = time.perf_counter() - start
    out.unlink()
    return Measure(
        wall_s=wall,
        durable_s=durable,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
        read_mib=usage.ru_inblock * 512 / MIB,
        written_mib=usage.ru_oublock * 512 / MIB,
    )


def middle(runs: list[Measure]) -> Measure:
    """Return the median of every column."""
    return Measure(*(median(getattr(run, name) for run in runs) for name in Measure.__dataclass_fields__))


def print_table(results: dict[str, Measure]) -> None:
    """Print a line for each contender, and ours as a ratio of each other."""
    names = list(Measure.__dataclass_fields__)
    print(f"{'':10}" + "".join(f"{name:>13}" for name in names))  # noqa: T201 - this is the output
    for contender, result in results.items():
        print(f"{contender:10}" + "".join(f"{getattr(result, name):13.2f}" for name in names))  # noqa: T201 - as above
    ours = results["b2ct"]
    for contender in ("cp", "xorriso"):
        ratios = (
            getattr(ours, n) / getattr(results[contender], n) if getattr(results[contender], n) else 0 for n in names
        )
        print(f"{'/ ' + contender:10}" + "".join(f"{ratio:13.2f}" for ratio in ratios))  # noqa: T201 - as above


def main() -> None:
    """Master a stock ISO of the size asked for and let the contenders run in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-gib", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--kind", default="el9-boot", help="which look-alike: el6-boot to el10-dvd")
    chosen = parser.parse_args()
    if not os.access(_DROP_CACHES, os.W_OK):
        parser.error("run it as root: the page cache has to be dropped before every run")
    with tempfile.TemporaryDirectory(dir=chosen.dir, prefix="b2ct-bench-") as name:
        folder = Path(name)
        added = folder / "added"
        added.mkdir()
        stock = folder / "stock.iso"
        rig = [sys.executable, "-m", "tests.rigs.stock", chosen.kind, stock]
        subprocess.run([*rig, "--padding-mib", str(chosen.size_gib * 1024)], cwd=CHECKOUT, check=True)
        out = folder / "out.iso"
        site = str(folder / "site.yaml")
        subprocess.run([sys.executable, "-c", _WRITE_SITE, chosen.kind, folder], cwd=CHECKOUT, check=True)
        contenders = {
            "cp": ["cp", "--reflink=never", str(stock), str(out)],
            "xorriso": ["sh", "-c", _PEER, "sh", str(stock), str(out), str(added)],
            "b2ct": [sys.executable, "-m", "b2ct", "build-iso", site, "--stock", str(stock), "--out", str(out)],
        }
        runs: dict[str, list[Measure]] = {contender: [] for contender in contenders}
        for _ in range(chosen.runs):
            for contender, argv in contenders.items():
                runs[contender].append(measure(argv, out))
        print_table({contender: middle(measures) for contender, measures in runs.items()})


if __name__ == "__main__":
    main()
