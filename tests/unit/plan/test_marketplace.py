"""The index of a repository, and the appliances made of it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from b2ct.plan.appliance import make_portable, spellings
from b2ct.plan.attributes import first_text
from b2ct.plan.bundle import BundleImage
from b2ct.plan.marketplace import IndexFile, RepositoryIndexError, image_path, read_index
from b2ct.plan.one_grammar import parse_template


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/x",
        "x/",
        "x//y",
        "..",
        "../x",
        "x/../y",
        ".x",
        "x/.y",
        "x\\y",
        "x y",
        "x\ny",
        "http://x/y",
        "x?y",
        "x#y",
        "%2e",
    ],
)
def test_no_path_leads_out_of_the_repository(path: str) -> None:
    with pytest.raises(ValidationError):
        IndexFile(path=path, size=1, sha256="0" * 64)


def test_an_image_is_named_by_its_content() -> None:
    image = BundleImage(guest="el9", build="worker-el9", version="1.2", format="qcow2")
    assert image_path(image, "ab" * 32) == "images/worker-el9-1.2-abababababababab.qcow2"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b'{"format": 1, "created": 1, "bundles": 5}'])
def test_what_is_no_index_is_refused(data: bytes) -> None:
    with pytest.raises(RepositoryIndexError, match=r"^here is not the index of a repository"):
        read_index(data, "here")


def test_a_newer_format_asks_for_a_newer_b2ct() -> None:
    with pytest.raises(RepositoryIndexError) as caught:
        read_index(b'{"format": 2, "created": 1, "bundles": []}', "here")
    assert caught.value.hint == "a newer B2CT may read it"


def test_a_template_without_other_disks_boots_from_the_first() -> None:
    text = 'NAME = "x"\nOS = [ BOOT = "disk0" ]\nDISK = [ IMAGE_ID = "@IMAGE_ID@" ]\n'
    template = make_portable(parse_template(text, "x"))
    assert [item.name for item in template] == ["OS"]
    assert first_text(template, "OS", "BOOT") == "disk0"


def test_a_boot_order_of_its_own_stays() -> None:
    text = 'OS = [ BOOT = "nic0,disk0" ]\nDISK = [ IMAGE = "x" ]\n'
    assert first_text(make_portable(parse_template(text, "x")), "OS", "BOOT") == "nic0,disk0"


def test_an_attribute_has_as_many_spellings_as_letters_allow() -> None:
    assert list(spellings("OS")) == ["OS", "Os", "oS", "os"]
    assert list(spellings("A_1")) == ["A_1", "a_1"]
