"""A signed apt repository with one package, as a folder that any web server serves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.rigs.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NEEDED = ("gpg", "gpgconf", "gpg-agent", "dpkg-deb")


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair of gpg without passphrase."""

    home: Path

    def export(self, out: Path, *, armor: bool) -> Path:
        """Write the public key, as text or binary."""
        run_tool([*self._gpg(), *(["--armor"] if armor else []), "--output", out, "--export"])
        return out

    def sign(self, text: Path, out: Path) -> None:
        """Write ``text`` with its signature around it."""
        run_tool([*self._gpg(), "--clearsign", "--output", out, text])
        self.end_agent()

    def end_agent(self) -> None:
        """End the daemon that gpg left behind."""
        run_tool(["gpgconf", "--homedir", self.home, "--kill", "gpg-agent"])

    def _gpg(self) -> list[str | Path]:
        return ["gpg", "--batch", "--yes", "--homedir", self.home, "--pinentry-mode", "loopback", "--passphrase", ""]


def make_key(home: Path) -> Key:
    """Make a key pair in the new folder ``home``."""
    home.mkdir(mode=0o700)
    gpg: list[str | Path] = ["gpg", "--batch", "--homedir", home, "--pinentry-mode", "loopback", "--passphrase", ""]
    run_tool([*gpg, "--quick-generate-key", "rig@b2ct.invalid", "ed25519", "sign", "never"])
    key = Key(home)
    key.end_agent()
    return key


def make_package(folder: Path, name: str, files: Mapping[str, str]) -> Path:
    """Build ``folder/name.deb``, version 1, of ``files`` (path: content; programs, for they are executable)."""
    tree = folder / f"{name}.tree"
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text, encoding="utf-8")
        (tree / path).chmod(0o755)
    (tree / "DEBIAN").mkdir()
    control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: Rig <rig@b2ct.invalid>\nDescription: rig\n"
    (tree / "DEBIAN/control").write_text(control, encoding="ascii")
    out = folder / f"{name}.deb"
    run_tool(["dpkg-deb", "--root-owner-group", "--build", tree, out])
    return out


def make_repository(folder: Path, suite: str, package: Path, key: Key) -> None:
    """Fill ``folder`` with the suite's component ``main``, signed (Debian wiki, DebianRepository/Format)."""
    home = folder / "dists" / suite
    (home / "main/binary-amd64").mkdir(parents=True)
    (folder / "pool").mkdir()
    data = package.read_bytes()
    (folder / "pool" / package.name).write_bytes(data)
    control = run_tool(["dpkg-deb", "--field", package])
    digest = hashlib.sha256(data).hexdigest()
    packages = f"{control}Filename: pool/{package.name}\nSize: {len(data)}\nSHA256: {digest}\n".encode()
    (home / "main/binary-amd64/Packages").write_bytes(packages)
    line = f" {hashlib.sha256(packages).hexdigest()} {len(packages)} main/binary-amd64/Packages\n"
    release = f"Suite: {suite}\nCodename: {suite}\nComponents: main\nArchitectures: amd64 all\n"
    release += f"Date: Sat, 01 Jan 2022 00:00:00 UTC\nSHA256:\n{line}"
    (home / "Release").write_text(release, encoding="ascii")
    key.sign(home / "Release", home / "InRelease")
