from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent import credentials
from b2ct_vmagent.checks import State
from b2ct_vmagent.credential_files import (
    digest,
    pem_part,
    read_certificate_end,
    read_token_end,
    verify_certificate,
)
from b2ct_vmagent.credentials import (
    Credentials,
    check_credentials,
    expected,
    pilot_ca_path,
    settle_credentials,
)
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Done
from b2ct_vmagent.settings import Settings
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def make_token(**claims: object) -> str:
    words = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims)]
    return ".".join([*words, "c2ln"])


def test_where_credentials_are() -> None:
    own = Settings(certificate="/etc/mine.pem", ca_path="/cvmfs/ca")
    assert settle_credentials(own) == own
    assert pilot_ca_path(own) == "/cvmfs/ca"
    delivered = settle_credentials(own._replace(credentials="onegate"))
    assert (delivered.certificate, delivered.key, delivered.condor_token, delivered.diracx_token) == (
        "/var/lib/b2ct-vm/credentials/hostcert.pem",
        "/var/lib/b2ct-vm/credentials/hostkey.pem",
        "/var/lib/b2ct-vm/credentials/condor.token",
        "/var/lib/b2ct-vm/credentials/diracx.token",
    )
    assert delivered.ca_path == "/cvmfs/ca"
    assert pilot_ca_path(delivered) == "/run/b2ct-vm/certificates"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (Settings(), ()),
        (Settings(dirac_manager="dips://x:1/A/B"), ("certificate",)),
        (Settings(pilot_kind="dirac"), ("certificate",)),
        (Settings(pilot_kind="htcondor"), ("condor_token",)),
        (Settings(diracx_url="https://x"), ("diracx_token",)),
        (Settings(diracx_url="https://x", dirac_manager="dips://x:1/A/B"), ("certificate", "diracx_token")),
    ],
)
def test_what_is_expected(settings: Settings, names: tuple[str, ...]) -> None:
    assert expected(settings) == names


@pytest.mark.parametrize(
    ("text", "end_s"), [(make_token(exp=5), 5.0), (make_token(exp=5.5), 5.5), (make_token(sub="x"), None)]
)
def test_a_tokens_end(text: str, end_s: float | None) -> None:
    assert read_token_end(text) == end_s


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "a.W10.c", make_token() + "\n"])
def test_no_token(text: str) -> None:
    with pytest.raises(AgentError, match="no token"):
        read_token_end(text)


ODD_TIMES = ["soon", True, -1, 1e12, 10**400, float("inf"), float("nan")]


@pytest.mark.parametrize("exp", ODD_TIMES)
def test_a_token_that_ends_at_no_time(exp: object) -> None:
    with pytest.raises(AgentError, match="no time"):
        read_token_end(make_token(exp=exp))


@pytest.mark.parametrize("renew_s", ODD_TIMES)
def test_an_answer_that_is_renewed_at_no_time(renew_s: object) -> None:
    document = {"format": 1, "key": "k", "renew_s": renew_s}
    with pytest.raises(AgentError, match="cannot be read"):
        credentials._read_answer(base64.b64encode(json.dumps(document).encode()).decode())  # noqa: SLF001 - it reads what others wrote


@given(st.text(max_size=60))
def test_no_text_is_more_than_an_error(text: str) -> None:
    for read in (read_token_end, digest, lambda part: pem_part(part, "PUBLIC KEY"), credentials._read_answer):  # noqa: SLF001 - it reads what others wrote
        try:
            read(text)
        except AgentError:
            continue


class Program:
    """Stands for openssl."""

    def __init__(self, **outputs: Done) -> None:
        self.outputs = outputs
        self.ran: list[str] = []

    def __call__(self, argv: Sequence[str], _timeout_s: float) -> Done:
        self.ran.append(" ".join(argv))
        return self.outputs[argv[1]]


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (Done(127, "openssl: No such file"), "there is no openssl here"),
        (Done(1, "geheim"), "openssl x509 failed with exit code 1"),
        (Done(124, "no answer"), "openssl x509 failed with exit code 124"),
        (Done(0, "notAfter=never"), "its end cannot be read"),
        (Done(0, ""), "its end cannot be read"),
    ],
)
def test_openssl_that_fails_tells_no_secret(done: Done, words: str) -> None:
    with pytest.raises(AgentError, match=words) as caught:
        read_certificate_end("/x", Program(x509=done))
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (Done(127, "env: 'openssl': No such file"), "there is no openssl here"),
        (Done(2, "CN = x\nerror 20 at 0 depth lookup: unable to get it\nerror /x: failed"), "it: unable to get it$"),
        (Done(124, "no answer in 60 s"), "it: exit code 124$"),
        # OpenSSL 1.0.2 of EL 7
        (Done(0, "/x: CN = x\nerror 18 at 0 depth lookup:self signed certificate\nOK"), "it: self signed certificate$"),
    ],
)
def test_a_certificate_that_is_not_good(done: Done, words: str) -> None:
    with pytest.raises(AgentError, match=words):
        verify_certificate("/x", ["-CApath", "/ca"], 1.5, lambda _argv, _timeout_s: done)


