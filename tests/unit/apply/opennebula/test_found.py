from __future__ import annotations

import pytest
from pyone import bindings

from b2ct.apply.opennebula.found import POOL_MEMBERS, read_object, read_quota
from b2ct.plan.attributes import Attribute, first_text
from b2ct.plan.cloud_model import Existing, Kind, Quota
from tests.rigs.opennebula.recordings import load_recording

BOTH = pytest.mark.parametrize("version", ["6.10", "7.4"])


def pool(version: str, kind: Kind, name: str = "") -> dict[str, Existing]:
    bound = bindings.parseString(load_recording(version, name or f"{kind}pool.info").answer[1].encode())
    members = getattr(bound, POOL_MEMBERS[kind])
    found = [read_object(kind, one, {0: "default"}) for one in members]
    assert found
    return {item.name: item for item in found}


@BOTH
@pytest.mark.parametrize("kind", Kind)
def test_every_recorded_object_is_read(version: str, kind: Kind) -> None:
    for item in pool(version, kind).values():
        assert item.kind is kind
        assert item.id >= 0


@BOTH
def test_images(version: str) -> None:
    found = pool(version, Kind.IMAGE, "imagepool.info__with-LOCKED")
    assert (found["slow"].state, found["tiny"].state) == ("LOCKED", "READY")
    tiny = found["tiny"]
    assert (tiny.owner, tiny.group, tiny.permissions, tiny.size_mib, tiny.mark) == (
        "oneadmin",
        "oneadmin",
        0o600,
        64,
        None,
    )
    assert tiny.template == (Attribute("DEV_PREFIX", "vd"),)


@BOTH
def test_networks(version: str) -> None:
    found = pool(version, Kind.NETWORK)
    assert (found["n3"].state, found["b2ct-net"].state, found["b2ct-net"].cluster) == ("ERROR", "READY", "default")
    assert "Wrong or empty IP" in (first_text(found["n3"].template, "ERROR") or "")
    ranges = [item.value for item in found["b2ct-net"].template if item.name == "AR"]
    assert ranges == [(("AR_ID", "0"), ("TYPE", "IP4"), ("IP", "192.0.2.10"), ("SIZE", "50"))]


@BOTH
def test_hosts_and_datastores(version: str) -> None:
    host = pool(version, Kind.HOST)["dummy-b"]
    assert (host.cores, host.memory_mib, host.cluster) == (8, 16384, "default")
    assert first_text(host.template, "VM_MAD") == "dummy"
    datastore = pool(version, Kind.DATASTORE)["default"]
    assert datastore.size_mib > 60_000
    assert first_text(datastore.template, "TM_MAD") == "dummy"


@BOTH
def test_templates_keep_repeated_and_empty_attributes(version: str) -> None:
    quoting = pool(version, Kind.TEMPLATE)["quoting"]
    assert [item.value for item in quoting.template if item.name == "DISK"] == [
        (("IMAGE_ID", "0"), ("SIZE", "100")),
        (("SIZE", "16"), ("TYPE", "swap")),
    ]
    assert first_text(quoting.template, "EMPTY") == ""


@BOTH
def test_a_quota_knows_what_is_unlimited(version: str) -> None:
    bound = bindings.parseString(load_recording(version, "user.info__alice-with-quota").answer[1].encode())
    assert read_quota(bound) == Quota(vms=1, cores=None, memory_mib=256)
    bound = bindings.parseString(load_recording(version, "group.info").answer[1].encode())
    assert read_quota(bound) is None


@BOTH
def test_passwords_stay_out(version: str) -> None:
    assert all(item.template == () for item in pool(version, Kind.USER).values())
