"""Finding image files: where they are looked for, and that they are what manifest and record say."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.repository.images import ImageFileError, find_image, find_warnings
from b2ct.plan.bundle import BundleImage
from b2ct.plan.image_record import record_name
from tests.rigs.bundles import write_image, write_record

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = BundleImage(guest="el9", build="worker-el9", version="1.0.0")


def test_an_image_is_beside_the_manifest_or_in_the_folder_of_images(tmp_path: Path) -> None:
    images, beside = tmp_path / "images", tmp_path / "bundle"
    assert find_image(IMAGE, images, beside) is None
    stored = write_image(images / IMAGE.file_name)
    found = find_image(IMAGE, images, beside)
    assert found is not None
    assert (found.path, found.size, found.virtual_size) == (stored, 300_000, 2 * 1024**3)
    assert found.sha256 == hashlib.sha256(stored.read_bytes()).hexdigest()
    near = write_image(beside / IMAGE.file_name, "two")
    nearer = find_image(IMAGE, images, beside)
    assert nearer is not None
    assert nearer.path == near


def test_the_record_is_believed_unless_all_is_read(tmp_path: Path) -> None:
    path = write_image(tmp_path / IMAGE.file_name)
    write_record(path, sha256="0" * 64)
    found = find_image(IMAGE, tmp_path)
    assert found is not None
    assert found.sha256 == "0" * 64
    assert found.record is not None
    with pytest.raises(ImageFileError, match=r"its SHA-256 is [0-9a-f]{64}, and .*\.qcow2\.json says 0000"):
        find_image(IMAGE, tmp_path, read_all=True)
    write_record(path)
    assert find_image(IMAGE, tmp_path, read_all=True) == find_image(IMAGE, tmp_path)


def test_a_record_warns_of_what_was_left_out_once(tmp_path: Path) -> None:
    path = write_record(write_image(tmp_path / IMAGE.file_name), left_out=("cvmfs",))
    whole = write_record(write_image(tmp_path / "whole.qcow2"))
    bare = write_image(tmp_path / "bare.qcow2")
    (warning,) = find_warnings([path, whole, bare, path])
    assert warning.startswith(f"{IMAGE.file_name} was built without its repositories' packages, cvmfs: ")


def test_a_file_of_another_size_than_recorded_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / IMAGE.file_name)
    write_record(path, size=5)
    with pytest.raises(ImageFileError, match=r"its size is 300000 bytes, and .* says 5 bytes"):
        find_image(IMAGE, tmp_path)


@pytest.mark.parametrize("text", ['{"record": 7}', "", "[]", "\xff"])
def test_a_wrong_record_is_refused(tmp_path: Path, text: str) -> None:
    path = write_image(tmp_path / IMAGE.file_name)
    path.with_name(record_name(path.name)).write_text(text, encoding="latin-1")
    with pytest.raises(ImageFileError, match=r"\.qcow2\.json: "):
        find_image(IMAGE, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 5},
        {"virtual_size": 5},
        {"md5": "0" * 32},
        {"checksum": "sha256:" + "0" * 64},
        {"checksum": "sha512:" + "0" * 128},
    ],
    ids=str,
)
def test_a_file_that_is_not_the_manifests_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    write_image(tmp_path / IMAGE.file_name)
    with pytest.raises(ImageFileError, match="and the manifest says"):
        find_image(IMAGE.model_copy(update=changes), tmp_path)


def test_a_checksum_of_either_kind_is_taken(tmp_path: Path) -> None:
    data = write_image(tmp_path / IMAGE.file_name).read_bytes()
    for kind in ("sha256", "sha512"):
        checksum = f"{kind}:{hashlib.new(kind, data).hexdigest()}"
        assert find_image(IMAGE.model_copy(update={"checksum": checksum}), tmp_path)


def test_what_is_no_qcow2_is_refused_and_raw_is_as_large_as_it_is(tmp_path: Path) -> None:
    (tmp_path / IMAGE.file_name).write_bytes(b"QFI\xfb")
    with pytest.raises(ImageFileError, match="is not a qcow2 image"):
        find_image(IMAGE, tmp_path)
    raw = IMAGE.model_copy(update={"format": "raw"})
    (tmp_path / raw.file_name).write_bytes(bytes(4096))
    found = find_image(raw, tmp_path)
    assert found is not None
    assert found.virtual_size == 4096