def test_the_end_of_a_certificate() -> None:
    assert read_certificate_end("/x", Program(x509=Done(0, "notAfter=Nov 21 18:00:00 2026 GMT"))) == 1795284000


SETTINGS = Settings(pilot_kind="htcondor", condor_token="/token", vmid="7")  # noqa: S106 - a file's name


@pytest.mark.parametrize(
    ("text", "settings", "state", "words"),
    [
        (None, SETTINGS, State.FAILED, "/token is missing"),
        (None, SETTINGS._replace(credentials="onegate"), State.FAILED, "the site has not answered yet"),
        ("nonsense", SETTINGS, State.FAILED, "/token: no token"),
        (make_token(exp=1000), SETTINGS, State.FAILED, "condor_token: expired"),
        (make_token(exp=1000 + 3600), SETTINGS, State.WARNING, "condor_token: 1.0 hours left"),
        (make_token(exp=1000 + 3600), SETTINGS._replace(credentials="onegate"), State.OK, "1.0 hours left"),
        (make_token(exp=1000 + 10 * 86400), SETTINGS, State.OK, "condor_token: 10 days left"),
        (make_token(sub="x"), SETTINGS, State.OK, "condor_token: never expires"),
        (None, Settings(), State.SKIPPED, "nothing needs any"),
    ],
)
def test_check(tmp_path: Path, text: str | None, settings: Settings, state: State, words: str) -> None:
    if text is not None:
        (tmp_path / "token").write_text(text + "\n")
    found = check_credentials(Paths(str(tmp_path)), settings, Program(), 1000)
    assert found.state is state
    assert words in found.detail


def test_a_key_that_does_not_fit(tmp_path: Path) -> None:
    for name in ("cert", "key"):
        (tmp_path / name).write_text("x")
    pem = "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----"
    settings = Settings(dirac_manager="dips://x:1/A/B", certificate="/cert", key="/key")
    end = "notAfter=Nov 21 18:00:00 2036 GMT\n"
    for part, state in (("QUJD", State.OK), ("QUJE", State.FAILED)):
        run = Program(x509=Done(0, end + pem.format("QUJD")), pkey=Done(0, pem.format(part)))
        assert check_credentials(Paths(str(tmp_path)), settings, run, 1_800_000_000).state is state
    (tmp_path / "key").unlink()
    assert "key is missing" in check_credentials(Paths(str(tmp_path)), settings, run, 1_800_000_000).detail


class Gate:
    """An entry in the cloud that is as it is."""

    def __init__(self, **told: str) -> None:
        self.told = told

    def read(self) -> dict[str, str]:
        return self.told

    def write(self, facts: dict[str, str]) -> None:
        self.told.update(facts)


def test_a_fault_does_not_end_the_thread(tmp_path: Path) -> None:
    class Broken(Gate):
        def read(self) -> dict[str, str]:
            raise RuntimeError("geheim")

    folder = tmp_path / "var/lib/b2ct-vm/credentials"
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(json.dumps({"vmid": "7", "request": "r", "key": "k"}))
    (folder / "hostkey.pem").write_text("x")
    agent = Credentials(Paths(str(tmp_path)), SETTINGS, Broken(), Program())
    assert 2 < agent.step(0) < 8
    assert agent.detail == "a fault of the agent: RuntimeError"


def test_a_machine_without_openssl_says_so_and_goes_on(tmp_path: Path) -> None:
    agent = Credentials(Paths(str(tmp_path)), SETTINGS, Gate(), Program(genpkey=Done(127, "")))
    pauses = [agent.step(0) for _ in range(20)]
    assert "there is no openssl here" in agent.detail
    assert all(2 < pause_s <= 60 for pause_s in pauses)
    assert pauses[0] < 8
    assert pauses[-1] > 29


def test_a_damaged_state_and_a_full_disk_are_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "var/lib/b2ct-vm/credentials"
    folder.mkdir(parents=True)
    (folder / "request.json").write_text("[")
    (folder / "hostkey.pem").write_text("x")
    agent = Credentials(Paths(str(tmp_path)), SETTINGS, Gate(), Program(genpkey=Done(1, "")))
    agent.step(0)
    assert agent.detail == "openssl genpkey failed with exit code 1"

    def full(*_: object) -> None:
        raise AgentError("/var: No space left on device")

    monkeypatch.setattr(credentials, "write_file", full)
    agent.step(0)
    assert agent.detail == "/var: No space left on device"
