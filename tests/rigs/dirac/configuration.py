"""The configuration of a small DIRAC: what its services read themselves, and what the configuration server serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from tests.rigs.dirac.certificates import name_of
from tests.rigs.dirac.database import DATABASES, PASSWORD, USER
from tests.rigs.dirac.software import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Section: TypeAlias = "Mapping[str, str | int | Section]"
"""Options and sections by name."""

SETUP = "Rig-Dev"
VO = "rigvo"
SITE = "CLOUD.Rig.eu"
CE = "one.rig.eu"
"""A computing element of the site; also a cloud that DIRAC has in its configuration and cannot reach."""
VM_HOST = "vm.site.example"
"""The name in the certificate that the site's virtual machines share."""

SYSTEMS = ("Configuration", "Framework", "WorkloadManagement")
SMALL = ("Configuration/Server", "WorkloadManagement/VirtualMachineManager")
"""What a virtual machine itself talks to."""
SERVICES = (
    *SMALL,
    "Framework/ProxyManager",
    "WorkloadManagement/WMSAdministrator",
    "WorkloadManagement/SandboxStore",
    "WorkloadManagement/OptimizationMind",
    "WorkloadManagement/JobManager",
    "WorkloadManagement/JobMonitoring",
    "WorkloadManagement/JobStateUpdate",
    "WorkloadManagement/PilotManager",
    "WorkloadManagement/Matcher",
)
"""All that takes a job and gives it to a pilot."""

_CLOUD: Section = {
    "CEType": "OpenNebula",
    "EndpointUrl": "http://127.0.0.1:1/RPC2",
    "User": "oneadmin",
    "Password": "x",
    "VMTypes": {"worker": {"TemplateID": 0, "NumberOfProcessors": 2}},
}
_RULES: dict[str, Section] = {
    "Configuration/Server": dict.fromkeys(
        ("commitNewData", "rollbackToVersion", "getVersionContents"), "CSAdministrator"
    ),
    "WorkloadManagement/VirtualMachineManager": {
        "declareInstanceRunning": "VmRpcOperation",
        "instanceIDHeartBeat": "VmRpcOperation",
        "declareInstanceHalting": "VmRpcOperation",
        "declareInstancesStopping": "Operator",
    },
    "WorkloadManagement/WMSAdministrator": {
        "Default": "Operator",
        "getSiteMask": "authenticated",
        "getSiteMaskStatus": "authenticated",
        "ping": "authenticated",
    },
    "WorkloadManagement/Matcher": {"getActiveTaskQueues": "JobAdministrator"},
    "WorkloadManagement/SandboxStore": {"FileTransfer": {"Default": "authenticated"}},
    "Framework/ProxyManager": {
        "getProxy": "FullDelegation, LimitedDelegation, PrivateLimitedDelegation",
        "getVOMSProxy": "FullDelegation, LimitedDelegation, PrivateLimitedDelegation",
    },
}
"""Who may call what, as in DIRAC's own ConfigTemplate.cfg; whatever is not named is open to all that are known."""


def render_cfg(sections: Section, depth: int = 0) -> str:
    """The text of a configuration (diraccfg 1.0)."""
    pad = "  " * depth
    lines = []
    for name, value in sections.items():
        if isinstance(value, str | int):
            lines.append(f"{pad}{name} = {value}\n")
        else:
            lines.append(f"{pad}{name}\n{pad}{{\n{render_cfg(value, depth + 1)}{pad}}}\n")
    return "".join(lines)


def make_local(folder: Path, ports: Mapping[str, int], database_port: int) -> Section:
    """What the services of the rig read themselves; the configuration server's own section has to be here."""
    place = folder / "grid-security"
    servers: Section = {"Servers": url_of("Configuration/Server", ports), "RefreshTime": 10, "PropagationTime": 10}
    return {
        "DIRAC": {
            **make_who(folder, ports, place / "hostcert.pem", place / "hostkey.pem"),
            "Configuration": {**servers, "Master": "yes", "Name": "Rig"},
            "Hostname": "localhost",
            "Setups": _setups(),
        },
        "Systems": {
            "Databases": {"User": USER, "Password": PASSWORD, "Host": "127.0.0.1", "Port": database_port},
            "Configuration": {"Dev": {"Services": {"Server": _service("Configuration/Server", folder, ports)}}},
        },
        "LocalSite": {"Site": SITE},
    }


def make_who(folder: Path, ports: Mapping[str, int], certificate: Path, key: Path, *, person: bool = False) -> Section:
    """The section DIRAC of a host or, by way of a proxy, a person."""
    return {
        "Setup": SETUP,
        "VirtualOrganization": VO,
        "Security": {
            "UseServerCertificate": "no" if person else "yes",
            "CertFile": str(certificate),
            "KeyFile": str(key),
            "Grid-Security": str(folder / "grid-security"),
        },
        "Configuration": {"Servers": url_of("Configuration/Server", ports)},
    }


