"""From the first pilot to power-off, under a real systemd."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.agent_life.conftest import Worker

UNTIL_ASKED = 'while [ ! -e "$B2CT_STOP_FILE" ]; do sleep 0.2; done'
SECRETS = "/etc/b2ct-vm/agent.conf /var/lib/b2ct-vm /run/b2ct-vm/life.json /run/b2ct-vm/secret"


def test_pilots_work_until_the_machine_drains(worker: Worker) -> None:
    container = worker.container
    container.tell("sh", "-c", "umask 077; echo secret >/run/b2ct-vm/secret")
    spy = f'for f in {SECRETS}; do ls "$f"/ >/dev/null 2>&1 || cat "$f" >/dev/null 2>&1 && echo open $f; done'
    worker.configure(
        f"pilots = 2\npilot = {spy}; echo $USER $(id -u); cat $JOBFEATURES/allocated_cpu; {UNTIL_ASKED}; sleep 6; "
        'echo "200 all $B2CT_SLOT done" >shutdown_message\n'
    )
    before = worker.wait_report(lambda report: bool(report["jobs"] == 2))
    assert (before["state"], before["ready"], before["outcome"]) == ("working", True, None)
    said = container.tell("journalctl", "-o", "cat", "-u", "b2ct-vm-pilot@*")
    assert "open" not in said
    users = dict(line.split() for line in said.splitlines() if line.startswith("b2ct-vm-pilot-"))
    assert set(users) == {"b2ct-vm-pilot-0", "b2ct-vm-pilot-1"}
    assert len({"0", *users.values()}) == 3

    # killed, it is started anew, and finds its pilots again
    container.tell("systemctl", "kill", "--signal=KILL", "--kill-who=main", "b2ct-vm-agent")
    worker.wait_report(lambda report: report["uptime_s"] > before["uptime_s"] and report["jobs"] == 2)
    assert container.tell("journalctl", "-u", "b2ct-vm-agent").count("asked systemd to start") == 2

    refused = container.run(["b2ct-agent", "halt"])
    assert (refused.returncode, b"nothing was done" in refused.stderr) == (1, True)

    far = int(container.tell("cat", "/run/b2ct-vm/machinefeatures/shutdowntime"))
    assert "payloads have ended, 2 now" in container.tell("b2ct-agent", "drain", "--reason", "maintenance of the node")
    worker.wait_report(lambda report: bool(report["state"] == "draining"))
    near = int(container.tell("cat", "/run/b2ct-vm/machinefeatures/shutdowntime"))
    assert near < far
    assert near - time.time() < 3700
    assert container.tell("cat", "/run/b2ct-vm/jobfeatures/1/shutdowntime_job") == f"{near}\n"
    assert worker.report()["jobs"] == 2  # both have been asked and are not done yet
    worker.wait_gone()
    report = worker.report()
    assert (report["outcome"], report["state"], report["jobs"]) == ("100 maintenance of the node", "halting", 0)
    assert report["done"] == 2
    assert report["cpu_s"] > 0


def test_pilots_work_on_the_scratch_disk(debian12_worker: Worker) -> None:
    container = debian12_worker.container
    container.tell("mkdir", "-p", "/scratch")  # as b2ct-vm-scratch.service leaves it, which has no disk here
    container.tell("mount", "-t", "tmpfs", "none", "/scratch")
    debian12_worker.configure("scratch = /dev/vdb\npilot = echo in $(pwd) $HOME $TMPDIR as $USER; sleep 600\n")
    folder = "/scratch/pilot-0"
    debian12_worker.wait_said(f"in {folder} {folder} {folder} as b2ct-vm-pilot-0")


def test_the_pilots_own_word_is_the_outcome(debian12_worker: Worker) -> None:
    debian12_worker.configure("pilot = echo '600 the matcher is down' >shutdown_message\n")
    debian12_worker.wait_gone()
    assert debian12_worker.report()["outcome"] == "600 the matcher is down"


def test_a_failed_pilot_is_told(debian12_worker: Worker) -> None:
    debian12_worker.configure("pilot = exit 3\n")
    debian12_worker.wait_gone()
    assert debian12_worker.report()["outcome"] == "700 The pilot failed: exit-code 3"


def test_an_idle_machine_goes(debian12_worker: Worker) -> None:
    payload = "(exec -a payload-17 sleep 4)"
    debian12_worker.configure(
        f"stop_no_jobs_s = 5\npayload_pattern = ^payload-(..)\npilot = bash -c '{payload}; {UNTIL_ASKED}'\n"
    )
    debian12_worker.wait_report(lambda report: report["state"] == "working" and report["jobs"] == 1)
    debian12_worker.wait_gone(90)
    report = debian12_worker.report()
    assert report["outcome"] == "300 No job has run for 5 s"
    assert report["done"] == 1


def test_what_never_got_a_job_goes(debian12_worker: Worker) -> None:
    debian12_worker.configure("stop_fizzle_s = 3\npayload_pattern = nothing-like-this\npilot = " + UNTIL_ASKED + "\n")
    debian12_worker.wait_gone(90)
    assert debian12_worker.report()["outcome"] == "300 No job came in 3 s"


def test_never_means_never(debian12_worker: Worker) -> None:
    debian12_worker.configure("stop = never\nstop_fizzle_s = 1\npilot = true\n")
    debian12_worker.wait_said("Deactivated successfully")
    time.sleep(5)
    assert debian12_worker.report()["state"] == "ready"
    debian12_worker.container.tell("b2ct-agent", "halt")
    debian12_worker.wait_gone()
    assert debian12_worker.report()["outcome"] == "100 Asked for inside the machine"


def test_a_payload_that_runs_is_waited_for_unless_forced(debian12_worker: Worker) -> None:
    debian12_worker.configure("pilot = sleep 600\n")
    debian12_worker.wait_report(lambda report: bool(report["jobs"] == 1))
    debian12_worker.container.tell("b2ct-agent", "drain")
    debian12_worker.wait_report(lambda report: bool(report["state"] == "draining"))
    time.sleep(3)
    assert debian12_worker.report()["jobs"] == 1
    debian12_worker.container.tell("b2ct-agent", "halt", "--yes", "--reason", "power cut")
    debian12_worker.wait_gone()
    assert debian12_worker.report()["outcome"] == "100 power cut"


def test_a_machine_that_is_shut_down_says_so(debian12_worker: Worker) -> None:
    debian12_worker.configure("pilot = sleep 600\n")
    debian12_worker.wait_report(lambda report: bool(report["jobs"] == 1))
    debian12_worker.container.tell("systemctl", "--no-block", "poweroff")
    debian12_worker.wait_gone()
    assert debian12_worker.report()["outcome"] == "100 Shut down by the cloud"


def test_a_refused_power_off_is_asked_for_harder(debian12_worker: Worker) -> None:
    debian12_worker.container.tell("systemctl", "mask", "poweroff.target")
    debian12_worker.configure("pilot = true\n")
    debian12_worker.wait_gone()
    assert debian12_worker.report()["state"] == "halting"


def test_a_full_run_folder_does_not_keep_it_from_going(debian12_worker: Worker) -> None:
    container = debian12_worker.container
    container.tell("mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", "/run/b2ct-vm")
    debian12_worker.configure(f"pilot = {UNTIL_ASKED}\n")
    debian12_worker.wait_report(lambda report: bool(report["jobs"] == 1))
    container.tell("b2ct-agent", "drain")
    container.run(["sh", "-c", "cat /dev/zero >/run/b2ct-vm/filled"])
    debian12_worker.wait_gone()
    assert debian12_worker.report()["outcome"] == "100 Asked for inside the machine"


DIRAC_PILOT = """
import os, sys, time
print("words", *sys.argv[1:], flush=True)
print("cert", open(sys.argv[sys.argv.index("--certLocation") + 1] + "/hostcert.pem").read().strip(), flush=True)
stop = "control/WorkloadManagement/JobAgent/stop_agent"
while not os.path.exists(stop):
    time.sleep(0.2)
