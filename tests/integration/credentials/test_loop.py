"""A machine asks, its site answers, the machine keeps what it got: with real openssl, over a pretended OpenNebula."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.checks import State
from b2ct_vmagent.credentials import AUTHORITIES, check_credentials, settle_credentials
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import run_program
from cryptography.hazmat.primitives.serialization import Encoding

from tests.rigs.dirac.certificates import issue, make_authority, write_authority

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.credentials.conftest import Guest, Place

MANAGER = "dips://dirac.example.org:9163/WorkloadManagement/VirtualMachineManager"
DIRAC = {
    "kind": "dirac",
    "setup": "Rig-Dev",
    "configuration_servers": ["dips://dirac.example.org:9135/Configuration/Server"],
    "site_name": "CLOUD.Torino.it",
    "certificate": "file:host.pem",
    "key": "file:host.key",
}
CONDOR = {"kind": "htcondor", "central_manager": "pool.example.org", "token": "file:condor.token"}
SCOPE = "condor:/ADVERTISE_STARTD condor:/ADVERTISE_MASTER condor:/READ"


def make_token(**claims: object) -> str:
    parts = ({"alg": "HS256"}, claims)
    words = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*words, "c2lnbmF0dXJl"])


def all_files(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def dirac(place: Place) -> Place:
    issue_host(place, "vm.site.example")
    place.write_site(DIRAC)
    return place


def issue_host(place: Place, name: str) -> None:
    """Give the site a host certificate, and its machines the CA."""
    authority = make_authority("Rig CA")
    issue(authority, name, place.folder / "host")
    write_authority(authority, place.folder / "certificates")


def make_worker(place: Place) -> Guest:
    guest = place.make_guest(place.start_vm(place.make_template()), dirac_manager=MANAGER, ca_path="/certificates")
    (guest.root / "certificates").symlink_to(place.folder / "certificates")
    return guest


def check(guest: Guest) -> tuple[State, str]:
    found = check_credentials(Paths(str(guest.root)), settle_credentials(guest.settings), run_program)
    return found.state, found.detail


@pytest.mark.parametrize("place", ["6.10", "7.4"], indirect=True)
def test_a_proxy_is_asked_for_signed_and_kept(dirac: Place) -> None:
    guest = make_worker(dirac)
    assert dirac.acts() == {guest.id: ("wait", "it has not asked yet")}
    assert check(guest)[0] is State.FAILED
    guest.agent.step(time.time())
    assert guest.agent.detail == "asked the site"
    guest.agent.step(time.time())
    assert guest.agent.detail == "the site has not answered yet"
    assert dirac.acts("--dry-run") == {guest.id: ("answer", "it asks for the first time")}
    assert dirac.acts("--dry-run") == {guest.id: ("answer", "it asks for the first time")}
    assert dirac.acts() == {guest.id: ("answer", "it asks for the first time")}
    assert 3000 < guest.agent.step(time.time()) < 4000
    assert guest.agent.detail == "answered by the site"
    assert check(guest) == (State.OK, "certificate: 24.0 hours left")
    assert dirac.acts() == {guest.id: ("keep", "what it has still holds")}


def test_files_are_private_and_openssl_accepts_the_chain(dirac: Place) -> None:
    guest = make_worker(dirac)
    guest.agent.step(time.time())
    dirac.acts()
    guest.agent.step(time.time())
    folder = guest.path("certificate").parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("hostcert.pem", "hostkey.pem", "request.json"), 0o600
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(guest.path("certificate"), guest.path("key"))
    shown = subprocess.run(
        ["openssl", "x509", "-in", guest.path("certificate"), "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Proxy Certificate Information: critical" in shown
    assert "Path Length Constraint: 00\n" in shown
    assert "Inherit all" in shown


def test_no_lasting_secret_leaves_the_site(dirac: Place) -> None:
    guest = make_worker(dirac)
    guest.agent.step(time.time())
    _, out, err = dirac.run()
    guest.agent.step(time.time())
    key = (dirac.folder / "host.key").read_text().splitlines()[3]
    guest_key = guest.path("key").read_text().splitlines()[3]
    told = json.dumps(dict(dirac.gate.machines[guest.id].attributes))
    answer = base64.b64decode(dirac.gate.machines[guest.id].attributes["B2CT_ANSWER"]).decode()
    calls = str(dirac.one.calls)
    assert key not in all_files(guest.root) + told + answer + calls + out + err
    assert guest_key not in told + answer + calls + out + err


def test_it_is_renewed_when_half_is_over_and_expiry_is_seen(dirac: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = make_worker(dirac)
    guest.agent.step(time.time())
    dirac.acts()
    guest.agent.step(time.time())
    first = guest.path("certificate").read_text()
    later = time.time() + 13 * 3600
    assert guest.agent.step(later) < 60
    assert guest.agent.detail == "the site's answer is to be renewed"
    _shift_site_clock(monkeypatch, 13)
    assert dirac.acts() == {guest.id: ("answer", "half of the time is over")}
    assert guest.agent.step(later) > 3000
    assert guest.path("certificate").read_text() != first
    assert guest.agent.step(later + 40 * 3600) < 60
    _shift_site_clock(monkeypatch, 60)
    assert dirac.acts() == {guest.id: ("answer", "what it had has expired")}
    found = check_credentials(
        Paths(str(guest.root)), settle_credentials(guest.settings), run_program, time.time() + 60 * 3600
    )
    assert (found.state, found.detail) == (State.FAILED, "certificate: expired")


def _shift_site_clock(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - only here

    def now() -> datetime:
        return datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)

    for module in ("round", "issuers"):
        monkeypatch.setattr(f"b2ct.apply.credentials.{module}.now_utc", now)


def test_a_changed_host_certificate_reaches_the_machines(dirac: Place) -> None:
    guest = make_worker(dirac)
    guest.agent.step(time.time())
    dirac.acts()
    guest.agent.step(time.time())
    issue_host(dirac, "other.site.example")
    assert dirac.acts() == {guest.id: ("answer", "the site's credentials were changed")}
    guest.agent.step(time.time())
    shown = ["openssl", "x509", "-in", str(guest.path("certificate")), "-noout", "-issuer"]
    assert "other.site.example" in subprocess.run(shown, capture_output=True, text=True, check=True).stdout


def test_an_agent_that_starts_again_keeps_its_key(dirac: Place) -> None:
    guest = make_worker(dirac)
    guest.agent.step(time.time())
    dirac.acts()
    key = guest.path("key").read_text()
    guest.restart(dirac.gate)
    guest.agent.step(time.time())
    assert guest.agent.detail == "answered by the site"
    assert guest.path("key").read_text() == key


def test_a_copied_disk_gets_a_key_of_its_own(dirac: Place) -> None:
    first = make_worker(dirac)
    first.agent.step(time.time())
    dirac.acts()
    first.agent.step(time.time())
    copy = dirac.make_guest(dirac.start_vm(0), dirac_manager=MANAGER)
    copy.root.rmdir()
    first.root.rename(copy.root)
    copy.agent.step(time.time())
    assert not copy.path("certificate").exists()
    assert dirac.acts() == {
        first.id: ("keep", "what it has still holds"),
        copy.id: ("answer", "it asks for the first time"),
    }


def test_a_machine_that_changes_its_key_waits(dirac: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = make_worker(dirac)
    guest.agent.step(time.time())
    dirac.acts()
    guest.agent.step(time.time())
    guest.path("key").unlink()
    guest.agent.step(time.time())
    guest.agent.step(time.time())
    assert guest.agent.detail == "the site has not answered this machine's new request yet"
    assert dirac.acts()[guest.id][0] == "wait"
    _shift_site_clock(monkeypatch, 0.2)
    assert dirac.acts() == {guest.id: ("answer", "it asks with a new key")}
    guest.agent.step(time.time() + 0.2 * 3600)
    assert check(guest)[0] is State.OK


@pytest.mark.parametrize(
    ("request_text", "reason"),
    [
        ("nonsense", "its request is no certificate request"),
        ("A" * 5000, "its request is longer than 4096 characters"),
        (base64.b64encode(b"0\x82\x01\x00").decode(), "its request is no certificate request"),
    ],
)
def test_odd_requests_are_refused(dirac: Place, request_text: str, reason: str) -> None:
    number = dirac.start_vm(dirac.make_template())
    dirac.gate.machines[number].attributes["B2CT_REQUEST"] = request_text
    assert dirac.acts() == {number: ("refuse", reason)}


def test_machines_that_are_not_workers_of_the_site_are_refused(dirac: Place) -> None:
    mine = dirac.make_template()
    guests = {
        "made by a user": dirac.start_vm(dirac.make_template(session=dirac.users["belle"], kind="worker")),
        "another site's": dirac.start_vm(dirac.make_template("t2k", site="bologna"), "t2k"),
        "a squid": dirac.start_vm(dirac.make_template("belle", kind="squid")),
        "says so itself": dirac.start_vm(
            dirac.make_template("belle", kind="other"),
            extra='CONTEXT=[B2CT_KIND="worker",B2CT_SITE="torino",B2CT_VO="belle"]',
        ),
    }
    asker = dirac.make_guest(dirac.start_vm(mine), dirac_manager=MANAGER)
    asker.agent.step(time.time())
    asked = dirac.gate.machines[asker.id].attributes["B2CT_REQUEST"]
    for number in guests.values():
        dirac.gate.machines[number].attributes["B2CT_REQUEST"] = asked
    acts = dirac.acts()
    reason = ("refuse", "it asks, and was not made from a worker template of this site")
    assert {name: acts[number] for name, number in guests.items()} == dict.fromkeys(guests, reason)
    assert acts[asker.id] == ("refuse", "another machine asks with the same key: one is a copy of the other's disk")
    assert all("B2CT_ANSWER" not in dirac.gate.machines[number].attributes for number in (*guests.values(), asker.id))


def test_another_group_is_refused_and_oneadmin_is_not(dirac: Place) -> None:
    template = dirac.make_template()
    dirac.client().call("template.chmod", template, 1, 1, 0, 1, 0, 0, 1, 0, 0)
    foreign, admins = (
        dirac.make_guest(dirac.start_vm(template, user), dirac_manager=MANAGER) for user in ("t2k", "oneadmin")
    )
    for guest in (foreign, admins):
        guest.agent.step(time.time())
    assert dirac.acts() == {
        foreign.id: ("refuse", "it belongs to the group t2k, its template to belle"),
        admins.id: ("answer", "it asks for the first time"),
    }


def test_machines_of_a_removed_template_are_answered(dirac: Place) -> None:
    guest = make_worker(dirac)
    guest.agent.step(time.time())
    dirac.client().call("template.delete", 0)
    assert dirac.acts() == {guest.id: ("answer", "it asks for the first time")}


@pytest.mark.parametrize("place", ["6.10", "7.4"], indirect=True)
def test_a_token_of_a_pool_is_sealed_for_its_vo(place: Place) -> None:
    identity = "vm-{}-torino@pool.example.org"
    tokens = {vo: make_token(sub=identity.format(vo), scope=SCOPE, jti=vo) for vo in ("belle", "t2k")}
    (place.folder / "condor.token").write_text("\n".join(tokens.values()) + "\n")
    place.write_site(CONDOR, vos=("belle", "t2k", "ilc"))
    guests = {vo: place.make_guest(place.start_vm(place.make_template(vo), vo), pilot_kind="htcondor") for vo in tokens}
    for guest in guests.values():
        guest.agent.step(time.time())
    assert {act for act, _ in place.acts().values()} == {"answer"}
    for vo, guest in guests.items():
        guest.agent.step(time.time())
        assert guest.path("condor_token").read_text() == tokens[vo] + "\n"
        assert guest.path("condor_token").stat().st_mode & 0o777 == 0o600
        assert check(guest) == (State.OK, "condor_token: never expires")
        answer = base64.b64decode(place.gate.machines[guest.id].attributes["B2CT_ANSWER"]).decode()
        assert tokens[vo] not in answer + str(place.one.calls)
        assert sorted(path.name for path in guest.path("key").parent.iterdir()) == [
            "condor.token",
            "hostkey.pem",
            "request.json",
        ]


def test_a_token_for_another_machine_is_not_kept(place: Place) -> None:
    (place.folder / "condor.token").write_text(make_token(sub="any@pool.example.org", scope=SCOPE))
    place.write_site(CONDOR)
    guest = place.make_guest(place.start_vm(place.make_template()), pilot_kind="htcondor")
    guest.agent.step(time.time())
    place.acts()
    document = json.loads(base64.b64decode(place.gate.machines[guest.id].attributes["B2CT_ANSWER"]))
    guest.agent._vmid = "4711"  # noqa: SLF001 - as if the answer had been copied from there
    with pytest.raises(Exception, match="for another machine"):
        guest.agent._keep(document, time.time())  # noqa: SLF001 - the same
    document["sealed"] = base64.b64encode(b"0" * 500).decode()
    with pytest.raises(Exception, match="cannot be opened"):
        guest.agent._keep(document, time.time())  # noqa: SLF001 - the same
    assert not guest.path("condor_token").exists()


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"sub": "x", "scope": "condor:/DAEMON"}, "allows more than to advertise"),
        ({"sub": "x"}, "allows more than to advertise"),
        ({"sub": "x", "scope": SCOPE, "exp": 1}, "the tokens of central.token have expired"),
    ],
)
def test_a_token_that_may_too_much_or_nothing_is_not_handed_out(
    place: Place, claims: dict[str, object], reason: str
) -> None:
    (place.folder / "condor.token").write_text(make_token(**claims))
    place.write_site(CONDOR)
    code, out, err = place.run()
    assert (code, out) == (1, "")
    assert reason in err


def test_answers_that_are_none_change_nothing(dirac: Place) -> None:
    guest = make_worker(dirac)
    guest.agent.step(time.time())
    dirac.acts()
    guest.agent.step(time.time())
    good = guest.path("certificate").read_text()
    attributes = dirac.gate.machines[guest.id].attributes
    document = json.loads(base64.b64decode(attributes["B2CT_ANSWER"]))
    evil = make_authority("Evil CA")
    stranger = issue(evil, "vm.site.example", dirac.folder / "evil").certificate.read_text()
    evil_ca = evil.certificate.public_bytes(Encoding.PEM).decode()
    trusted = sorted(path.name for path in (guest.root / AUTHORITIES[1:]).iterdir())
    for change, detail in (
        ({"format": 2}, "cannot be read"),
        ({"key": 1}, "cannot be read"),
        ({"renew_s": "soon"}, "cannot be read"),
        ({"renew_s": float("inf")}, "cannot be read"),
        ({"renew_s": 10**400}, "cannot be read"),
        ({"certificate": stranger}, "for another key"),
        ({"certificate": good + "\n-----BEGIN PRIVATE KEY-----"}, "not certificates in PEM"),
        ({"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "openssl x509 failed"),
        ({"certificate": good + evil_ca}, "a certificate that signed itself"),
        ({"certificate": good.partition("END")[0] + "END CERTIFICATE-----\n" + stranger}, "does not verify it"),
        ({"certificate": None}, "answered by the site without certificate"),
    ):
        attributes["B2CT_ANSWER"] = base64.b64encode(json.dumps({**document, **change}).encode()).decode()
        guest.agent.step(time.time())
        assert detail in guest.agent.detail
        assert guest.path("certificate").read_text() == good
        assert sorted(path.name for path in (guest.root / AUTHORITIES[1:]).iterdir()) == trusted
    for text in ("", "%%%", "W10=", "bnVsbA==", "W" * 100_000):
        attributes["B2CT_ANSWER"] = text
        assert guest.agent.step(time.time()) <= 60
        assert "ask" not in guest.agent.detail
    assert guest.path("certificate").read_text() == good


def test_onegate_that_fails_is_asked_again(dirac: Place) -> None:
    guest = make_worker(dirac)
    dirac.gate.failures = [500, 0, 401]
    for words in ("HTTP 500", "127.0.0.1", "HTTP 401"):
        assert guest.agent.step(time.time()) <= 60
        assert words in guest.agent.detail
    guest.agent.step(time.time())
    assert guest.agent.detail == "asked the site"


@pytest.mark.parametrize(
    ("central", "code", "reason"),
    [
        (None, 2, "set central"),
        (
            {name: value for name, value in DIRAC.items() if name not in {"certificate", "key"}},
            2,
            "set central.certificate and central.key",
        ),
        ({**DIRAC, "key": "file:nothing"}, 2, "cannot be read"),
        ({**DIRAC, "key": "file:host.pem"}, 1, "holds no unencrypted private key"),
        ({**DIRAC, "certificate": "file:host.key"}, 1, "holds no certificates"),
        ({**DIRAC, "key": "file:other.key"}, 1, "does not belong to"),
        ({**DIRAC, "certificate": "file:old.pem", "key": "file:old.key"}, 1, "is not valid now"),
    ],
)
def test_credentials_of_the_site_that_cannot_be_used(
    dirac: Place, central: dict[str, object] | None, code: int, reason: str
) -> None:
    authority = make_authority("Rig CA")
    issue(authority, "other", dirac.folder / "other")
    issue(authority, "old", dirac.folder / "old", days=-1)
    dirac.write_site(central or {})
    if central is None:
        site = json.loads((dirac.folder / "site.yaml").read_text())
        del site["central"]
        (dirac.folder / "site.yaml").write_text(json.dumps(site))
    done, out, err = dirac.run()
    assert (done, out) == (code, "")
    assert reason in err
    assert "PRIVATE" not in err


def test_one_line_for_each_machine(dirac: Place) -> None:
    code, _, err = dirac.run()
    assert (code, err) == (0, "No virtual machine of this site runs.\n")
    guest = make_worker(dirac)
    guest.agent.step(time.time())
    code, out, err = dirac.run("--dry-run")
    assert (code, err) == (0, "Nothing was changed: this was a dry run.\n")
    assert out.split() == f"answer {guest.id} belle-worker-{guest.id} belle it asks for the first time".split()
    _, out, _ = dirac.run()
    assert " it asks for the first time (until 20" in out
    code, out, _ = dirac.run("--watch", "60", "--json")
    assert code == 2
    assert "--json shows one round" in out
