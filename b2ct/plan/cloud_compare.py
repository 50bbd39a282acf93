"""Compares an object as it is wanted with the one that a cloud has, and keeps the mark by which ours are known."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from b2ct.plan.attributes import Attribute, first_text, stored_form
from b2ct.plan.cloud_model import (
    MARK_CHECKSUM,
    MARK_SITE,
    MARK_SOURCE,
    MARK_VERSION,
    Difference,
    Kind,
    Mark,
    Quota,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.plan.attributes import Template, Vector
    from b2ct.plan.cloud_model import Existing, Wanted

MARKS = (MARK_SITE, MARK_SOURCE, MARK_VERSION, MARK_CHECKSUM)
"""The attributes of a mark."""

GIVEN_ONCE: dict[Kind, frozenset[str]] = {
    Kind.IMAGE: frozenset(
        {"PATH", "SOURCE", "SIZE", "FORMAT", "FS", "TYPE", "PERSISTENT", "DRIVER", "TM_MAD", "MD5", "SHA1"}
    ),
}
"""What says how an object is made, and is not compared afterwards: the server keeps it elsewhere or not at all
(``Image::insert`` in src/image/Image.cc), and the mark's checksum says which file an image was made from."""

UNCHANGEABLE: dict[Kind, frozenset[str]] = {
    Kind.HOST: frozenset({"IM_MAD", "VM_MAD"}),
    Kind.DATASTORE: frozenset({"TYPE", "DS_MAD", "TM_MAD"}),
    Kind.NETWORK: frozenset({"VN_MAD"}),
}
"""What cannot be given to an object that exists, or not without harm to what is in it."""

RANGE = "AR"
"""An address range of a network: found again by its first address, not by its place."""

CLUSTER_DIFFERENCE, GROUP_DIFFERENCE, PERMISSIONS_DIFFERENCE, QUOTA_DIFFERENCE, RIGHTS_DIFFERENCE = (
    "cluster",
    "group",
    "permissions",
    "quota",
    "rights",
)
"""How differences outside of the template are called."""

SHOWN_LENGTH = 64
"""Longer values are shown by their length and checksum."""

_SECRET = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|PRIVATE|CREDENTIAL")
_SWITCHES = frozenset({"", "YES", "NO"})


def read_mark(template: Template) -> Mark | None:
    """Return the mark in an object's attributes, or None: then B2CT did not make it."""
    site, source, version, checksum = (first_text(template, name) or "" for name in MARKS)
    return Mark(site, source, version, checksum) if site else None


def mark_attributes(mark: Mark) -> Template:
    """Return a mark as attributes; empty parts are left out."""
    values = zip(MARKS, (mark.site, mark.source, mark.version, mark.checksum), strict=True)
    return tuple(Attribute(name, value) for name, value in values if value)


