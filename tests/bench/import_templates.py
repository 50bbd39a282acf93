"""Times an import of images and VM templates against the same calls made one after the other, 20 ms away.

Command line: ``python tests/bench/import_templates.py [--images N] [--templates N] [--latency-ms N]``

Both contenders import into a replaying front-end of their own in this process, which sleeps in each call as a network
would. Ours is asking, planning and applying, with marks and permissions; the peer is a script with pyone that allocates
all images, waits for each, sets permissions, then allocates the VM templates. The second run of ours shows what
finding out that nothing is to be done costs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pyone

from b2ct.apply.opennebula.apply_plan import Means, apply_plan
from b2ct.apply.opennebula.client import OneClient
from b2ct.apply.opennebula.probe import probe_cloud
from b2ct.apply.opennebula.sources import OnFrontend
from b2ct.plan.attributes import Attribute
from b2ct.plan.cloud import make_cloud_plan
from b2ct.plan.cloud_model import Kind, Mark, Reference, Wanted
from b2ct.render.opennebula import render_template
from tests.rigs.opennebula.server import OpenNebulaServer

if TYPE_CHECKING:
    from collections.abc import Callable

PERMISSIONS = 0o640
PEER_PERMISSIONS = (1, 1, 0, 1, 0, 0, 0, 0, 0)
"""The same as nine flags: use, manage, admin of owner, group, others."""
POLL_S = 0.2
IMAGE = (Attribute("TYPE", "OS"), Attribute("DEV_PREFIX", "vd"))
MACHINE = (Attribute("CPU", "1"), Attribute("VCPU", "1"), Attribute("MEMORY", "2048"))


@dataclass(frozen=True, slots=True)
class Size:
    """How much is imported, over which distance."""

    images: int
    templates: int
    latency_s: float
    copy_s: float


def image_name(number: int) -> str:
    """Return the name of an image."""
    return f"image-{number}"


def wanted_objects(size: Size) -> tuple[Wanted, ...]:
    """Return the images, and VM templates that use them in turn."""
    mark = Mark("bench", "bench", "1", "sha256:" + "0" * 64)
    images = [Wanted(Kind.IMAGE, image_name(i), IMAGE, mark, permissions=PERMISSIONS) for i in range(size.images)]
    templates = []
    for i in range(size.templates):
        name = image_name(i % size.images)
        disk = Attribute("DISK", (("IMAGE", name), ("IMAGE_UNAME", "oneadmin")))
        needs = (Reference(Kind.IMAGE, name),)
        made = Wanted(Kind.TEMPLATE, f"t{i}", (*MACHINE, disk), Mark("bench", "bench", "1"), None, PERMISSIONS)
        templates.append(Wanted(made.kind, made.name, made.template, made.mark, None, PERMISSIONS, needs=needs))
    return (*images, *templates)


def import_ours(one: OpenNebulaServer, size: Size, folder: Path) -> None:
    """Ask, plan and apply."""
    client = OneClient(one.endpoint, one.session)
    sources = {image_name(i): OnFrontend(str(folder / image_name(i))) for i in range(size.images)}
    plan = make_cloud_plan(wanted_objects(size), probe_cloud(client, (Kind.IMAGE, Kind.TEMPLATE)))
    apply_plan(client, plan, Means(sources=sources))


def import_by_peer(one: OpenNebulaServer, size: Size, folder: Path) -> None:
    """Make one call after the other."""
    server = pyone.OneServer(one.endpoint, session=one.session)
    numbers = []
    for i in range(size.images):
        name = image_name(i)
        text = render_template((Attribute("NAME", name), Attribute("PATH", str(folder / name)), *IMAGE))
        numbers.append(server.image.allocate(text, 1, False))  # noqa: FBT003 - as the call has it
    for number in numbers:
        while server.image.info(number).STATE != pyone.IMAGE_STATES.READY:
            time.sleep(POLL_S)
        server.image.chmod(number, *PEER_PERMISSIONS)
    for item in wanted_objects(size)[size.images :]:
        number = server.template.allocate(render_template((Attribute("NAME", item.name), *item.template)))
        server.template.chmod(number, *PEER_PERMISSIONS)


def timed(one: OpenNebulaServer, act: Callable[[], None]) -> tuple[float, Counter[str]]:
    """Return wall time, seconds, and the calls made by method."""
    before = len(one.calls)
    start = time.perf_counter()
    act()
    return time.perf_counter() - start, Counter(call.method for call in one.calls[before:])


def main() -> None:
    """Run all contenders and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--templates", type=int, default=200)
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--copy-s", type=float, default=0.5, help="time that the front-end takes to copy an image")
    options = parser.parse_args()
    size = Size(options.images, options.templates, options.latency_ms / 1000, options.copy_s)
    folder = Path("/var/tmp")  # noqa: S108 - a path on the pretended front-end
    rows: list[tuple[str, float, Counter[str]]] = []
    for title, contender in (("one after the other", import_by_peer), ("b2ct", import_ours)):
        with OpenNebulaServer(latency_s=size.latency_s) as one:
            one.cloud.image_delay_s = size.copy_s
            one.cloud.files |= {str(folder / image_name(i)): b"image" for i in range(size.images)}
            rows.append((title, *timed(one, lambda: contender(one, size, folder))))  # noqa: B023 - called at once
            if contender is import_ours:
                rows.append(("b2ct, second run", *timed(one, lambda: import_ours(one, size, folder))))
    peer = rows[0][1]
    lines = [f"{size.images} images, {size.templates} VM templates, {options.latency_ms:g} ms a call"]
    for title, wall, calls in rows:
        lines.append(f"{title:22}{wall:8.2f} s{wall / peer:8.2f} of the peer{calls.total():6} calls")
        lines.append(f"{'':22}{', '.join(f'{count} {method}' for method, count in calls.most_common(7))}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
