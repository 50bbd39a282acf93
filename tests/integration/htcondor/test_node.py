"""A machine joins a real pool, works, drains and turns itself off; it can claim nothing that is not its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct_vmagent.checks import State
from b2ct_vmagent.htcondor import check_condor_token, condor_quote, condor_value
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.settings import Settings

from b2ct.render import htcondor_pool
from b2ct.render.htcondor_pool import pool_identity, render_job_requirements, render_token_command
from tests.integration.htcondor.conftest import BELLE, SITE
from tests.rigs.htcondor.pool import DOMAIN, MACHINE, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.htcondor.conftest import Node
    from tests.rigs.htcondor.pool import Pool

HOSTILE = (
    "$(HOSTNAME)",
    "$ENV(HOME)",
    'say "no"',
    "back\\slash",
    "end\\",
    '\\"',
    "a # b",
    "5$ (x)",
    "$",
    "@=end",
    "é☃",
    "%s {0}",
)
FLAVOUR = 'big "$(HOSTNAME)" \\ 100%'
SECRETS = "/etc/b2ct-vm/agent.conf /etc/b2ct-vm/condor.token /var/lib/b2ct-vm /var/lib/b2ct-vm-pilot/0/tokens.d"
SPY = f"for f in {SECRETS}; do ls $f/ >/dev/null 2>&1 || cat $f >/dev/null 2>&1 && echo open $f; done"
SHORT = f"{SPY}\nid -un\ncat $MACHINEFEATURES/shutdowntime"
UNTIL_DRAINED = """
end=$(cat $MACHINEFEATURES/shutdowntime)
while [ "$(cat $MACHINEFEATURES/shutdowntime)" = "$end" ]; do sleep 0.2; done
sleep 8
echo worked
"""
FIFTY_DAYS_S = 50 * 86400


def test_it_joins_works_drains_and_goes(pool: Pool, node: Node) -> None:
    container = node.container
    container.tell("systemctl", "start", "condor")  # as the package does; it has to make room
    node.start(pool.make_token(BELLE), flavour=FLAVOUR)
    wait_until("the machine has joined", lambda: bool(pool.slots()))
    slot = pool.slots()[0]
    assert (slot["VO"], slot["VMSite"], slot["VMType"]) == ("belle", SITE, FLAVOUR)
    assert slot["AuthenticatedIdentity"] == BELLE
    assert slot["VMUUID"] == container.tell("cat", "/var/lib/b2ct-vm/uid").strip()
    assert container.run(["systemctl", "is-active", "condor"]).stdout == b"inactive\n"
    done = container.run(["systemd-analyze", "verify", "b2ct-vm-htcondor.service"])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    inward = pool.central.run(["timeout", "3", "bash", "-c", f": </dev/tcp/{MACHINE}/9618"])
    assert inward.returncode != 0

    ours = render_job_requirements("belle", FLAVOUR)
    longer = pool.submit("true", ours, f"allowed_execute_duration = {FIFTY_DAYS_S}")
    short = pool.submit(SHORT, ours, "allowed_execute_duration = 3600")
    others = pool.submit("true", render_job_requirements("t2k.org"))
    wait_until("the short job is done", lambda: pool.job_state(short) == "done")
    user, shutdown_s = pool.output(short).split()
    assert user == "b2ct-job1"
    assert shutdown_s == container.tell("cat", "/run/b2ct-vm/machinefeatures/shutdowntime").strip()
    assert {pool.job_state(longer), pool.job_state(others)} == {"idle"}

    work = pool.submit(UNTIL_DRAINED, ours)
    wait_until("the long job runs", lambda: pool.job_state(work) == "running")
    node.wait_report(lambda report: report["state"] == "working" and report["jobs"] == 1)
    container.tell("b2ct-agent", "drain", "--reason", "maintenance")
    node.wait_report(lambda report: bool(report["state"] == "draining"))
    late = pool.submit("true", ours)
    node.wait_gone()
    assert pool.output(work) == "worked\n"
    assert pool.job_state(work) == "done"
    assert pool.job_state(late) == "idle"
    report = node.report()
    assert (report["outcome"], report["jobs"]) == ("100 maintenance", 0)
    assert report["done"] >= 1  # the short one may have been over between two looks
    assert pool.slots() == []


def test_a_forced_halt_gives_the_job_back(pool: Pool, node: Node) -> None:
    node.start(pool.make_token(BELLE))
    work = pool.submit("sleep 600", render_job_requirements("belle"))
    wait_until("the job runs", lambda: pool.job_state(work) == "running")
    node.container.tell("b2ct-agent", "halt", "--yes")
    node.wait_gone()
    assert node.report()["outcome"] == "100 Asked for inside the machine"
    assert pool.job_state(work) == "idle"  # at once, and not when the job's lease is over
    assert pool.slots() == []


def test_the_pools_admins_can_send_it_home(pool: Pool, node: Node) -> None:
    node.start(pool.make_token(BELLE))
    wait_until("the machine has joined", lambda: bool(pool.slots()))
    name = pool.slots()[0]["Name"].partition("@")[2]
    go = ["condor_off", "-peaceful", "-daemon", "master", "-name", name]
    wait_until("its master has joined as well, and obeys", lambda: pool.central.run(go).returncode == 0)
    node.wait_gone()
    assert node.report()["outcome"] == "300 No more work available from the task queue"
    assert pool.slots() == []


LIES = {
    "honest": '"belle"',
    "other": '"t2k.org"',
    "later": 'ifThenElse(TARGET.ProcId =!= undefined, "t2k.org", "belle")',
}
ADVERTISE = """
CONDOR_CONFIG=/run/b2ct-vm/pilots/0/condor_config _CONDOR_SEC_TOKEN_DIRECTORY=/var/lib/b2ct-vm-pilot/0/tokens.d
export CONDOR_CONFIG _CONDOR_SEC_TOKEN_DIRECTORY
cat >/root/ad
condor_advertise -tcp UPDATE_STARTD_AD /root/ad
"""


def test_it_cannot_claim_another_vo(pool: Pool, node: Node) -> None:
    before = pool.log().count("REQUIREMENTS VIOLATION")
    node.start(pool.make_token(BELLE), vo="t2k.org")
    wait_until("the collector refuses it", lambda: pool.log().count("REQUIREMENTS VIOLATION") > before + 2)
    assert pool.slots() == []

    for name, vo in LIES.items():
        lines = ('MyType = "Machine"', f'Name = "{name}"', f'Machine = "{name}"', f"VO = {vo}", f'VMSite = "{SITE}"')
        address = f'MyAddress = "<{MACHINE}:9618>"'
        node.container.tell("sh", "-c", ADVERTISE, data="\n".join([*lines, address, ""]).encode())
    wait_until("the last one is there", lambda: len(pool.slots()) == 2)
    assert {slot["Name"] for slot in pool.slots()} == {"honest", "later"}
    looked_at = pool.central.tell("condor_config_val", "NEGOTIATOR_SLOT_CONSTRAINT").strip()
    assert {slot["Name"] for slot in pool.slots(looked_at)} == {"honest"}


LOOK = """
import sys
sys.path.insert(0, "/usr/libexec/b2ct-vm/agent.pyz")
from b2ct_vmagent.context import load_context
from b2ct_vmagent.htcondor import check_condor_pool
from b2ct_vmagent.paths import Paths
print(check_condor_pool(Paths(), load_context(Paths()).settings))
"""


def test_a_token_that_may_not_advertise_is_refused(pool: Pool, node: Node) -> None:
    token = pool.make_token(BELLE, levels=("ADVERTISE_MASTER", "READ"))
    node.start(token)
    refused = "limited authorization which did not include this command (0 UPDATE_STARTD_AD)"
    wait_until("the collector refuses it", lambda: refused in pool.log())
    assert pool.slots() == []
    wait_until("the agent can tell", lambda: "the pool refuses this machine" in node.call(LOOK))
    assert 'Received "DENIED" from server' in node.call(LOOK)


def test_the_agent_knows_what_a_token_is_good_for(pool: Pool, tmp_path: Path) -> None:
    settings = Settings(pilot_kind="htcondor", condor_token="/token", condor_domain=DOMAIN)  # noqa: S106 - a file
    file = tmp_path / "token"

    def judge(token: bytes, now_s: float | None = None) -> tuple[State, str]:
        file.write_bytes(token)
        file.chmod(0o600)
        check = check_condor_token(Paths(str(tmp_path)), settings, now_s)
        return check.state, check.detail.removeprefix(f"{file}: ")

    created = pool.central.tell("sh", "-c", render_token_command(BELLE, 3600)).encode()
    assert judge(created) == (State.OK, f"{file} for {BELLE}")
    assert judge(created, 4e9) == (State.FAILED, judge(created, 4e9)[1])
    assert judge(created, 4e9)[1].startswith("expired on 20")
    assert judge(pool.make_token(BELLE, levels=("READ",)))[1] == (
        "does not allow condor:/ADVERTISE_MASTER, condor:/ADVERTISE_STARTD"
    )
    assert judge(pool.make_token(BELLE, levels=()))[1] == "allows more than it has to: everything"


def test_condor_reads_quoted_values_as_they_are_meant(pool: Pool) -> None:
    texts = [*HOSTILE, "", "x y"]
    quoted = [quote(text) for quote in (condor_quote, htcondor_pool.condor_quote) for text in texts]
    plain = [text for text in texts if text and not text.endswith("\\")]
    lines = [f"QUOTED_{n} = {text}" for n, text in enumerate(quoted)]
    lines += [f"PLAIN_{n} = {condor_value(text)}" for n, text in enumerate(plain)]
    pool.central.tell("tee", "/root/hostile", data="\n".join([*lines, ""]).encode())
    ask = ["env", "CONDOR_CONFIG=/root/hostile", "condor_config_val"]
    assert pool.central.tell(*ask, *(f"PLAIN_{n}" for n in range(len(plain)))).splitlines() == plain
    shown = pool.central.tell(*ask, *(f"QUOTED_{n}" for n in range(len(quoted)))).splitlines()

    ad = ['MyType = "Hostile"', 'Name = "hostile"', *(f"Q{n} = {text}" for n, text in enumerate(shown))]
    pool.central.tell("tee", "/root/ad", data="\n".join([*ad, ""]).encode())
    pool.central.tell("condor_advertise", "-tcp", "UPDATE_AD_GENERIC", "/root/ad")
    read = pool.read_ad("hostile")
    assert [read[f"Q{n}"] for n in range(len(quoted))] == texts * 2


def test_identities_of_two_vos_are_two(pool: Pool) -> None:
    allowed = pool.central.tell("condor_config_val", "ALLOW_ADVERTISE_STARTD").split()
    assert {BELLE, pool_identity("t2k.org", SITE, DOMAIN), "condor@*"} <= set(allowed)