"""
"""Stands for dirac-pilot.py, which is in no package: says what it was given, and obeys the stop file."""

KEY_PAIR = """
umask 077; cd /etc/b2ct-vm
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=vm.example.org -keyout hostkey.pem -out hostcert.pem 2>&1
mkdir -p /opt/pilot; cat >/opt/pilot/dirac-pilot.py; chmod -R a+rX /opt/pilot
"""


def test_a_dirac_pilot_gets_its_words_and_its_own_copy_of_the_credentials(worker: Worker) -> None:
    container = worker.container
    # a file system that can map owners: systemd 257 then keeps a pilot's folder as nobody's
    container.tell("sh", "-c", "mkdir -p -m 700 /var/lib/private; mount -t tmpfs -o mode=700 none /var/lib/private")
    container.tell("sh", "-c", KEY_PAIR, data=DIRAC_PILOT.encode())
    worker.configure(
        "pilot_kind = dirac\ndirac_pilot = /opt/pilot/dirac-pilot.py\ndirac_site = CLOUD.Rig.eu\n"
        "dirac_ce = one.rig.eu\ndirac_queue = worker\n"
        "dirac_servers = dips://127.0.0.1:9135/Configuration/Server\npilot_isolation = process\n"
    )
    worker.wait_said("cert -----BEGIN CERTIFICATE-----")
    said = container.tell("journalctl", "-o", "cat", "-u", "b2ct-vm-pilot@0")
    assert "--name CLOUD.Rig.eu --Name one.rig.eu" in said
    assert "PRIVATE" not in said
    shown = container.tell("stat", "-c", "%a %u", "/run/b2ct-vm/pilots/0/hostkey.pem").split()
    assert (shown[0], shown[1] != "0") == ("600", True)

    before = container.tell("cat", "/run/b2ct-vm/pilots/0/hostcert.pem")
    container.tell("sh", "-c", KEY_PAIR, data=DIRAC_PILOT.encode())
    renewed = container.tell("cat", "/etc/b2ct-vm/hostcert.pem")
    assert renewed != before
    copied = 'for i in $(seq 100); do cmp -s "$1" "$2" && exit; sleep 0.2; done; exit 1'
    container.tell("sh", "-c", copied, "sh", "/etc/b2ct-vm/hostcert.pem", "/run/b2ct-vm/pilots/0/hostcert.pem")

    for name in ("hostcert.pem", "hostkey.pem"):
        assert container.tell("stat", "-c", "%a %u", f"/run/b2ct-vm/pilots/0/{name}").split() == shown

    container.tell("b2ct-agent", "drain")
    worker.wait_gone()
    assert worker.report()["outcome"] == "100 Asked for inside the machine"
