"""The disk's plan: whole, aligned, and the same for the same image."""

from __future__ import annotations

import uuid

import pytest
from pydantic import ByteSize

from b2ct.errors import UsageError
from b2ct.plan.image_disk import make_disk_plan
from tests.unit.plan.images import DESCRIPTION, EPOCH, PLAN


def test_partitions_lie_behind_each_other_on_whole_mebibytes() -> None:
    parts = (PLAN.bios, PLAN.esp, PLAN.root)
    assert all(part.start % 1024**2 == 0 for part in parts)
    assert [part.start + part.size for part in parts[:-1]] == [part.start for part in parts[1:]]
    assert PLAN.root.start + PLAN.root.size == PLAN.size - 1024**2


def test_identifiers_differ_from_each_other_and_stay_for_the_same_image() -> None:
    names = [PLAN.uuid, PLAN.bios.uuid, PLAN.esp.uuid, PLAN.root.uuid, PLAN.hash_seed]
    assert len({uuid.UUID(name) for name in names}) == len(names)
    assert make_disk_plan(DESCRIPTION, EPOCH) == PLAN


@pytest.mark.parametrize("change", [{"name": "worker-y"}, {"version": "1.0.1"}])
def test_another_image_has_other_identifiers(change: dict[str, str]) -> None:
    other = make_disk_plan(DESCRIPTION.model_copy(update=change), EPOCH)
    assert other.root.uuid != PLAN.root.uuid
    assert other.uuid != PLAN.uuid


def test_a_disk_that_is_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="80 MiB is too small"):
        make_disk_plan(DESCRIPTION.model_copy(update={"size": ByteSize(80 * 1024**2)}), EPOCH)
