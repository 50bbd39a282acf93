"""A real DIRAC takes a machine that shows a proxy of the site's host certificate for the host."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.credentials import pilot_ca_path
from b2ct_vmagent.diset import Diset, DisetError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from b2ct.apply.credentials.proxy import read_host_certificate, sign_proxy
from tests.integration.credentials.test_loop import DIRAC, MANAGER
from tests.rigs.dirac.central import MANAGER as SERVICE
from tests.rigs.dirac.central import start_dirac
from tests.rigs.dirac.certificates import Identity
from tests.rigs.dirac9 import start_dirac9

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.credentials.conftest import Guest, Place
    from tests.rigs.dirac.central import Central


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Central]:
    with start_dirac(tmp_path_factory.mktemp("dirac")) as running:
        yield running


@pytest.fixture
def guest(place: Place, central: Central) -> Guest:
    """A machine that has got its proxy from its site."""
    host = central.identities["vm"]
    secrets = {"certificate": f"file:{host.certificate}", "key": f"file:{host.key}"}
    place.write_site({**DIRAC, **secrets})
    settings = {"dirac_manager": MANAGER, "ca_path": "/certificates"}
    made = place.make_guest(place.start_vm(place.make_template()), **settings)
    (made.root / "certificates").symlink_to(central.ca_path)
    made.agent.step(time.time())
    place.acts()
    made.agent.step(time.time())
    assert made.agent.detail == "answered by the site"
    return made


def way(central: Central, certificate: Path, key: Path) -> Diset:
    return central.diset("vm")._replace(certificate=str(certificate), key=str(key))


def test_a_machine_lives_by_its_proxy(central: Central, guest: Guest) -> None:
    service = way(central, guest.path("certificate"), guest.path("key"))
    uid = f"torino-{guest.id}-{time.monotonic_ns()}"
    assert service.call("insertInstance", uid, "image", uid, "CLOUD.Rig.eu::absent", "rigvo")["OK"]
    running = service.call("declareInstanceRunning", uid, "10.0.0.5")
    assert running["Value"]["Instance"]["Status"] == "Running"
    assert service.call("instanceIDHeartBeat", uid, 0.5, 1, 0, 100, 60)["OK"]
    assert service.call("declareInstanceHalting", uid, 0.0)["OK"]
    log = central.log(SERVICE).read_text()
    assert re.search(r"\[hosts:vm\.[^]]*\] RPC/instanceIDHeartBeat", log)


def test_a_machine_may_no_more_than_its_host(central: Central, guest: Guest) -> None:
    service = way(central, guest.path("certificate"), guest.path("key"))
    refused = service.call("declareInstancesStopping", [1])
    assert not refused["OK"]
    assert "Unauthorized" in refused["Message"]


@pytest.mark.parametrize("case", ["expired", "chained"])
def test_an_expired_proxy_and_a_proxy_of_a_proxy_are_refused(
    central: Central, guest: Guest, tmp_path: Path, case: str
) -> None:
    host = central.identities["vm"]
    now = datetime.now(UTC)
    key = rsa.generate_private_key(65537, 2048)
    if case == "expired":
        signer = read_host_certificate(host.certificate.read_text(), host.key.read_text(), now)
        proxy = sign_proxy(signer, key.public_key(), now - timedelta(hours=2), timedelta(hours=1))
    else:
        signer = read_host_certificate(guest.path("certificate").read_text(), guest.path("key").read_text(), now)
        proxy = sign_proxy(signer, key.public_key(), now, timedelta(hours=1))
    identity = Identity(tmp_path / "proxy.pem", tmp_path / "proxy.key")
    identity.certificate.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (proxy, *signer.chain)))
    identity.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(DisetError):
        way(central, identity.certificate, identity.key).call("ping")


SCRIPT = """
import DIRAC
DIRAC.initialize()
from DIRAC.Core.Base.Client import Client
manager = Client(url="WorkloadManagement/VirtualMachineManager", timeout=10)
print("answer", manager.getInstanceCounters("Status", {}))
"""


def test_diracs_own_client_works_with_it_too(central: Central, guest: Guest, tmp_path: Path) -> None:
    """A pilot shows the same files to DIRAC by DIRAC's own library, as a host, with the agent's folder of CAs."""
    proxy = Identity(guest.path("certificate"), guest.path("key"))
    client = dataclasses.replace(central, folder=tmp_path, identities={"proxy": proxy})
    (tmp_path / "grid-security/vomsdir").mkdir(parents=True)
    (tmp_path / "grid-security/certificates").symlink_to(guest.root / pilot_ca_path(guest.settings).lstrip("/"))
    client.write_client("proxy")
    done = subprocess.run(
        [central.software / "bin/python", "-c", SCRIPT],
        env=client.environment("proxy"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "answer {'OK': True" in done.stdout, done.stdout + done.stderr


@pytest.mark.nightly
def test_dirac_9_takes_it_for_the_host_as_well(place: Place, tmp_path: Path) -> None:
    with start_dirac9(tmp_path / "dirac9") as dirac:
        host = dirac.identities["vm"]
        place.write_site({**DIRAC, "certificate": f"file:{host.certificate}", "key": f"file:{host.key}"})
        settings = {"dirac_manager": MANAGER, "ca_path": "/certificates"}
        machine = place.make_guest(place.start_vm(place.make_template()), **settings)
        (machine.root / "certificates").symlink_to(dirac.ca_path)
        machine.agent.step(time.time())
        place.acts()
        machine.agent.step(time.time())
        files = str(machine.path("certificate")), str(machine.path("key"))
        known = Diset(dirac.url, *files, str(dirac.ca_path)).call("whoami")
        assert known["OK"], known
        assert known["Value"]["group"] == "hosts"
        assert known["Value"]["DN"].endswith("/CN=vm.site.example")
