from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from b2ct_vmagent import pilots
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.features import move_shutdown
from b2ct_vmagent.life import Life
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilot_files import PilotFiles, Slot
from b2ct_vmagent.pilots import (
    Ended,
    has_old_secrets,
    judge_end,
    load_end,
    make_pilot,
    make_slot,
    pilot_count,
    prepare_pilot,
    record_end,
    renew_secrets,
    unit_name,
    was_started,
)
from b2ct_vmagent.reports import Outcome
from b2ct_vmagent.settings import Settings

COMMAND = Settings(site="torino", vo="belle", pilot="run 'it' 100%", pilot_drain="touch asked")
GOOD = {"SERVICE_RESULT": "success", "EXIT_STATUS": "0"}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    paths = Paths(str(tmp_path))
    for folder in (paths.run, paths.pilot_state(0), paths.pilot_state(1), paths.scratch, paths.at("/proc")):
        Path(folder).mkdir(parents=True)
    Path(paths.at("/proc/meminfo")).write_text("MemTotal: 16777216 kB\n", encoding="ascii")
    return paths


# what runs


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (Settings(), 0),
        (Settings(pilot="x"), 1),
        (Settings(pilot="x", pilots="core"), 8),
        (Settings(pilot="x", pilots="3"), 3),
        (Settings(pilot_kind="htcondor", pilots="core"), 1),
        (Settings(pilot_kind="dirac", dirac_pilot="/x", pilots="2"), 2),
        (Settings(pilot_kind="dirac", pilots="2"), 0),
    ],
)
def test_how_many_pilots(settings: Settings, count: int) -> None:
    assert pilot_count(settings, 8) == count


def test_no_more_pilots_than_have_units() -> None:
    assert pilot_count(Settings(pilot="x", pilots="core"), 384) == 256


@pytest.mark.parametrize(("count", "cores", "memory_mib"), [("node", 8, 16384), ("core", 1, 2048), ("3", 2, 5461)])
def test_the_share_of_a_pilot(paths: Paths, count: str, cores: int, memory_mib: int) -> None:
    slot = make_slot(paths, COMMAND._replace(pilots=count), 0, "u")
    assert (slot.cores, slot.memory_mib, slot.uid) == (cores, memory_mib, "u")


def test_more_pilots_than_cores_have_one_each(paths: Paths) -> None:
    assert make_slot(paths, COMMAND._replace(pilots="100"), 99, "u").cores == 1


def test_units() -> None:
    assert unit_name(COMMAND, 3) == "b2ct-vm-pilot@3.service"
    assert unit_name(Settings(pilot_kind="htcondor"), 0) == "b2ct-vm-htcondor.service"


def test_a_command(paths: Paths, tmp_path: Path) -> None:
    folder = prepare_pilot(paths, COMMAND._replace(pilots="2"), 1)
    assert folder == f"{tmp_path}/var/lib/b2ct-vm-pilot/1"
    script = Path(paths.pilot(1), "start").read_text(encoding="utf-8")
    lines = script.splitlines()
    assert lines[0] == f"cd {folder} || exit 1"
    assert lines[-1] == "run 'it' 100%"
    exported = dict(
        word.split("=", 1) for line in lines if line.startswith("export ") for word in shlex.split(line)[1:]
    )
    assert exported.pop("B2CT_UID").startswith("torino-0-")
    assert exported == {
        "HOME": folder,
        "TMPDIR": folder,
        "JOBOUTPUTS": folder,
        "MACHINEFEATURES": paths.machine_features,
        "JOBFEATURES": paths.job_features(1),
        "B2CT_STOP_FILE": f"{folder}/stop",
        "B2CT_SLOT": "1",
        "B2CT_CORES": "4",
        "B2CT_VO": "belle",
        "B2CT_SITE": "torino",
    }
    drain = Path(paths.pilot(1), "drain").read_text(encoding="utf-8").splitlines()
    assert drain[:-2] == lines[:-1]
    assert drain[-2:] == [': >"$B2CT_STOP_FILE"', "touch asked"]
    for name in ("start", "drain"):
        assert Path(paths.pilot(1), name).stat().st_mode & 0o777 == 0o644


