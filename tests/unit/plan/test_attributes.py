"""Looking up, setting and merging attributes."""

from __future__ import annotations

from b2ct.plan.attributes import (
    Attribute,
    first_text,
    first_value,
    merge_templates,
    set_key,
    set_values,
    stored_form,
)

CPU = Attribute("CPU", "2")
ROOT = Attribute("DISK", (("IMAGE_ID", "4"), ("SIZE", "10")))
SCRATCH = Attribute("DISK", (("SIZE", "20"), ("TYPE", "fs")))
TEMPLATE = (CPU, ROOT, SCRATCH, Attribute("NAME", "w"))


def test_the_first_of_several_is_found() -> None:
    assert first_value(TEMPLATE, "DISK") == ROOT.value
    assert first_value(TEMPLATE, "NIC") is None
    assert first_text(TEMPLATE, "CPU") == "2"
    assert first_text(TEMPLATE, "DISK", "SIZE") == "10"
    assert first_text(TEMPLATE, "DISK", "TYPE") is None
    assert first_text(TEMPLATE, "DISK") is None
    assert first_text(TEMPLATE, "CPU", "SIZE") is None


def test_values_are_set_where_the_first_one_stood() -> None:
    nic = (("NETWORK_ID", "1"),)
    assert set_values(TEMPLATE, "DISK", ROOT.value) == (CPU, ROOT, TEMPLATE[3])
    assert set_values(TEMPLATE, "CPU") == TEMPLATE[1:]
    assert set_values(TEMPLATE, "NIC", nic, nic) == (*TEMPLATE, Attribute("NIC", nic), Attribute("NIC", nic))
    assert set_values(TEMPLATE, "NAME", "v") == (*TEMPLATE[:3], Attribute("NAME", "v"))


def test_a_key_is_set_in_every_vector_of_the_name() -> None:
    changed = set_key(TEMPLATE, "DISK", "SIZE", "30")
    assert [first_text((disk,), "DISK", "SIZE") for disk in changed[1:3]] == ["30", "30"]
    assert changed[2].value == (("SIZE", "30"), ("TYPE", "fs"))
    assert set_key((CPU,), "CONTEXT", "NETWORK", "YES") == (CPU, Attribute("CONTEXT", (("NETWORK", "YES"),)))
    assert set_key((CPU,), "CPU", "K", "v") == (CPU, Attribute("CPU", (("K", "v"),)))


def test_merging_replaces_all_of_a_name() -> None:
    more = Attribute("MEMORY", "512")
    assert merge_templates(TEMPLATE, (more, SCRATCH)) == (CPU, SCRATCH, TEMPLATE[3], more)
    assert merge_templates(TEMPLATE, (ROOT, SCRATCH)) == TEMPLATE
    assert merge_templates(TEMPLATE, ()) == TEMPLATE


def test_the_stored_form_is_sorted_and_trimmed() -> None:
    template = (Attribute("B", " x\n"), Attribute("A", (("Z", "\t1"), ("Y", "2 "))), Attribute("B", "a"))
    assert stored_form(template) == (
        Attribute("A", (("Y", "2"), ("Z", "1"))),
        Attribute("B", "x"),
        Attribute("B", "a"),
    )
    assert stored_form(stored_form(template)) == stored_form(template)
    other_blanks = (Attribute("A", "\u00a0x\u2003"), Attribute("V", (("K", "\u00a0"),)))
    assert stored_form(other_blanks) == other_blanks
