"""The HTCondor pilot: an execute node that offers the whole machine to a pool, and connects only outwards (CCB)."""

import os
import re
import shlex
import time
from typing import Any, Dict, List, Optional

from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.credential_files import claimed_end, read_claims
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import read_text
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilot_files import PilotFiles, Slot
from b2ct_vmagent.settings import Settings

JOB_USER = "b2ct-job"
"""Users that jobs run under, one for each core: two jobs of one machine cannot touch each other's files."""
LONGEST_RETIREMENT_S = 30 * 86400
SHUTDOWN_PERIOD_S = 60
PAYLOADS = r"^(?:\S*/)?condor_starter -f "
"""One starter runs for each job; without ``-f`` it only tells the startd what it can do."""
LOG_BYTES = 65536
_REFUSED = re.compile(r"Received \"DENIED\"|Failed to authenticate|TCP connection to collector .* failed")
NEEDED = {"condor:/ADVERTISE_STARTD", "condor:/ADVERTISE_MASTER"}
ENOUGH = NEEDED | {"condor:/READ"}

_CONFIG = """\
# Written by the B2CT VM agent: this machine offers itself to one pool. The package's own file only says where it lies.
include : /etc/condor/condor_config
LOCAL_CONFIG_FILE =
LOCAL_CONFIG_DIR =
LOCAL_DIR = {folder}
RUN = $(LOCAL_DIR)/run
LOG = $(LOCAL_DIR)/log
LOCK = $(LOCAL_DIR)/lock
SPOOL = $(LOCAL_DIR)/spool
EXECUTE = $(LOCAL_DIR)/execute
PROCD_ADDRESS = $(RUN)/procd_pipe
DAEMON_LIST = MASTER STARTD
ENABLE_KERNEL_TUNING = False

# The pool is reached from here; nothing has to reach this machine.
CONDOR_HOST = {host}
COLLECTOR_HOST = {collector}
CCB_ADDRESS = $(COLLECTOR_HOST)
PRIVATE_NETWORK_NAME = {name}
USE_SHARED_PORT = True
STARTD_NAME = {name}
MASTER_NAME = {name}
UPDATE_INTERVAL = {update_s}
MASTER_UPDATE_INTERVAL = {update_s}

# The token proves who this is; users of this machine prove it by a file that they own.
TRUST_DOMAIN = {domain}
UID_DOMAIN = {name}
FILESYSTEM_DOMAIN = {name}
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_ENCRYPTION = REQUIRED
SEC_DEFAULT_INTEGRITY = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS
SEC_CLIENT_AUTHENTICATION_METHODS = FS, IDTOKENS
SEC_TOKEN_SYSTEM_DIRECTORY = $(LOCAL_DIR)/tokens.d
SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/passwords.d
ALLOW_READ = root@$(UID_DOMAIN) condor@$(UID_DOMAIN)
ALLOW_WRITE = $(ALLOW_READ)
ALLOW_DAEMON = $(ALLOW_READ)
ALLOW_NEGOTIATOR = $(ALLOW_READ)
ALLOW_ADMINISTRATOR = $(ALLOW_READ)

# One slot, which HTCondor divides as jobs ask.
NUM_CPUS = {cores}
{memory}NUM_SLOTS = 1
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True
STARTD_ATTRS = $(STARTD_ATTRS) VO VMSite VMType VMUUID
MASTER_ATTRS = $(MASTER_ATTRS) VO VMSite VMType VMUUID
VO = {vo}
VMSite = {site}
VMType = {flavour}
VMUUID = {uid}

# Jobs run under users of their own, see no other's /tmp, and know how long this machine lives.
# They stay in the unit's control group, where the agent counts what they use.
STARTER_ALLOW_RUNAS_OWNER = False
BASE_CGROUP =
NOBODY_SLOT_USER = nobody
DEDICATED_EXECUTE_ACCOUNT_REGEXP = {job_user}[0-9]+
{users}MOUNT_UNDER_SCRATCH = /tmp, /var/tmp
STARTER_JOB_ENVIRONMENT = "MACHINEFEATURES={machine_features}"

# VMShutdownTime follows the machine's features: a job starts only if the time that it says it needs is left.
STARTD_CRON_JOBLIST = B2CT
STARTD_CRON_B2CT_EXECUTABLE = /bin/sh
STARTD_CRON_B2CT_ARGS = $(LOCAL_DIR)/shutdowntime {machine_features}/shutdowntime
STARTD_CRON_B2CT_MODE = Periodic
STARTD_CRON_B2CT_PERIOD = {period_s}s
VM_JOB_S = ifThenElse(TARGET.AllowedExecuteDuration =!= undefined, TARGET.AllowedExecuteDuration, \\
  ifThenElse(TARGET.AllowedJobDuration =!= undefined, TARGET.AllowedJobDuration, 0))
START = MY.VMShutdownTime =?= undefined || time() + $(VM_JOB_S) < MY.VMShutdownTime
RunBenchmarks = False
SUSPEND = False
PREEMPT = False
KILL = False
RANK = 0
MAXJOBRETIREMENTTIME = {retirement_s}
"""