def test_on_the_scratch_disk_if_there_is_one(paths: Paths, tmp_path: Path) -> None:
    scratch = COMMAND._replace(scratch="/dev/vdb")
    for _ in range(2):
        assert prepare_pilot(paths, scratch, 0) == f"{tmp_path}/scratch/pilot-0"
    assert (tmp_path / "scratch/pilot-0").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "scratch/pilot-0").stat().st_uid == Path(paths.pilot_state(0)).stat().st_uid


def test_the_folder_on_the_scratch_disk_belongs_to_the_pilots_user(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, int, int, bool]] = []

    def chown(path: str, uid: int, gid: int, *, follow_symlinks: bool) -> None:
        given.append((path, uid, gid, follow_symlinks))

    monkeypatch.setattr("os.chown", chown)
    folder = prepare_pilot(paths, COMMAND._replace(scratch="/dev/vdb"), 0)
    owner = Path(paths.pilot_state(0)).stat()
    assert given == [(folder, owner.st_uid, owner.st_gid, False)]


def test_what_a_kind_brings_lies_beside_its_script(paths: Paths) -> None:
    condor = Settings(pilot_kind="htcondor", condor_collector="c.example.org:9618", vo="belle")
    prepare_pilot(paths, condor, 0)
    config = Path(paths.pilot(0), "condor_config")
    assert "COLLECTOR_HOST = c.example.org:9618" in config.read_text(encoding="utf-8")
    assert config.stat().st_mode & 0o777 == 0o644


def test_a_link_on_the_scratch_disk_gives_nothing_away(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "scratch/pilot-0").symlink_to(tmp_path / "victim")
    with pytest.raises(AgentError, match="scratch/pilot-0 is no folder"):
        prepare_pilot(paths, COMMAND._replace(scratch="/dev/vdb"), 0)
    assert not was_started(paths, 0)


def test_what_is_missing_is_said(paths: Paths) -> None:
    for settings, number in ((Settings(), 0), (COMMAND, 1), (COMMAND, -1), (COMMAND._replace(pilots="2"), 2)):
        with pytest.raises(AgentError, match=f"no pilot {number} is asked for"):
            prepare_pilot(paths, settings, number)
    Path(paths.pilot_state(0)).rmdir()
    with pytest.raises(AgentError, match=r"b2ct-vm-pilot/0: No such file"):
        prepare_pilot(paths, COMMAND, 0)
    assert not was_started(paths, 0)


def test_no_pilot_starts_on_a_machine_that_goes(paths: Paths) -> None:
    life = Life.load(paths)
    life.end(Outcome(100, "x"), forced=False, now_s=1.0)
    life.save()
    with pytest.raises(AgentError, match="about to go"):
        prepare_pilot(paths, COMMAND, 0)


def test_what_the_last_pilot_left_is_taken_away(paths: Paths) -> None:
    folder = Path(prepare_pilot(paths, COMMAND, 0))
    (folder / "stop").touch()
    (folder / "shutdown_message").write_text("300 old", encoding="ascii")
    (folder / "data").touch()
    record_end(paths, COMMAND, 0, GOOD)
    prepare_pilot(paths, COMMAND, 0)
    assert [path.name for path in folder.iterdir()] == ["data"]
    assert load_end(paths, 0) is None
    record_end(paths, COMMAND, 0, GOOD)
    ended = load_end(paths, 0)
    assert ended is not None
    assert ended.message == ""


def test_what_stands_where_the_stop_file_is_harms_only_its_owner(paths: Paths, tmp_path: Path) -> None:
    folder = Path(paths.pilot_state(0))
    (folder / "stop").mkdir()
    (tmp_path / "victim").write_text("x", encoding="ascii")
    (folder / "shutdown_message").symlink_to(tmp_path / "victim")
    prepare_pilot(paths, COMMAND, 0)
    assert (tmp_path / "victim").read_text(encoding="ascii") == "x"
    assert not (folder / "shutdown_message").is_symlink()


