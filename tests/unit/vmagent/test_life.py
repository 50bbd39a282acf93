from __future__ import annotations

import stat
from pathlib import Path

import pytest
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.life import Ending, Life, forget_uid, load_uid
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.reports import Outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    return Paths(str(tmp_path))


def make_life(paths: Paths) -> Life:
    life = Life.load(paths)
    life.began_s, life.halting, life.spent_cpu_s = 12.5, True, 7.25
    life.saw(["0/b", "0/a"], active=True, now_s=20.0)
    life.saw(["0/b"], active=False, now_s=30.0)
    life.end(Outcome(300, 'No "work" é'), forced=False, now_s=40.0)
    return life


def test_what_is_written_is_found_again_by_root_only(paths: Paths) -> None:
    life = make_life(paths)
    life.save()
    again = Life.load(paths)
    assert (again.began_s, again.busy_s, again.active_s) == (12.5, 30.0, 20.0)
    assert (again.running, again.done, again.halting, again.spent_cpu_s) == (["0/b"], 1, True, 7.25)
    assert again.ending == Ending(Outcome(300, 'No "work" é'), forced=False, since_s=40.0)
    assert stat.S_IMODE(Path(paths.life).stat().st_mode) == 0o600


def test_it_is_written_only_when_it_has_changed(paths: Paths) -> None:
    life = make_life(paths)
    life.save()
    Path(paths.life).unlink()
    life.save()
    assert not Path(paths.life).exists()
    life.done += 1
    life.save()
    assert Life.load(paths).done == 2


def test_what_could_not_be_written_is_written_later(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    life = make_life(paths)

    def full(*_: object) -> None:
        raise AgentError("full")

    with monkeypatch.context() as patch:
        patch.setattr("b2ct_vmagent.life.write_file", full)
        with pytest.raises(AgentError, match="full"):
            life.save()
    life.save()
    assert Life.load(paths).done == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_a_damaged_life_is_whole_or_a_new_one(paths: Paths, data: st.DataObject) -> None:
    make_life(paths).save()
    text = bytearray(Path(paths.life).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=3))
        text += b" "
    Path(paths.life).write_bytes(text)
    life = Life.load(paths)
    life.saw([], active=False, now_s=50.0)
    life.end(Outcome(100, "x"), forced=True, now_s=50.0)
    life.save()
    Path(paths.life).unlink()


def test_payloads_are_counted_once_each(paths: Paths) -> None:
    life = Life.load(paths)
    for payloads in (["0/a"], ["0/a", "1/a"], ["1/a"], [], ["0/c"], ["0/d"]):
        life.saw(payloads, active=False, now_s=1.0)
    assert (life.done, life.running) == (3, ["0/d"])
    assert life.active_s is None


def test_an_end_is_taken_once_and_made_harder_but_not_softer(paths: Paths) -> None:
    life = Life.load(paths)
    first, second, third = Outcome(300, "a"), Outcome(100, "b"), Outcome(200, "c")
    assert life.end(first, forced=False, now_s=1.0)
    assert not life.end(second, forced=False, now_s=2.0)
    assert life.ending == Ending(first, forced=False, since_s=1.0)
    assert life.end(second, forced=True, now_s=3.0)
    assert not life.end(third, forced=True, now_s=4.0)
    assert not life.end(third, forced=False, now_s=4.0)
    assert life.ending == Ending(second, forced=True, since_s=1.0)


# names


def test_a_name_is_kept_until_the_machine_has_gone(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    boot = tmp_path / "proc/sys/kernel/random/boot_id"
    boot.write_text("0123abcd-4567-89ab-cdef-0123456789ab\n", encoding="ascii")
    assert load_uid(paths, "CLOUD.Torino.it", "42") == "CLOUD.Torino.it-42-0123abcd"
    boot.write_text("fedcba98-4567-89ab-cdef-0123456789ab\n", encoding="ascii")
    assert load_uid(paths, "CLOUD.Torino.it", "42") == "CLOUD.Torino.it-42-0123abcd"
    forget_uid(paths)
    assert load_uid(paths, "CLOUD.Torino.it", "42") == "CLOUD.Torino.it-42-fedcba98"
    assert stat.S_IMODE(Path(paths.uid).stat().st_mode) == 0o600


def test_two_machines_have_two_names(tmp_path: Path) -> None:
    assert load_uid(Paths(str(tmp_path / "a")), "x", "1") != load_uid(Paths(str(tmp_path / "b")), "x", "1")


def test_a_copied_disk_has_a_name_of_its_own(paths: Paths) -> None:
    first = load_uid(paths, "torino", "41")
    assert load_uid(paths, "torino", "42").startswith("torino-42-")
    assert load_uid(paths, "bari", "42").startswith("bari-42-")
    assert load_uid(paths, "torino", "41").startswith("torino-41-")
    assert first


@given(st.text(max_size=128), st.text(max_size=10))
def test_a_name_can_stand_anywhere(site: str, vmid: str) -> None:
    uid = load_uid(Paths("/proc/self/nowhere"), site, vmid)
    assert set(uid) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
    assert len(uid) <= 140


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"../../etc", b"a b", b"x" * 141, b"a\nb"])
def test_a_damaged_name_is_made_anew(paths: Paths, damage: bytes) -> None:
    Path(paths.uid).parent.mkdir(parents=True)
    Path(paths.uid).write_bytes(damage)
    uid = load_uid(paths, "torino", "7")
    assert uid.startswith("torino-7-")
    assert load_uid(paths, "torino", "7") == uid


def test_a_disk_that_takes_no_file_still_has_a_name_that_holds_until_the_next_boot(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text("0123abcd-4567\n", encoding="ascii")

    def full(*_: object) -> None:
        raise AgentError("full")

    monkeypatch.setattr("b2ct_vmagent.life.write_file", full)
    assert load_uid(paths, "", "") == load_uid(paths, "", "") == "site-0-0123abcd"
