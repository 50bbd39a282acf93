"""What a DIRAC pilot's scripts do, and what DIRAC's own classes make of its options."""

from __future__ import annotations

import functools
import hashlib
import http.server
import itertools
import json
import shlex
import ssl
import subprocess
import sys
import tarfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from b2ct_vmagent.dirac_pilot import STOP_FILE, make_pilot
from b2ct_vmagent.pilot_files import Slot
from b2ct_vmagent.settings import Settings

from tests.rigs.dirac import central as rig
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct_vmagent.pilot_files import PilotFiles

    from tests.rigs.dirac.central import Central

PYTHON = f"""#!{sys.executable}
import json, os, sys
told = {{"argv": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}}
json.dump(told, open(os.environ["TOLD"], "w"))
"""
SETTINGS = Settings(
    vo="belle",
    pilot_kind="dirac",
    dirac_pilot="/cvmfs/dirac.egi.eu/pilot/dirac-pilot.py",
    dirac_servers=("dips://dirac.example.org:9135/Configuration/Server",),
    dirac_site="CLOUD.Site.eu",
    dirac_ce="one.site.eu",
    dirac_queue="worker",
    dirac_version="v8.0.86",
    pilot_isolation="process",
)


@dataclass
class Stage:
    """A folder that stands for a pilot's machine: its scripts, its home, and what it finds on PATH."""

    folder: Path
    tools: dict[str, str] = field(default_factory=lambda: {"python3": PYTHON})

    def make(self, settings: Settings, cores: int = 4) -> PilotFiles:
        slot = Slot(0, cores, 8000, str(self.folder / "home"), "/mf", "/jf", "worker-7", "site-7-ab")
        return make_pilot(settings, slot)

    def run(self, pilot: PilotFiles) -> subprocess.CompletedProcess[str]:
        """Run ``start`` as the unit does, with nothing on PATH but the system and ``tools``."""
        home, place, tools = (self.folder / name for name in ("home", "pilots/0", "tools"))
        for one in (home, place, tools):
            one.mkdir(parents=True, exist_ok=True)
        for name, text in self.tools.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        (place / "start").write_text(f"cd {shlex.quote(str(home))} || exit 1\n" + pilot.start)
        (place / "drain").write_text(f"cd {shlex.quote(str(home))} || exit 1\n" + pilot.drain)
        variables = {"PATH": f"{tools}:/usr/bin:/bin", "TOLD": str(self.told), "HOME": str(home)}
        return self.call("start", variables)

    def call(self, script: str, variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        argv = ["/bin/sh", str(self.folder / "pilots/0" / script)]
        return subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=60, check=False)

    @property
    def told(self) -> Path:
        return self.folder / "told.json"

    def read(self) -> dict[str, Any]:
        return json.loads(self.told.read_text())  # type: ignore[no-any-return]

    def last_words(self) -> str:
        return (self.folder / "home/shutdown_message").read_text()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "a stage's")


def test_runs_the_pilot_of_a_path_in_a_new_folder(stage: Stage) -> None:
    old = stage.folder / "home/pilot/pilot.cfg"
    old.parent.mkdir(parents=True)
    old.write_text("of an earlier pilot")
    pilot = stage.make(SETTINGS)
    done = stage.run(pilot)
    assert done.returncode == 0, done.stderr
    told = stage.read()
    assert told["argv"][0] == SETTINGS.dirac_pilot
    assert told["folder"] == str(old.parent)
    assert not old.exists()
    place = str(stage.folder / "pilots/0")
    assert told["argv"][told["argv"].index("--certLocation") + 1] == place
    assert told["argv"][told["argv"].index("--pilotCFGFile") + 1] == place + "/pilot.json"
    assert told["environment"]["PILOT_UUID"] == "cloud://site-7-ab/0"
    assert told["environment"]["X509_CERT_DIR"] == SETTINGS.ca_path


