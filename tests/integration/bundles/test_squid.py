"""What the real squid makes of the squid bundle: who may fetch what through it, and what it keeps."""

import re
from collections.abc import Iterator

import pytest

from b2ct.assets import Assets
from tests.rigs.cloud_init import RUNCMD, carry, contextualize, start_guest, write
from tests.rigs.container import Container

PROXY = "10.99.0.1"
STRATUM_ONE = "cvmfs-stratum-one.cern.ch"
HOSTS = f"127.0.0.1 localhost\n{PROXY} squid-1\n10.99.0.80 {STRATUM_ONE}\n10.99.0.81 www.{STRATUM_ONE} example.org\n"
CLIENT, STRANGER = "10.1.2.3", "203.0.113.9"


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The guest, and servers on the ports 80, 8000 and 8080 of all addresses."""
    user_data = Assets().read_text("templates/squid/user-data.yaml")
    with start_guest(tmp_path_factory.mktemp("squid") / "system") as machine:
        for address in (PROXY, CLIENT, STRANGER, "10.99.0.80", "10.99.0.81"):
            machine.tell("ip", "address", "add", f"{address}/32", "dev", "lo")
        write(machine, "/etc/hosts", HOSTS)
        write(machine, "/srv/cvmfs/belle.cern.ch/data", "x" * 1000)
        for port in ("80", "8000", "8080"):
            serve = ("python3", "-m", "http.server", port, "--directory", "/srv")
            machine.tell("systemd-run", f"--unit=origin-{port}", *serve)
        contextualize(machine, {"SET_HOSTNAME": "squid-1", **carry(user_data)})
        yield machine


def fetch(guest: Container, url: str, client: str = CLIENT) -> tuple[str, str]:
    """The HTTP status, or that of a refused tunnel, and whether squid had it (HIT, MISS or nothing).

    A squid that reads its configuration anew closes its port for a moment, so refused connections are made again.
    """
    options = ["--proxy", f"http://{PROXY}:3128", "--interface", client, "--max-time", "20", "--silent"]
    options += ["--retry", "5", "--retry-connrefused", "--retry-delay", "1"]
    done = guest.run(["curl", *options, "--dump-header", "-", "--output", "/root/answer", url])
    text = done.stdout.decode()
    status = re.search(r"^HTTP/\S+ (\d+)", text)
    cached = re.search(r"^X-Cache: (\w+) from", text, re.MULTILINE)
    assert status is not None, (done.returncode, text)
    return status[1], cached[1] if cached else ""


def test_squid_finds_nothing_to_complain_about(guest: Container) -> None:
    done = guest.run(["squid", "-k", "parse"])
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert "Processing Configuration File: /etc/squid/squid.conf" in said
    assert not re.search(r"ERROR|WARNING|FATAL|unrecognized", said), said


def test_what_was_fetched_once_is_kept_also_when_the_commands_run_again(guest: Container) -> None:
    url = f"http://{STRATUM_ONE}/cvmfs/belle.cern.ch/data"
    assert fetch(guest, url) == ("200", "MISS")
    assert fetch(guest, url) == ("200", "HIT")
    guest.tell("sh", "-e", RUNCMD)
    assert fetch(guest, url) == ("200", "HIT")
    assert guest.tell("sh", "-c", "ls -d /var/spool/squid/0? | wc -l") == "16\n"


def test_a_stratum_one_may_also_use_port_8000(guest: Container) -> None:
    assert fetch(guest, f"http://{STRATUM_ONE}:8000/cvmfs/belle.cern.ch/data") == ("200", "MISS")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/cvmfs/belle.cern.ch/data",
        f"http://www.{STRATUM_ONE}/cvmfs/belle.cern.ch/data",
        "http://10.99.0.80/cvmfs/belle.cern.ch/data",  # its name in the DNS is up to the owner of the address
        f"http://{STRATUM_ONE}:8080/cvmfs/belle.cern.ch/data",
        f"https://{STRATUM_ONE}/",
        f"https://{STRATUM_ONE}:8000/",
        "http://localhost:3128/squid-internal-mgr/info",
    ],
)
def test_nothing_else_is_fetched(url: str, guest: Container) -> None:
    assert fetch(guest, url)[0] == "403"


def test_nobody_else_may_fetch(guest: Container) -> None:
    assert fetch(guest, f"http://{STRATUM_ONE}/cvmfs/belle.cern.ch/data", STRANGER)[0] == "403"