_SHUTDOWNTIME = """\
# Run by condor_startd: tells when this machine shuts down, as an attribute of its slots.
end=
[ ! -r "$1" ] || read -r end <"$1" || :
case $end in
    '' | *[!0-9]*) echo "VMShutdownTime = undefined" ;;
    *) echo "VMShutdownTime = $end" ;;
esac
echo "-"
"""

_START = """\
here=${{0%/*}}
set -eu
umask 022
command -v condor_master >/dev/null || {{ echo "there is no condor_master: install HTCondor" >&2; exit 1; }}
[ -s {token} ] || {{ echo "there is no token in" {token} >&2; exit 1; }}
chmod 0755 . # jobs' users have to pass
rm -rf tokens.d passwords.d
mkdir -m 0700 tokens.d passwords.d
ln -s {token} tokens.d/pool
cp -f "$here/shutdowntime" shutdowntime
for name in execute lock log run spool; do
    [ -d "$name" ] || mkdir -m 0750 "$name"
    chown condor:root "$name" # the agent is root without capabilities: what it can read of others' it reads as group
done
chmod 0755 execute
number=0
while [ "$number" -lt {cores} ]; do
    number=$((number + 1))
    user={job_user}$number
    id "$user" >/dev/null 2>&1 || useradd --system --user-group --no-create-home --home-dir /nonexistent "$user"
done
CONDOR_CONFIG=$here/condor_config
export CONDOR_CONFIG
exec condor_master -f
"""

_DRAIN = """\
CONDOR_CONFIG=${0%/*}/condor_config
export CONDOR_CONFIG
condor_off -peaceful -daemon startd # at once: the master itself lets some seconds pass before it tells the startd
exec condor_off -peaceful -daemon master
"""


def make_pilot(settings: Settings, slot: Slot) -> PilotFiles:
    """Return what ``b2ct-vm-htcondor.service`` runs, as root: HTCondor itself changes to its own and the jobs' users.

    Drained it takes no job any more, and all of it ends with the last one.

    Raises:
        AgentError: the collector is not set, or a value cannot stand in HTCondor's configuration.
    """
    if not settings.condor_collector:
        raise AgentError("condor_collector is not set")
    token = shlex.quote(settings.condor_token)
    return PilotFiles(
        start=_START.format(token=token, cores=slot.cores, job_user=JOB_USER),
        drain=_DRAIN,
        files={"condor_config": (render_condor_config(settings, slot), 0o644), "shutdowntime": (_SHUTDOWNTIME, 0o644)},
        payloads=PAYLOADS,
    )


def render_condor_config(settings: Settings, slot: Slot) -> str:
    """Return the configuration of an execute node; its names hold for HTCondor 9.0 to 25.

    Raises:
        AgentError: a value cannot stand in it.
    """
    return _CONFIG.format(
        folder=condor_value(slot.folder),
        host=condor_value(settings.condor_collector.rpartition(":")[0]),
        collector=condor_value(settings.condor_collector),
        name=re.sub(r"[^A-Za-z0-9.-]", "-", slot.uid).strip("-.").lower() or "vm",
        update_s=settings.heartbeat_s,
        domain=condor_value(settings.condor_domain or settings.condor_collector.rpartition(":")[0]),
        cores=slot.cores,
        memory="MEMORY = {}\n".format(slot.memory_mib) if slot.memory_mib else "",
        vo=condor_quote(settings.vo),
        site=condor_quote(settings.site),
        flavour=condor_quote(settings.flavour),
        uid=condor_quote(slot.uid),
        job_user=JOB_USER,
        users="".join("SLOT1_{0}_USER = {1}{0}\n".format(n, JOB_USER) for n in range(1, slot.cores + 1)),
        machine_features=condor_value(slot.machine_features),
        period_s=SHUTDOWN_PERIOD_S,
        retirement_s=settings.max_lifetime_s or LONGEST_RETIREMENT_S,
    )


