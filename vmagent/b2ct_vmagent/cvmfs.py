"""Sets the CVMFS client up from the settings, and asks it whether the repositories are there."""

import os
import re
from typing import List

from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import read_text, write_file
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Runner
from b2ct_vmagent.settings import Settings

PROBE_S = 60.0
LARGEST_QUOTA_MIB = 20000
HEADER = "# Written by b2ct-vm-agent from the context of this VM; what is changed here is lost.\n"


def cvmfs_quote(value: str) -> str:
    """Return a value for default.local, which bash and CVMFS's own simple parser both read.

    Raises:
        AgentError: the value holds anything that either could take for its own.
    """
    if not re.fullmatch(r"[A-Za-z0-9._:/|;,@%+\[\]-]*", value):
        raise AgentError("{!r} cannot stand in CVMFS's settings".format(value))
    return '"' + value + '"'


def quota_mib(partition_bytes: int) -> int:
    """Return the cache limit in CVMFS's megabytes for a partition: min(20000, (partition - 1 GB) / 1.2), at least 1000.

    So much of the partition stays free that the cache can grow over its limit for a while.
    """
    return max(1000, min(LARGEST_QUOTA_MIB, int((partition_bytes - 10**9) / 1.2) >> 20))


def render_cvmfs_settings(settings: Settings, partition_bytes: int) -> str:
    """Return the text of ``/etc/cvmfs/default.local``.

    Raises:
        AgentError: a value cannot stand there.
    """
    limit = settings.cvmfs_quota_mib or quota_mib(partition_bytes)
    lines = ["CVMFS_HTTP_PROXY=" + cvmfs_quote(settings.cvmfs_proxy), "CVMFS_QUOTA_LIMIT={}".format(limit)]
    if settings.cvmfs_repositories:
        lines.insert(0, "CVMFS_REPOSITORIES=" + cvmfs_quote(",".join(settings.cvmfs_repositories)))
    return HEADER + "\n".join(lines) + "\n"


def write_cvmfs_settings(paths: Paths, settings: Settings) -> bool:
    """Write ``default.local`` when there is a client and the settings name a proxy; whether it had to change.

    Without a proxy the file stays as the image has it: a guess would be DIRECT, past the site's squid.

    Raises:
        AgentError: it cannot be written.
    """
    if not settings.cvmfs_proxy or not os.path.exists(paths.cvmfs_config):
        return False
    place = paths.cvmfs_cache if os.path.isdir(paths.cvmfs_cache) else paths.work
    try:
        stat = os.statvfs(place)
    except OSError as error:
        raise AgentError("{}: {}".format(place, error.strerror))
    text = render_cvmfs_settings(settings, stat.f_blocks * stat.f_frsize)
    if read_text(paths.cvmfs_settings) == text:
        return False
    write_file(paths.cvmfs_settings, text.encode("utf-8"), 0o644)
    return True


def check_cvmfs(paths: Paths, settings: Settings, run: Runner) -> List[Check]:
    """Probe each repository that this VM is to have."""
    if not settings.cvmfs_repositories:
        return [Check("cvmfs", State.SKIPPED, "no repositories are asked for")]
    if not os.path.exists(paths.cvmfs_config):
        return [Check("cvmfs", State.FAILED, "there is no CVMFS client in this image")]
    return [_probe(paths, name, run) for name in settings.cvmfs_repositories]


def _probe(paths: Paths, name: str, run: Runner) -> Check:
    done = run([paths.cvmfs_config, "probe", name], PROBE_S)
    lines = done.output.splitlines()
    if done.code != 0:
        return Check("cvmfs:" + name, State.FAILED, lines[-1] if lines else "exit code {}".format(done.code))
    return Check("cvmfs:" + name, State.OK, "mounted")