def test_what_a_job_has_follows_the_lifetime(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    prepare_pilot(paths, COMMAND._replace(max_lifetime_s=5000, pilots="2"), 1)
    told = {path.name: path.read_text(encoding="ascii").strip() for path in Path(paths.job_features(1)).iterdir()}
    assert (told["wall_limit_secs"], told["cpu_limit_secs"], told["allocated_cpu"]) == ("4000", "16000", "4")
    assert told["shutdowntime_job"] == "1800004000"
    assert int(told["scratch_limit_bytes"]) > 0
    prepare_pilot(paths, COMMAND._replace(max_lifetime_s=0), 0)
    assert not Path(paths.job_features(0), "wall_limit_secs").exists()
    move_shutdown(paths, 1_800_000_900)
    assert Path(paths.job_features(0), "shutdowntime_job").read_text(encoding="ascii") == "1800000900\n"


@pytest.mark.parametrize("value", ["it's", "$(id)", "`id`", 'a "b" \\', "; reboot", ""])
def test_no_setting_leaves_its_place_in_the_scripts(paths: Paths, value: str) -> None:
    prepare_pilot(paths, COMMAND._replace(vo=value, site=value), 0)
    for script in ("start", "drain"):
        words = shlex.split(Path(paths.pilot(0), script).read_text(encoding="utf-8").split("B2CT_VO=")[1], posix=True)
        assert words[0] == value
        assert words[2] == f"B2CT_SITE={value}"


def test_each_kind_gives_what_its_module_gives(paths: Paths) -> None:
    slot = make_slot(paths, COMMAND, 0, "u")
    assert make_pilot(COMMAND, slot) == PilotFiles("run 'it' 100%\n", ': >"$B2CT_STOP_FILE"\ntouch asked\n', {}, "")
    condor = make_pilot(Settings(pilot_kind="htcondor", condor_collector="c:9618", vo="x"), slot)
    assert "condor_starter" in condor.payloads
    dirac = Settings(pilot_kind="dirac", dirac_pilot="/cvmfs/pilot.py", dirac_servers=("dips://d:9135/C/S",))
    assert make_pilot(dirac._replace(vo="belle", dirac_site="CLOUD.T.it"), slot).payloads


# how it ends


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (b"300 No more work available\n", 300, "No more work available"),
        (b"  600 Matcher down ", 600, "Matcher down"),
        (b"200", 200, "The pilot ended"),
        (b"100 " + b"x" * 10000, 100, "x" * 252),
    ],
)
def test_the_pilots_own_word(paths: Paths, text: bytes, code: int, words: str) -> None:
    Path(paths.pilot_state(0), "shutdown_message").write_bytes(text)
    record_end(paths, COMMAND, 0, {"SERVICE_RESULT": "exit-code", "EXIT_STATUS": "1"})
    ended = load_end(paths, 0)
    assert ended is not None
    assert judge_end(ended, 5) == Outcome(code, words)


@pytest.mark.parametrize(
    "text",
    [b"", b"30 x", b"3000 x", b"000 x", b"800 x", b"300x", b"300 a\nb", b"300 \x1b[2J", b"\xff\xfe", b"300 \xc3\xa9"],
)
def test_what_is_no_message_counts_for_nothing(paths: Paths, text: bytes) -> None:
    Path(paths.pilot_state(0), "shutdown_message").write_bytes(text)
    record_end(paths, COMMAND, 0, GOOD)
    ended = load_end(paths, 0)
    assert ended is not None
    assert ended.message == ""


def test_what_only_looks_like_a_message_is_not_read(paths: Paths, tmp_path: Path) -> None:
    place = Path(paths.pilot_state(0), "shutdown_message")
    (tmp_path / "secret").write_text("300 secret", encoding="ascii")
    place.symlink_to(tmp_path / "secret")
    record_end(paths, COMMAND, 0, GOOD)
    place.unlink()
    first = load_end(paths, 0)
    os.mkfifo(place)
    record_end(paths, COMMAND, 0, GOOD)
    place.unlink()
    second = load_end(paths, 0)
    place.mkdir()
    record_end(paths, COMMAND, 0, GOOD)
    third = load_end(paths, 0)
    assert [ended and ended.message for ended in (first, second, third)] == ["", "", ""]


def test_a_pilot_that_never_began_has_an_end(paths: Paths) -> None:
    assert load_end(paths, 0) is None
    assert not was_started(paths, 0)
    record_end(paths, COMMAND, 0, {})
    assert was_started(paths, 0)
    ended = load_end(paths, 0)
    assert ended is not None
    assert judge_end(ended, 0) == Outcome(300, "No more work available from the task queue")


