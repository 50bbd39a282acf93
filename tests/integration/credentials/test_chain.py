"""Certificates that come through OneGate are kept only if a CA of the machine is behind each of them: real openssl."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.authorities import link_authorities, verify_chain
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.programs import run_program
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from b2ct.apply.credentials.proxy import read_host_certificate, sign_proxy
from tests.rigs.dirac.certificates import Authority, issue, make_authority, write_authority
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

DAY = 86400


@dataclass(frozen=True, slots=True)
class World:
    """A machine's CAs, and chains."""

    folder: Path
    authority: Authority

    @property
    def ca_path(self) -> Path:
        return self.folder / "certificates"

    def make_chain(self, authority: Authority, name: str = "vm") -> list[str]:
        """Return a host's proxy and the host's certificate."""
        found = issue(authority, name, self.folder / name)
        now = datetime.now(UTC)
        host = read_host_certificate(found.certificate.read_text(), found.key.read_text(), now)
        key = rsa.generate_private_key(65537, 2048)
        return [pem(sign_proxy(host, key.public_key(), now, timedelta(days=1))), pem(host.chain[0])]

    def verify(self, chain: list[str], *, ca_path: Path | None = None, now_s: float | None = None) -> None:
        now_s = time.time() if now_s is None else now_s
        verify_chain(chain, str(ca_path or self.ca_path), str(self.folder), now_s, run_program)


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    need_tool("openssl")
    authority = make_authority("Rig CA")
    write_authority(authority, tmp_path / "certificates")
    return World(tmp_path, authority)


def test_a_chain_holds_by_a_folder_or_a_file(world: World) -> None:
    chain = world.make_chain(world.authority)
    world.verify(chain)
    world.verify(chain, ca_path=world.ca_path / "cas.pem")
    world.verify(chain[1:])
    assert not list(world.folder.glob("*.new"))


def test_an_intermediate_authority_may_come_along(world: World) -> None:
    between = make_authority("Rig sub CA", world.authority)
    chain = world.make_chain(between)
    world.verify([*chain, pem(between.certificate)])
    with pytest.raises(AgentError, match="unable to get"):
        world.verify(chain)


def test_what_no_authority_has_signed_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good, evil = world.make_chain(world.authority), make_authority("Evil CA")
    below = make_authority("Evil sub CA", evil)
    write_authority(evil, world.folder / "evil")
    monkeypatch.setenv("SSL_CERT_FILE", str(world.folder / "evil/cas.pem"))  # as if the system knew it
    monkeypatch.setenv("SSL_CERT_DIR", str(world.folder / "evil"))
    for chain, words in (
        (world.make_chain(evil), "unable to get"),
        ([*world.make_chain(evil), pem(evil.certificate)], "does not verify it: self.signed"),
        ([*world.make_chain(below), pem(below.certificate)], "unable to get"),
        ([*good, pem(evil.certificate)], "signed itself"),
        ([*good, pem(below.certificate)], "unable to get"),
        ([*good, pem(world.authority.certificate)], "signed itself"),
        (good[:1], "unable to get"),
    ):
        with pytest.raises(AgentError, match=words):
            world.verify(chain)
    assert not list(world.folder.glob("*.new"))


def test_the_second_has_signed_the_first(world: World) -> None:
    proxy, host = world.make_chain(world.authority)
    _, other = world.make_chain(world.authority, "other")
    world.verify([proxy, host, other])
    with pytest.raises(AgentError, match="does not verify it: unable to get"):
        world.verify([proxy, other, host])


def test_it_holds_at_the_time_that_counts(world: World) -> None:
    chain = world.make_chain(world.authority)
    for days, words in ((2, "has expired"), (-0.5, "not yet valid")):
        with pytest.raises(AgentError, match=words):
            world.verify(chain, now_s=time.time() + days * DAY)


def test_without_authorities_there_is_no_trust(world: World) -> None:
    with pytest.raises(AgentError, match=r"ca_path /nonexistent is missing"):
        verify_chain(["x"], "/nonexistent", str(world.folder), 0, run_program)


def test_a_folder_that_is_full_of_one_name_is_told(world: World) -> None:
    (world.folder / "chain.pem").write_text("".join(world.make_chain(world.authority)))
    files = str(world.folder / "chain.pem"), str(world.ca_path), str(world.folder / "linked"), run_program
    assert link_authorities(*files)
    (own,) = (path for path in (world.folder / "linked").iterdir() if not path.is_symlink())
    for number in range(10):
        (world.ca_path / f"{own.stem}.{number}").touch()
    with pytest.raises(AgentError, match=f"ten certificates {own.stem}"):
        link_authorities(*files)
