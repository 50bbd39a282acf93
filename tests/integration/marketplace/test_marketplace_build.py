"""Building a repository: the folder, what stays and what goes, and minisign's own program as the judge."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import minisign
import pytest

from b2ct.apply.repository import build
from b2ct.apply.repository.client import open_repository
from b2ct.apply.signature import load_public_key, load_secret_key, sign_file, verify_bytes
from b2ct.errors import OutputError, UsageError
from tests.integration.marketplace.conftest import PATIENCE
from tests.rigs.bundles import write_image, write_record
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool
from tests.rigs.web import serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.marketplace.conftest import Client, Workshop

EPOCH = 1_718_000_000


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_everything_and_all_may_read_it(workshop: Workshop) -> None:
    before = os.umask(0o077)
    try:
        report = workshop.build()
    finally:
        os.umask(before)
    (image,) = report.index.bundles[0].images
    bundle = "bundles/worker/1.0.0"
    assert set(files_in(workshop.out)) == {
        "index.json",
        "index.json.minisig",
        "appliance",
        "marketplace.one",
        "minisign.pub",
        f"{bundle}/bundle.yaml",
        f"{bundle}/image.one",
        f"{bundle}/template.txt",
        f"{bundle}/user-data.yaml",
        image.path,
        f"{image.path}.minisig",
    }
    assert (image.size, image.virtual_size) == (300_000, 2 * 1024**3)
    for path in (workshop.out, *workshop.out.rglob("*")):
        wanted = 0o755 if path.is_dir() else 0o644
        assert path.stat().st_mode & 0o777 & wanted == wanted, path


def test_minisign_accepts_every_signature_and_no_changed_file(workshop: Workshop) -> None:
    need_tool("minisign")
    image = workshop.build().index.bundles[0].images[0]
    key = workshop.out / "minisign.pub"
    for name in ("index.json", image.path):
        verdict = run_tool(["minisign", "-VH", "-p", key, "-m", workshop.out / name])
        assert "Signature and comment signature verified" in verdict
        assert f"Trusted comment: timestamp:{EPOCH}\tfile:{name.split('/')[-1]}\thashed" in verdict
        (workshop.out / name).write_bytes((workshop.out / name).read_bytes() + b" ")
        with pytest.raises(Exception, match="Signature verification failed"):
            run_tool(["minisign", "-VH", "-p", key, "-m", workshop.out / name])


def test_a_key_of_minisign_with_a_password_signs(tmp_path: Path) -> None:
    need_tool("minisign")
    public, secret, data = tmp_path / "minisign.pub", tmp_path / "minisign.key", tmp_path / "data"
    argv = ["minisign", "-G", "-p", str(public), "-s", str(secret)]
    subprocess.run(argv, input="pass word\n" * 2, text=True, check=True, capture_output=True)
    data.write_bytes(b"data")
    (tmp_path / "data.minisig").write_bytes(sign_file(load_secret_key(secret, "pass word"), data, "data", EPOCH))
    run_tool(["minisign", "-VH", "-p", public, "-m", data])


def test_signatures_of_minisign_are_taken(tmp_path: Path) -> None:
    need_tool("minisign")
    public, secret, data = tmp_path / "minisign.pub", tmp_path / "minisign.key", tmp_path / "data"
    run_tool(["minisign", "-G", "-W", "-p", public, "-s", secret])
    data.write_bytes(b"data")
    run_tool(["minisign", "-S", "-s", secret, "-m", data])
    verify_bytes(load_public_key(public), b"data", (tmp_path / "data.minisig").read_bytes(), "data")
    load_secret_key(secret)


def test_a_second_build_touches_nothing(workshop: Workshop) -> None:
    workshop.build()
    before = {path: path.stat().st_mtime_ns for path in workshop.out.rglob("*") if path.is_file()}
    report = workshop.build(timestamp=EPOCH + 100)
    assert report.added == ()
    assert {path: path.stat().st_mtime_ns for path in workshop.out.rglob("*") if path.is_file()} == before


def test_versions_stand_side_by_side_and_only_what_is_new_moves(workshop: Workshop) -> None:
    workshop.build()
    before = files_in(workshop.out)
    report = workshop.build(workshop.bundle("1.10.0", content="two"))
    workshop.build(workshop.bundle("1.9.0", content="three"))
    assert [bundle.version for bundle in report.index.bundles] == ["1.0.0", "1.10.0"]
    index = json.loads((workshop.out / "index.json").read_text())
    assert [bundle["version"] for bundle in index["bundles"]] == ["1.0.0", "1.9.0", "1.10.0"]
    after = files_in(workshop.out)
    assert {name for name in before if after[name] != before[name]} == {"index.json", "index.json.minisig", "appliance"}
    names = [item["name"] for item in json.loads(after["appliance"])["appliances"]]
    assert names[::2] == ["worker-el9-1.0.0", "worker-el9-1.9.0", "worker-el9-1.10.0"]


def test_older_versions_go_only_when_asked(workshop: Workshop) -> None:
    old = workshop.build().index.bundles[0].images[0].path
    report = workshop.build(workshop.bundle("2.0", content="two"), keep_older=False)
    assert [bundle.version for bundle in report.index.bundles] == ["2.0"]
    assert old in report.removed
    assert not (workshop.out / old).exists()
    assert not (workshop.out / "bundles/worker/1.0.0").exists()
    assert (workshop.out / report.index.bundles[0].images[0].path).exists()


def test_the_time_of_an_index_never_goes_back(workshop: Workshop) -> None:
    assert workshop.build().index.created == EPOCH
    assert workshop.build(workshop.bundle("2.0"), timestamp=5).index.created == EPOCH + 1


def test_a_published_version_cannot_change(workshop: Workshop) -> None:
    workshop.build()
    before = files_in(workshop.out)
    write_record(write_image(workshop.images / "worker-el9-1.0.0.qcow2", "other"))
    with pytest.raises(UsageError, match=r"worker 1\.0\.0 is published already, with another images/worker-el9-1"):
        workshop.build()
    write_record(write_image(workshop.images / "worker-el9-1.0.0.qcow2", "one"))
    folder = workshop.bundle()
    (folder / "image.one").write_text((folder / "image.one").read_text() + 'DESCRIPTION = "new"\n')
    with pytest.raises(UsageError, match=r"with another image\.one"):
        workshop.build(folder)
    assert files_in(workshop.out) == before


def test_an_image_is_linked_or_where_nobody_may_read_it_copied(workshop: Workshop) -> None:
    image = workshop.out / workshop.build().index.bundles[0].images[0].path
    assert image.stat().st_nlink == 2
    second = workshop.bundle("2.0", content="two")
    (workshop.images / "worker-el9-2.0.qcow2").chmod(0o600)
    copy = workshop.out / workshop.build(second).index.bundles[1].images[0].path
    assert (copy.stat().st_nlink, copy.stat().st_mode & 0o777) == (1, 0o644)


def test_an_image_that_two_bundles_lack_is_told_once(workshop: Workshop) -> None:
    images = "[{guest: el9, build: worker-el9, version: %s}, {guest: el8, build: worker-el8, version: 1.0.0}]"
    folders = [workshop.bundle(version, images % version) for version in ("1.0.0", "2.0.0")]
    assert workshop.build(*folders).missing == ("worker-el8-1.0.0.qcow2",)


def test_guests_that_are_not_built_are_told_and_can_come_later(workshop: Workshop) -> None:
    images = "[{guest: el9, build: worker-el9, version: 1.0.0}, {guest: el8, build: worker-el8, version: 1.0.0}]"
    folder = workshop.bundle(images=images)
    report = workshop.build(folder)
    assert report.missing == ("worker-el8-1.0.0.qcow2",)
    assert [image.guest for image in report.index.bundles[0].images] == ["el9"]
    write_record(write_image(workshop.images / "worker-el8-1.0.0.qcow2", "eight"))
    (workshop.images / "worker-el9-1.0.0.qcow2").unlink()
    report = workshop.build(folder)
    assert [image.guest for image in report.index.bundles[0].images] == ["el9", "el8"]


def test_a_bundle_without_any_image_is_refused(workshop: Workshop) -> None:
    folder = workshop.bundle()
    (workshop.images / "worker-el9-1.0.0.qcow2").unlink()
    with pytest.raises(UsageError, match="no image of the bundle worker"):
        workshop.build(folder)
    assert not workshop.out.exists()


def test_a_folder_with_other_files_is_refused(workshop: Workshop) -> None:
    workshop.out.mkdir(parents=True)
    (workshop.out / "thesis.tex").touch()
    with pytest.raises(OutputError, match=r"holds thesis\.tex, which B2CT did not write"):
        workshop.build()


def test_another_key_signs_everything_again(workshop: Workshop) -> None:
    image = workshop.build().index.bundles[0].images[0].path
    workshop.key = minisign.KeyPair.generate()
    assert set(workshop.build().added) == {f"{image}.minisig", "minisign.pub", "index.json", "index.json.minisig"}
    verify_bytes(
        workshop.key.public_key,
        (workshop.out / image).read_bytes(),
        (workshop.out / f"{image}.minisig").read_bytes(),
        image,
    )


@pytest.mark.parametrize("step", ["sign_file", "place_file", "render_appliances", "sign_bytes"])
def test_a_build_that_breaks_off_leaves_the_old_index_and_the_next_mends_it(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    workshop.build()
    before = (workshop.out / "index.json").read_bytes()
    second = workshop.bundle("2.0", content="two")

    def fail(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(build, step, fail)
        with pytest.raises(OutputError, match="No space left"):
            workshop.build(second)
    assert (workshop.out / "index.json").read_bytes() == before
    assert not [name for name in files_in(workshop.out) if name.split("/")[-1].startswith(".")]
    report = workshop.build(second)
    assert [bundle.version for bundle in report.index.bundles] == ["1.0.0", "2.0"]
    for path in (image.path for bundle in report.index.bundles for image in bundle.images):
        verify_bytes(
            workshop.key.public_key,
            (workshop.out / path).read_bytes(),
            (workshop.out / f"{path}.minisig").read_bytes(),
            path,
        )


def test_who_reads_while_it_is_built_sees_a_whole_index_every_time(workshop: Workshop, client: Client) -> None:
    done, read = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def build_on() -> None:
        try:
            for minor in range(1, 12):
                workshop.build(workshop.bundle(f"1.{minor}", content=f"{minor} "), timestamp=EPOCH + minor)
                read.clear()
                assert read.wait(60)
        except BaseException as error:  # noqa: BLE001 - it is raised in the test's own thread below
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=build_on)
    thread.start()
    seen = set()
    while not done.is_set():
        # index and signature are two files: who comes between them reads again
        repository = client.open(patience=replace(PATIENCE, retry_waits_s=(0.5, 2)))
        read.set()
        seen.add(len(repository.index.bundles))
        assert repository.load("worker").manifest.version == repository.versions("worker")[0]
    thread.join()
    assert not errors
    assert len(seen) > 1


def test_a_copy_by_any_means_is_the_same_repository(workshop: Workshop, tmp_path: Path) -> None:
    workshop.build()
    mirror = tmp_path / "mirror"
    run_tool(["cp", "-r", workshop.out, mirror])
    with serve(mirror) as web:
        repository = open_repository(f"{web.url}/index.json", workshop.key.public_key, tmp_path / "cache")
    assert repository.versions("worker") == ("1.0.0",)
