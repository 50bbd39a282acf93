from __future__ import annotations

import getopt
import json
import re
import shlex

import pytest
from b2ct_vmagent.dirac_pilot import make_pilot
from b2ct_vmagent.diracx import make_rows
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.pilot_files import PilotFiles, Slot
from b2ct_vmagent.settings import Settings
from hypothesis import given
from hypothesis import strategies as st

SETTINGS = Settings(
    vo="belle",
    pilot_kind="dirac",
    dirac_pilot="/cvmfs/dirac.egi.eu/pilot/dirac-pilot.py",
    dirac_servers=("dips://one.example.org:9135/Configuration/Server", "dips://two.example.org:9135/C/S"),
    dirac_setup="Belle-Production",
    dirac_site="CLOUD.Site.eu",
    dirac_ce="one.site.eu",
    dirac_queue="worker",
    dirac_version="v8.0.86",
)
SLOT = Slot(
    number=0,
    cores=8,
    memory_mib=16000,
    folder="/var/lib/b2ct-vm-pilot/0",
    machine_features="/run/b2ct-vm/machinefeatures",
    job_features="/run/b2ct-vm/jobfeatures/0",
    name="worker-7",
    uid="site-7-0a1b2c3d",
)
SHORT = "a:cdeghkl:n:o:m:r:s:t:u:x:y:zC:D:E:F:G:K:M:N:O:P:Q:R:S:T:W:X:Z:"
LONG = """
requiredTag= gridCEType= cert debug extraPackages= loggerURL= help keepPP project= name= option= maxNumberOfProcessors=
modules= userEnvVariables= pipInstallOptions= release= section= tag= url= execute= CEType= pilotLogging
configurationServer= disk= commandExtensions= pilotCFGFile= Group= certLocation= MaxCycles= PollingTime=
StopOnApplicationFailure= StopAfterFailedMatches= Name= OwnerDN= wnVO= pilotProcessors= Queue= reference= setup=
CPUTime= gateway= commands= commandOptions= pilotUUID= preinstalledEnv= preinstalledEnvPrefix= architectureScript=
CVMFS_locations=
"""
"""What dirac-pilot.py takes (DIRACGrid/Pilot, pilotTools.py, June 2026)."""


def read_options(pilot: PilotFiles) -> list[tuple[str, str]]:
    """The options of the last command, as dirac-pilot.py reads them."""
    python, _script, *words = shlex.split(pilot.start.splitlines()[-1].removeprefix("exec "))
    assert python == "$python"
    options, rest = getopt.getopt(words, SHORT, LONG.split())
    assert rest == []
    return options


def test_tells_the_pilot_where_it_is() -> None:
    pilot = make_pilot(SETTINGS, SLOT)
    options = dict(read_options(pilot))
    (row,) = make_rows(SLOT.uid, 1, "belle", "CLOUD.Site.eu", "one.site.eu")
    assert options["--pilotUUID"] == row.stamp
    assert options["--name"] == "CLOUD.Site.eu"
    assert options["--Name"] == "one.site.eu"
    assert options["--Queue"] == "worker"
    assert options["--wnVO"] == "belle"
    assert options["--setup"] == "Belle-Production"
    assert options["--release"] == "v8.0.86"
    assert options["--certLocation"] == "$here"
    assert options["--pilotCFGFile"] == "$here/pilot.json"
    assert "--cert" in options
    for name, value in (("PILOT_UUID", row.reference), ("DIRAC_PILOT_STAMP", row.stamp), ("DIRAC_PILOT_VO", "belle")):
        assert f"export {name}={value}\n" in pilot.start
    text, mode = pilot.files["pilot.json"]
    document = json.loads(text)
    assert document["ConfigurationServers"] == list(SETTINGS.dirac_servers)
    assert document["CEs"] == {"one.site.eu": {"Site": "CLOUD.Site.eu", "GridCEType": "Cloud"}}
    assert "Setups" not in document
    assert mode == 0o644
    assert pilot.copies == (("hostcert.pem", SETTINGS.certificate), ("hostkey.pem", SETTINGS.key))


def test_all_cores_are_for_jobs() -> None:
    options = read_options(make_pilot(SETTINGS, SLOT))
    values = [value for option, value in options if option == "--option"]
    assert values == [
        "/Resources/Computing/CEDefaults/NumberOfProcessors=8",
        "/Resources/Computing/CEDefaults/MaxRAM=16000",
        "/LocalSite/NumberOfProcessors=8",
        "/LocalSite/MaxRAM=16000",
        "/Resources/Computing/CEDefaults/MultiProcessorStrategy=True",
    ]
    assert ("--tag", "MultiProcessor") in options
    assert ("--CEType", "$ce") in options