def condor_value(text: str) -> str:
    """Return a text as the value of a configuration macro: ``$(DOLLAR)`` is a dollar that begins no macro.

    Raises:
        AgentError: the text holds a control character or two dollars in a row, begins or ends with a blank, or ends
            with a backslash.
    """
    if not text.isprintable() or "$$" in text or text != text.strip() or text.endswith("\\"):
        raise AgentError("{!r} cannot stand in HTCondor's configuration".format(text))
    return text.replace("$", "$(DOLLAR)")


def condor_quote(text: str) -> str:
    r"""Return a text as a ClassAd string within the configuration: only ``\"`` is an escape in those (old syntax).

    Raises:
        AgentError: the text holds a control character, or two dollars in a row.
    """
    return condor_value('"{}"'.format(text.replace('"', '\\"')))


def check_condor_token(paths: Paths, settings: Settings, now_s: Optional[float] = None) -> Check:
    """Return whether the token is there, of this pool, in date, of the right power, and nobody's but root's."""
    if settings.pilot_kind != "htcondor":
        return Check("condor_token", State.SKIPPED, "no pool is asked for")
    path = paths.at(settings.condor_token)
    try:
        text = read_text(path)
        if text is None:
            return Check("condor_token", State.FAILED, "{}: there is none".format(path))
        if os.stat(path).st_mode & 0o077:
            return Check("condor_token", State.FAILED, "{}: others than root can read it".format(path))
        return _judge(path, settings, parse_token(text), time.time() if now_s is None else now_s)
    except (AgentError, OSError) as error:
        return Check("condor_token", State.FAILED, "{}: {}".format(path, error))


def check_condor_pool(paths: Paths, settings: Settings, now_s: Optional[float] = None) -> Check:
    """Return whether the pool took what this machine last told it, by what HTCondor's startd has written down."""
    if settings.pilot_kind != "htcondor":
        return Check("condor_pool", State.SKIPPED, "no pool is asked for")
    path = os.path.join(paths.pilot_work(0, scratch=bool(settings.scratch)), "log", "StartLog")
    now_s = time.time() if now_s is None else now_s
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return Check("condor_pool", State.SKIPPED, "HTCondor has not run yet")
    except OSError as error:
        return Check("condor_pool", State.WARNING, "{}: {}".format(path, error.strerror))
    fresh_s = 3 * settings.heartbeat_s
    refusals = [line for line in lines if _REFUSED.search(line) and now_s - _written_s(line) <= fresh_s]
    if refusals:
        return Check("condor_pool", State.WARNING, "the pool refuses this machine: {}".format(refusals[-1]))
    return Check("condor_pool", State.OK, "no refusal in the last {} s".format(fresh_s))


def _written_s(line: str) -> float:
    """Return when a line of a log was written, 0 for others (HTCondor's default form, local time)."""
    try:
        return time.mktime(time.strptime(line[:17], "%m/%d/%y %H:%M:%S"))
    except (ValueError, OverflowError):
        return 0.0


def parse_token(text: str) -> Dict[str, Any]:
    """Return the claims of the first token in a file (RFC 7519); who signed it only the pool can tell.

    Raises:
        AgentError: there is no token.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return read_claims(lines[0] if lines else "")


def _judge(path: str, settings: Settings, claims: Dict[str, Any], now_s: float) -> Check:
    end_s = claimed_end(claims)
    scopes = set(str(claims.get("scope", "")).split())
    wrong: List[str] = []
    if end_s is not None and end_s <= now_s:
        wrong.append("expired on {}".format(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(end_s))))
    if settings.condor_domain and claims.get("iss") != settings.condor_domain:
        wrong.append("is of the pool {}, not {}".format(claims.get("iss"), settings.condor_domain))
    if scopes and not scopes >= NEEDED:
        wrong.append("does not allow {}".format(", ".join(sorted(NEEDED - scopes))))
    if wrong:
        return Check("condor_token", State.FAILED, "{}: {}".format(path, "; ".join(wrong)))
    if not scopes or scopes - ENOUGH:
        more = ", ".join(sorted(scopes - ENOUGH)) or "everything"
        return Check("condor_token", State.WARNING, "{}: allows more than it has to: {}".format(path, more))
    return Check("condor_token", State.OK, "{} for {}".format(path, claims.get("sub")))