@pytest.mark.parametrize(
    ("ended", "done", "outcome"),
    [
        (Ended("success", "0", "", 0.0), 0, Outcome(300, "No more work available from the task queue")),
        (Ended("success", "0", "", 0.0), 1, Outcome(200, "Intended work completed ok")),
        (Ended("exit-code", "3", "", 0.0), 1, Outcome(700, "The pilot failed: exit-code 3")),
        (Ended("signal", "KILL", "", 0.0), 0, Outcome(700, "The pilot failed: signal KILL")),
        (Ended("oom-kill", "", "", 0.0), 0, Outcome(700, "The pilot failed: oom-kill")),
        *((Ended("success", "0", f"{code} x", 0.0), 1, Outcome(code, "x")) for code in range(100, 800, 100)),
    ],
)
def test_what_an_end_means(ended: Ended, done: int, outcome: Outcome) -> None:
    assert judge_end(ended, done) == outcome


@pytest.mark.parametrize("damage", [b"{", b"[]", b"3", b"\xff", b'{"result": "success"}', b'{"at_s": "x"}'])
def test_a_damaged_result_is_a_failure_that_may_be_tried_again(paths: Paths, damage: bytes) -> None:
    Path(paths.pilot(0)).mkdir(parents=True)
    Path(paths.pilot(0), "result").write_bytes(damage)
    assert load_end(paths, 0) == Ended("damaged", "", "", 0.0)
    prepare_pilot(paths, COMMAND, 0)
    assert load_end(paths, 0) is None


def test_a_result_is_for_all_to_read(paths: Paths) -> None:
    record_end(paths, COMMAND, 0, GOOD)
    place = Path(paths.pilot(0), "result")
    assert place.stat().st_mode & 0o777 == 0o644
    assert json.loads(place.read_text(encoding="ascii"))["result"] == "success"


# what it shows to its centre


def test_what_is_renewed_is_copied_even_when_the_clock_was_set_back(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pilot(_settings: Settings, _slot: Slot) -> PilotFiles:
        return PilotFiles("x", "", {}, "", (("key", "/etc/secret"),))

    monkeypatch.setattr(pilots, "make_pilot", pilot)
    (tmp_path / "etc").mkdir()
    secret = tmp_path / "etc/secret"
    with pytest.raises(AgentError, match="etc/secret is not there"):
        prepare_pilot(paths, COMMAND, 0)
    assert not has_old_secrets(paths, COMMAND, 0)
    secret.write_text("one", encoding="ascii")
    prepare_pilot(paths, COMMAND, 0)
    copy = Path(paths.pilot(0), "key")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not has_old_secrets(paths, COMMAND, 0)
    secret.write_text("two", encoding="ascii")
    os.utime(secret, (1_000_000, 1_000_000))
    assert has_old_secrets(paths, COMMAND, 0)
    renew_secrets(paths, COMMAND, 0)
    assert copy.read_text(encoding="ascii") == "two"
    assert not has_old_secrets(paths, COMMAND, 0)


def test_renewed_copies_belong_to_whom_the_first_ones_do(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pilot(_settings: Settings, _slot: Slot) -> PilotFiles:
        return PilotFiles("x", "", {}, "", (("hostcert.pem", "/cert"),))

    monkeypatch.setattr(pilots, "make_pilot", pilot)
    (tmp_path / "cert").write_text("one", encoding="ascii")
    prepare_pilot(paths, COMMAND, 0)
    owners: list[object] = []
    monkeypatch.setattr(pilots, "write_file", lambda *words: owners.append(words[3]))
    monkeypatch.setattr(paths.__class__, "pilot_state", lambda *_: "/nowhere")  # what it looks like outside of the unit
    monkeypatch.setattr(os, "utime", lambda *_, **__: None)
    renew_secrets(paths, COMMAND, 0)
    assert owners == [(os.getuid(), os.getgid())]


def test_no_copy_stays_when_the_pilot_has_ended(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pilot(_settings: Settings, _slot: Slot) -> PilotFiles:
        return PilotFiles("x", "", {}, "", (("hostkey.pem", "/key"),))

    monkeypatch.setattr(pilots, "make_pilot", pilot)
    (tmp_path / "key").write_text("key", encoding="ascii")
    prepare_pilot(paths, COMMAND, 0)
    assert Path(paths.pilot(0), "hostkey.pem").exists()
    record_end(paths, COMMAND, 0, {})
    assert not Path(paths.pilot(0), "hostkey.pem").exists()


def test_settings_that_changed_under_a_pilot_renew_nothing(paths: Paths) -> None:
    prepare_pilot(paths, COMMAND, 0)
    assert not has_old_secrets(paths, Settings(pilot_kind="htcondor"), 0)