def test_hostile_settings_arrive_as_they_are(stage: Stage) -> None:
    hostile = "x'; touch /tmp/b2ct-broken-out; $(id) `id` \"\\ | & > <"
    stage.run(stage.make(SETTINGS._replace(dirac_site=hostile, vo=hostile, dirac_options="--tag '$(id)'")))
    argv = stage.read()["argv"]
    assert argv[argv.index("--name") + 1] == hostile
    assert argv[argv.index("--wnVO") + 1] == hostile
    assert argv[-1] == "$(id)"
    assert not Path("/tmp/b2ct-broken-out").exists()  # noqa: S108 - what a break-out would make


def test_drain_asks_the_job_agent_and_a_new_pilot_begins_anew(stage: Stage) -> None:
    pilot = stage.make(SETTINGS)
    stage.run(pilot)
    assert stage.call("drain").returncode == 0
    stop = stage.folder / "home" / STOP_FILE
    assert stop.exists()
    stage.run(pilot)
    assert not stop.exists()


@pytest.mark.parametrize(
    ("isolation", "apptainer", "element"),
    [
        ("process", "exit 0", "Pool"),
        ("container", "exit 1", "Pool/Singularity"),
        ("auto", "exit 0", "Pool/Singularity"),
        ("auto", "exit 1", "Pool"),
        ("auto", "", "Pool"),
    ],
)
def test_a_container_is_chosen_when_it_works(stage: Stage, isolation: str, apptainer: str, element: str) -> None:
    if apptainer:
        stage.tools["apptainer"] = f"#!/bin/sh\n{apptainer}\n"
    stage.run(stage.make(SETTINGS._replace(pilot_isolation=isolation)))
    argv = stage.read()["argv"]
    assert argv[argv.index("--CEType") + 1] == element


def test_the_scripts_are_good_shell(stage: Stage) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    need_tool(str(shellcheck))
    for isolation in ("auto", "process"):
        url = "https://dirac.example.org/pilot.tar"
        pilot = stage.make(SETTINGS._replace(pilot_isolation=isolation, dirac_pilot=url, dirac_pilot_sha256="a" * 64))
        stage.folder.mkdir(exist_ok=True)
        (stage.folder / "start").write_text(pilot.start)
        (stage.folder / "drain").write_text(pilot.drain)
        for name in ("start", "drain"):
            run_tool([shellcheck, "--shell=sh", stage.folder / name])