def wanted_checksum(wanted: Wanted) -> str:
    """Return ``sha256:HEX`` over all that is wanted of an object, in a form in which the order of keys is no change.

    The mark is not part of it, nor is what the object needs beside itself, nor the right that every group gets.
    """
    content = {
        "kind": wanted.kind.value,
        "name": wanted.name,
        "template": [[attribute.name, attribute.value] for attribute in stored_form(wanted.template)],
        "group": wanted.group,
        "permissions": wanted.permissions,
        "cluster": wanted.cluster,
        "datastore": wanted.datastore,
        "quota": [wanted.quota.vms, wanted.quota.cores, wanted.quota.memory_mib] if wanted.quota else None,
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def seal(wanted: Wanted) -> Wanted:
    """Return ``wanted`` with the checksum in its mark; an image's is that of its file already."""
    if wanted.mark is None or wanted.kind is Kind.IMAGE:
        return wanted
    return replace(wanted, mark=replace(wanted.mark, checksum=wanted_checksum(wanted)))


def find_differences(wanted: Wanted, existing: Existing) -> tuple[Difference, ...]:
    """Return what is not as wanted; what the object has beyond that is none of B2CT's business."""
    once = GIVEN_ONCE.get(wanted.kind, frozenset())
    asked = tuple(attribute for attribute in wanted.template if attribute.name not in once)
    return (*_compare_templates(asked, existing.template), *_compare_rest(wanted, existing))


def find_leftovers(wanted: Wanted, existing: Existing) -> tuple[Difference, ...]:
    """Return the attributes that vanish when the wanted template takes the place of the one that is there."""
    names = {attribute.name for attribute in wanted.template} | {*MARKS}
    return tuple(
        Difference(attribute.name, _shown(attribute.name, _joined(attribute.value)), "")
        for attribute in stored_form(existing.template)
        if attribute.name not in names
    )


def is_unchangeable(kind: Kind, difference: Difference) -> bool:
    """Whether an existing object cannot be given the wanted value."""
    return difference.attribute in UNCHANGEABLE.get(kind, frozenset())


def _compare_templates(wanted: Template, existing: Template) -> Iterator[Difference]:
    asked, there = (_by_name(stored_form(template)) for template in (wanted, existing))
    for name, values in asked.items():
        found = there.get(name, [])
        if name == RANGE:
            yield from _compare_ranges(values, found)
            continue
        for place, value in enumerate(values):
            label = name if len(values) == 1 else f"{name}[{place}]"
            yield from _compare_values(label, value, found[place] if place < len(found) else None)
        for extra in found[len(values) :]:
            yield Difference(f"{name}[{len(values)}]", _shown(name, _joined(extra)), "")


def _compare_values(label: str, wanted: str | Vector, existing: str | Vector | None) -> Iterator[Difference]:
    """Compare one attribute; of a vector, the keys that are wanted."""
    if isinstance(wanted, str) or isinstance(existing, str):
        if wanted != (existing or ""):
            yield Difference(label, _shown(label, _joined(existing)), _shown(label, _joined(wanted)))
        return
    there = dict(existing or ())
    for key, text in wanted:
        if there.get(key, "") != text:
            yield Difference(f"{label}/{key}", _shown(key, there.get(key, "")), _shown(key, text))


def _compare_ranges(wanted: list[str | Vector], existing: list[str | Vector]) -> Iterator[Difference]:
    """Compare a network's address ranges: first address and size count, their numbers and MACs do not."""
    asked, there = ([dict(value) for value in values if not isinstance(value, str)] for values in (wanted, existing))
    for one in asked:
        found = next((other for other in there if other.get("IP") == one.get("IP")), {})
        if any(found.get(key) != text for key, text in one.items()):
            yield Difference(RANGE, _range_text(found), _range_text(one))
    firsts = {one.get("IP") for one in asked}
    for other in there:
        if other.get("IP") not in firsts:
            yield Difference(RANGE, _range_text(other), "")


def _compare_rest(wanted: Wanted, existing: Existing) -> Iterator[Difference]:
    """Compare what is no attribute; None means that B2CT leaves it as it is."""
    if wanted.permissions is not None and wanted.permissions != existing.permissions:
        now = "" if existing.permissions is None else f"{existing.permissions:03o}"
        yield Difference(PERMISSIONS_DIFFERENCE, now, f"{wanted.permissions:03o}")
    if wanted.group is not None and wanted.group != existing.group:
        yield Difference(GROUP_DIFFERENCE, existing.group, wanted.group)
    if wanted.cluster is not None and wanted.cluster not in existing.cluster.split(","):
        yield Difference(CLUSTER_DIFFERENCE, existing.cluster, wanted.cluster)
    if wanted.quota is not None and wanted.quota != (existing.quota or Quota()):
        yield Difference(QUOTA_DIFFERENCE, _quota_text(existing.quota or Quota()), _quota_text(wanted.quota))
    if wanted.may_start and not existing.may_start:
        yield Difference(RIGHTS_DIFFERENCE, "", "its users may start virtual machines")


def _by_name(template: Template) -> dict[str, list[str | Vector]]:
    """Return values by attribute name; empty vectors are none, as the server drops them."""
    found: dict[str, list[str | Vector]] = {}
    for attribute in template:
        if attribute.value != ():
            found.setdefault(attribute.name, []).append(attribute.value)
    return found


def _joined(value: str | Vector | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return ", ".join(f"{key}={_shown(key, text)}" for key, text in value)


def _range_text(keys: dict[str, str]) -> str:
    return f"{keys.get('SIZE', '?')} from {keys.get('IP', '?')}" if keys else ""


def _quota_text(quota: Quota) -> str:
    values = {"vms": quota.vms, "cores": quota.cores, "memory_mib": quota.memory_mib}
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None) or "none"


def _shown(name: str, value: str) -> str:
    """Return a value as a person may see it: no secrets, nothing long."""
    if _SECRET.search(name) and value.upper() not in _SWITCHES:
        return "(hidden)"
    if len(value) <= SHOWN_LENGTH:
        return value
    return f"({len(value)} characters, sha256 {hashlib.sha256(value.encode()).hexdigest()[:12]})"
