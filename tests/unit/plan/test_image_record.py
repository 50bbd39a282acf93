"""The record of an image says the same after it was written and read, and refuses what is damaged."""

from __future__ import annotations

import json

import pytest

from b2ct.errors import SiteFileError
from b2ct.plan.image import BootMode, Contextualization, Family, Method
from b2ct.plan.image_record import ImageRecord, PackageVersion, read_record, record_name, render_record

RECORD = ImageRecord(
    name="worker-x",
    version="1.0.0",
    title="Worker: 'x' # é",
    family=Family.DEBIAN,
    release="12",
    file="worker-x-1.0.0.qcow2",
    bytes=241_000_000,
    virtual_bytes=10 * 1024**3,
    sha256="ab" * 32,
    md5="0" * 32,
    boot=(BootMode.BIOS, BootMode.UEFI),
    contextualization=Contextualization.CLOUD_INIT,
    method=Method.DEBOOTSTRAP,
    built_from=("http://mirror.example/debian bookworm",),
    agent_version="0.1.0",
    packages=(PackageVersion(name="bash", version="5.2.15-2+b13"), PackageVersion(name="x", version="1:2.3~4")),
)


def test_the_record_lies_beside_its_image() -> None:
    assert record_name("worker-x-1.0.0.qcow2") == "worker-x-1.0.0.qcow2.json"


def test_it_reads_back_the_same() -> None:
    assert read_record(render_record(RECORD), "x.json") == RECORD


def test_a_record_of_before_says_that_nothing_was_left_out() -> None:
    old = {key: value for key, value in json.loads(render_record(RECORD)).items() if key != "left_out"}
    assert read_record(json.dumps(old), "x.json") == RECORD
    assert RECORD.warning == ""


def test_what_was_left_out_is_warned_of() -> None:
    assert RECORD.model_copy(update={"left_out": ("cvmfs", "egi")}).warning == (
        "worker-x-1.0.0.qcow2 was built without its repositories' packages, cvmfs, egi: workers of communities with "
        "CVMFS repositories will not become READY"
    )
    assert "READY" not in RECORD.model_copy(update={"left_out": ("egi",)}).warning


def test_it_is_plain_json() -> None:
    data = json.loads(render_record(RECORD))
    assert data["record"] == "1"
    assert data["packages"][1] == {"name": "x", "version": "1:2.3~4"}
    assert data["boot"] == ["bios", "uefi"]


@pytest.mark.parametrize(
    "change", [{"sha256": "ab"}, {"bytes": 0}, {"record": "2"}, {"file": "../x"}, {"more": 1}, {"format": "vmdk"}]
)
def test_a_damaged_record_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(SiteFileError):
        read_record(json.dumps({**json.loads(render_record(RECORD)), **change}), "x.json")