@contextmanager
def publish(central: Central, folder: Path) -> Iterator[str]:
    """Serve a folder by https with a certificate of the grid; yields the URL."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(folder)))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    one = central.identities["host"]
    context.load_cert_chain(one.certificate, one.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def published(central: Central, tmp_path: Path) -> Iterator[tuple[Settings, dict[str, str]]]:
    """Settings that trust the grid's CA, and the checksum of each URL that holds a pilot."""
    need_tool("curl", "sha256sum")
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "pilot.py").write_text("one file\n")
    (folder / "dirac-pilot.py").write_text("of an archive\n")
    with tarfile.open(folder / "pilot.tar", "w") as archive:
        archive.add(folder / "dirac-pilot.py", "dirac-pilot.py")
    (folder / "damaged.tar").write_text("no archive")
    with publish(central, folder) as url:
        sums = {f"{url}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        yield SETTINGS._replace(ca_path=str(central.ca_path)), sums


@pytest.mark.parametrize(
    ("name", "script", "text"),
    [("pilot.tar", "./dirac-pilot.py", "of an archive\n"), ("pilot.py", "./fetched", "one file\n")],
)
def test_fetches_a_pilot_and_checks_it(
    stage: Stage, published: tuple[Settings, dict[str, str]], name: str, script: str, text: str
) -> None:
    settings, sums = published
    url = next(url for url in sums if url.endswith("/" + name))
    done = stage.run(stage.make(settings._replace(dirac_pilot=url, dirac_pilot_sha256=sums[url])))
    assert done.returncode == 0, done.stderr
    told = stage.read()
    assert told["argv"][0] == script
    assert Path(told["folder"], script).read_text() == text


@pytest.mark.parametrize(
    ("name", "checksum", "words"),
    [
        ("pilot.tar", "0" * 64, "700 dirac_pilot is not what dirac_pilot_sha256 says"),
        ("missing.tar", "0" * 64, "600 dirac_pilot cannot be fetched"),
        ("damaged.tar", "", "700 dirac_pilot is no archive"),
    ],
)
def test_nothing_else_is_run(
    stage: Stage, published: tuple[Settings, dict[str, str]], name: str, checksum: str, words: str
) -> None:
    settings, sums = published
    url = next(iter(sums)).rsplit("/", 1)[0] + "/" + name
    done = stage.run(stage.make(settings._replace(dirac_pilot=url, dirac_pilot_sha256=checksum or sums[url])))
    assert done.returncode == 1
    assert not stage.told.exists()
    assert stage.last_words() == words + "\n"


def ask_pool(central: Central, options: list[str]) -> list[list[dict[str, Any]]]:
    central.write_client("vm")
    argv = [str(central.software / "bin/python"), str(Path(rig.__file__).with_name("pool_oracle.py")), *options]
    return json.loads(run_tool(argv, env=central.environment("vm")).splitlines()[-1])  # type: ignore[no-any-return]


def read_configuration(argv: list[str]) -> list[str]:
    """What dirac-pilot.py makes of its options: those of ``--option``, and the tags (pilotCommands.py)."""
    pairs = list(itertools.pairwise(argv))
    tags = ",".join(value for name, value in pairs if name == "--tag")
    options = [value for name, value in pairs if name == "--option"]
    return [*options, *([f"/Resources/Computing/CEDefaults/Tag={tags}"] if tags else [])]


def test_the_job_agent_asks_for_the_largest_jobs_first(central: Central, stage: Stage) -> None:
    stage.run(stage.make(SETTINGS))
    free, used = ask_pool(central, ["/LocalSite/NumberOfProcessors=2", *read_configuration(stage.read()["argv"])])
    assert [(one["offered"], one["understood"]) for one in free] == [
        (4, ["WholeNode"]),
        (4, ["4Processors"]),
        (4, ["MultiProcessor"]),
        (4, []),
    ]
    assert [one["understood"] for one in used] == [["WholeNode"], ["3Processors"], ["MultiProcessor"], []]
    assert {one["offered"] for one in used} == {3}
    assert all("WholeNode" not in one["tags"] for one in free + used)


def test_one_core_asks_once(central: Central, stage: Stage) -> None:
    stage.run(stage.make(SETTINGS, cores=1))
    free, _ = ask_pool(central, read_configuration(stage.read()["argv"]))
    assert [(one["offered"], one["required"]) for one in free] == [(1, [])]


def test_without_a_tag_the_matcher_would_not_see_what_is_asked_for(central: Central, stage: Stage) -> None:
    """Why the pilot has a tag at all."""
    stage.run(stage.make(SETTINGS))
    options = [option for option in read_configuration(stage.read()["argv"]) if "/Tag=" not in option]
    free, _ = ask_pool(central, options)
    assert [one["required"] for one in free] == [["WholeNode"], ["4Processors"], ["MultiProcessor"], []]
    assert [one["understood"] for one in free] == [[], [], [], []]


def test_a_whole_node_tag_is_offered_also_when_a_core_is_in_use(central: Central, stage: Stage) -> None:
    """Why the pilot has no tag for whole nodes: the job would be taken, and fail for want of cores."""
    stage.run(stage.make(SETTINGS._replace(dirac_options="--tag WholeNode")))
    _, used = ask_pool(central, read_configuration(stage.read()["argv"]))
    assert used[0]["understood"] == ["WholeNode"]
    assert "WholeNode" in used[-1]["tags"]