def test_one_core_has_no_strategy() -> None:
    options = read_options(make_pilot(SETTINGS, SLOT._replace(cores=1)))
    assert "MultiProcessor" not in str(options)


@pytest.mark.parametrize(
    ("isolation", "line"), [("process", "ce=Pool\n"), ("container", "ce=Pool/Singularity\n"), ("auto", "if command -v")]
)
def test_isolation(isolation: str, line: str) -> None:
    assert line in make_pilot(SETTINGS._replace(pilot_isolation=isolation), SLOT).start


def test_what_is_not_set_is_not_said() -> None:
    settings = SETTINGS._replace(dirac_setup="", dirac_queue="", dirac_ce="", dirac_version="")
    options = dict(read_options(make_pilot(settings, SLOT)))
    assert not {"--setup", "--Queue", "--Name", "--release"} & set(options)


def test_further_options_come_last() -> None:
    settings = SETTINGS._replace(dirac_options="--tag WholeNode -E 'Belle II' --release v8.0.99")
    options = read_options(make_pilot(settings, SLOT))
    assert options[-3:] == [("--tag", "WholeNode"), ("-E", "Belle II"), ("--release", "v8.0.99")]


def test_unreadable_options_are_told() -> None:
    with pytest.raises(AgentError, match="dirac_options: No closing quotation"):
        make_pilot(SETTINGS._replace(dirac_options="--tag 'x"), SLOT)


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, categories=["L", "N", "P", "S", "Zs"]), max_size=40)
)
def test_no_setting_breaks_out(text: str) -> None:
    settings = SETTINGS._replace(
        vo="v" + text, dirac_site="s" + text, dirac_ce="c" + text, dirac_pilot="/p" + text, ca_path="/c" + text
    )
    pilot = make_pilot(settings, SLOT)
    *_, last = pilot.start.split("exec ")[-1:]
    words = shlex.split(last)
    assert words[1] == "/p" + text
    options = dict(getopt.getopt(words[2:], SHORT, LONG.split())[0])
    assert options["--name"] == "s" + text
    assert options["--Name"] == "c" + text
    assert options["--wnVO"] == "v" + text
    assert shlex.split(next(line for line in pilot.start.splitlines() if "DIRAC_PILOT_VO" in line))[1:] == [
        "DIRAC_PILOT_VO=v" + text
    ]
    assert json.loads(pilot.files["pilot.json"][0])["CEs"]["c" + text]["Site"] == "s" + text


@pytest.mark.parametrize(
    ("url", "script"),
    [
        ("https://dirac.example.org/pilot/pilot.tar", "./dirac-pilot.py"),
        ("https://dirac.example.org/my-pilot.py", "./fetched"),
    ],
)
def test_what_is_fetched_is_checked_before_it_runs(url: str, script: str) -> None:
    settings = SETTINGS._replace(dirac_pilot=url, dirac_pilot_sha256="a" * 64)
    lines = make_pilot(settings, SLOT).start.splitlines()
    fetch, check, run = (
        next(number for number, line in enumerate(lines) if word in line)
        for word in ("--output fetched", "sha256sum --check", 'exec "$python" ' + script)
    )
    assert fetch < check < run
    assert "'" + "a" * 64 + "  fetched'" in lines[check]
    assert lines[fetch].endswith(url)


@pytest.mark.parametrize(
    ("command", "job"),
    [
        ("/usr/bin/python3 /var/lib/p/pilot/job/Wrapper/Wrapper_1234 --cfg pilot.cfg -o LogLevel=INFO", "1234"),
        ("python /tmp/Wrapper_77 --cfg /tmp/pilot.cfg", "77"),
        ("/bin/sh /var/lib/p/pilot/job/Wrapper/Job1234", None),
        ("python dirac-agent WorkloadManagement/JobAgent -o MaxCycles=5000", None),
        ("cat Wrapper_1234.json", None),
    ],
)
def test_payloads_are_job_wrappers(command: str, job: str | None) -> None:
    found = re.search(make_pilot(SETTINGS, SLOT).payloads, command)
    assert (found and found.group(1)) == job
