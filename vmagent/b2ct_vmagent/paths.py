"""Where the agent's files are."""

import os
from typing import NamedTuple


class Paths(NamedTuple):
    """Every path that the agent reads or writes, below ``root`` (``--root``; empty on a running machine)."""

    root: str = ""

    def at(self, path: str) -> str:
        """Return an absolute path below the root."""
        return self.root.rstrip("/") + path

    @property
    def run(self) -> str:
        """What lives until the next boot."""
        return self.at("/run/b2ct-vm")

    @property
    def status(self) -> str:
        """Result of the last checks, JSON."""
        return os.path.join(self.run, "status.json")

    @property
    def scratch_result(self) -> str:
        """What became of the scratch disk at boot, JSON."""
        return os.path.join(self.run, "scratch.json")

    @property
    def conf(self) -> str:
        """The agent's own settings, written by user-data or by ``b2ct contextualize``."""
        return self.at("/etc/b2ct-vm/agent.conf")

    @property
    def scratch(self) -> str:
        """Where the scratch disk is mounted."""
        return self.at("/scratch")

    @property
    def life(self) -> str:
        """What has happened to this machine since boot, JSON."""
        return os.path.join(self.run, "life.json")

    @property
    def order(self) -> str:
        """What ``b2ct-agent drain`` and ``halt`` ask of the running agent, JSON."""
        return os.path.join(self.run, "order.json")

    @property
    def uid(self) -> str:
        """The name under which this machine is known to central schedulers, the same after a reboot."""
        return self.at("/var/lib/b2ct-vm/uid")

    @property
    def machine_features(self) -> str:
        """Folder of the machine features (HSF-TN-2016-02)."""
        return os.path.join(self.run, "machinefeatures")

    def job_features(self, number: int) -> str:
        """Folder of the job features of a pilot (HSF-TN-2016-02)."""
        return os.path.join(self.run, "jobfeatures", str(number))

    def pilot(self, number: int) -> str:
        """Folder with what the unit of a pilot runs, and with how it ended."""
        return os.path.join(self.run, "pilots", str(number))

    def pilot_state(self, number: int) -> str:
        """Folder that a pilot runs in when there is no scratch disk (StateDirectory)."""
        return self.at("/var/lib/b2ct-vm-pilot/{}".format(number))

    def pilot_work(self, number: int, *, scratch: bool) -> str:
        """Folder that a pilot runs in."""
        return os.path.join(self.scratch, "pilot-{}".format(number)) if scratch else self.pilot_state(number)

    @property
    def work(self) -> str:
        """The folder on whose file system jobs write when there is no scratch disk."""
        return self.at("/var")

    @property
    def cvmfs_config(self) -> str:
        """The CVMFS client's own tool; without it there is no client."""
        return self.at("/usr/bin/cvmfs_config")

    @property
    def cvmfs_settings(self) -> str:
        """The CVMFS client's site settings (CernVM-FS documentation, "Client Configuration")."""
        return self.at("/etc/cvmfs/default.local")

    @property
    def cvmfs_cache(self) -> str:
        """Folder of the CVMFS cache."""
        return self.at("/var/lib/cvmfs")