def url_of(service: str, ports: Mapping[str, int]) -> str:
    """The URL of a service."""
    return f"dips://localhost:{ports[service]}/{service}"


def make_served(folder: Path, ports: Mapping[str, int]) -> Section:
    """What the configuration server serves."""
    server = url_of("Configuration/Server", ports)
    first = {"Name": "Rig", "Version": "2020-01-01 00:00:00.000000", "MasterServer": server, "Servers": server}
    return {
        "DIRAC": {"Configuration": first, "Setups": _setups()},
        "Registry": _make_registry(),
        "Operations": {"Defaults": _make_operations(folder)},
        "Resources": {
            "Computing": {"OSCompatibility": {"any": "any"}},
            "Sites": {"CLOUD": {SITE: {"CE": CE, "VO": VO, "Cloud": {CE: _CLOUD}}}},
            "StorageElements": {"ProductionSandboxSE": {"BackendType": "DISET"}},
        },
        "Systems": {system: {"Dev": _make_system(system, folder, ports)} for system in SYSTEMS},
    }


def _setups() -> Section:
    return {SETUP: dict.fromkeys((*SYSTEMS, "ResourceStatus", "RequestManagement", "DataManagement"), "Dev")}


def _make_registry() -> Section:
    host = "TrustedHost, CSAdministrator, JobAdministrator, FullDelegation, ProxyManagement, Operator"
    people = {"admin": "Rig Admin", "user": "Rig User"}
    return {
        "DefaultGroup": "rig_user",
        "Users": {name: {"DN": name_of(full), "CA": name_of("Rig CA")} for name, full in people.items()},
        "Groups": {
            "rig_admin": {
                "Users": "admin",
                "Properties": "AlarmsManagement, ServiceAdministrator, CSAdministrator, JobAdministrator, "
                "FullDelegation, ProxyManagement, Operator, NormalUser, SiteManager",
                "VO": VO,
            },
            "rig_user": {"Users": "user, admin", "Properties": "NormalUser, PrivateLimitedDelegation", "VO": VO},
            "rig_pilot": {"Users": "admin", "Properties": "GenericPilot, LimitedDelegation", "VO": VO},
        },
        "Hosts": {
            "localhost": {"DN": name_of("localhost"), "Properties": host},
            VM_HOST: {"DN": name_of(VM_HOST), "Properties": "VmRpcOperation, GenericPilot, LimitedDelegation"},
        },
        "VO": {VO: {"VOAdmin": "admin"}},
    }


def _make_operations(folder: Path) -> Section:
    private = folder / "grid-security/private"
    pilot = {"GenericPilotGroup": "rig_pilot", "GenericPilotDN": name_of("Rig Admin")}
    return {
        "Pilot": {"Version": VERSION, "pilotFileServer": "localhost", "CheckVersion": "False", **pilot},
        "Cloud": {
            "GenericCloudGroup": "rig_pilot",
            "GenericCloudDN": name_of("Rig Admin"),
            "CloudPilotCert": str(private / "vm.pem"),
            "CloudPilotKey": str(private / "vm.key"),
            VO: {"HeartBeatPeriod": 60, "HaltPeriod": 10**9, "HaltBeforeMargin": 60, "LoadAverageTimespan": 60},
        },
        "ResourceStatus": {"Config": {"State": "InActive"}},
        "JobDescription": {"AllowedJobTypes": "User, Test"},
        "Services": {"JobMonitoring": {"useESForJobParametersFlag": "False"}},
    }


def _make_system(system: str, folder: Path, ports: Mapping[str, int]) -> Section:
    services = [service for service in SERVICES if service.startswith(f"{system}/")]
    own = f"{system}System"
    return {
        "Databases": {name: {"DBName": name} for name, of_system in DATABASES.items() if of_system == own},
        "Services": {service.split("/")[1]: _service(service, folder, ports) for service in services},
        "Executors": {"Optimizers": {"Load": "JobPath, JobSanity, InputData, JobScheduling"}},
        "URLs": {service.split("/")[1]: url_of(service, ports) for service in services},
    }


def _service(service: str, folder: Path, ports: Mapping[str, int]) -> Section:
    more: dict[str, Section] = {
        "Configuration/Server": {"HandlerPath": "DIRAC/ConfigurationSystem/Service/ConfigurationHandler.py"},
        "WorkloadManagement/SandboxStore": {
            "LocalSE": "ProductionSandboxSE",
            "Backend": "local",
            "BasePath": str(folder / "sandboxes"),
        },
    }
    rules = {"Default": "authenticated", **_RULES.get(service, {})}
    return {"Port": ports[service], "Authorization": rules, **more.get(service, {})}
