"""What a site wants of a pretended front-end in tests, and how it is planned and applied there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from b2ct.apply.opennebula.apply_plan import Means, apply_plan
from b2ct.apply.opennebula.client import OneClient
from b2ct.apply.opennebula.patience import Patience
from b2ct.apply.opennebula.probe import probe_cloud
from b2ct.apply.opennebula.sources import OnFrontend
from b2ct.plan.attributes import Attribute
from b2ct.plan.cloud import make_cloud_plan
from b2ct.plan.cloud_model import Kind, Mark, Quota, Reference, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from b2ct.apply.opennebula.report import AppliedReport, Event
    from b2ct.apply.opennebula.sources import Source
    from b2ct.plan.cloud_model import CloudFacts, CloudPlan, Existing
    from tests.rigs.opennebula.server import OpenNebulaServer

SITE = "torino"
FOLDER = "/var/tmp/images"  # noqa: S108 - the datastore's SAFE_DIRS; no such file is made
READING = ("info", "version")
HURRY = Patience(restart_s=6, image_s=6, network_s=4, settle_s=1, poll_s=0.02, poll_most_s=0.1)


def attributes(**values: str | tuple[tuple[str, str], ...]) -> tuple[Attribute, ...]:
    return tuple(Attribute(name, value) for name, value in values.items())


def wanted_image(name: str = "worker-1.0.0", version: str = "1.0.0", digit: str = "a") -> Wanted:
    mark = Mark(SITE, "belle2-worker", version, f"sha256:{digit * 64}")
    return Wanted(Kind.IMAGE, name, attributes(DEV_PREFIX="vd"), mark, permissions=0o644, datastore="default")


def wanted_template(name: str = "worker", image: str = "worker-1.0.0", **more: str) -> Wanted:
    mark = Mark(SITE, "belle2-worker", "1.0.0")
    disk = (("IMAGE", image), ("IMAGE_UNAME", "oneadmin"))
    context = (("NETWORK", "YES"), ("TOKEN", "YES"), ("GREETING", 'it\'s "quoted" \\ # [x] = {y}, $NAME\nand\tgoes on'))
    values = attributes(CPU="1", MEMORY="2048", DISK=disk, CONTEXT=context, **more)
    needs = (Reference(Kind.IMAGE, image),)
    return Wanted(Kind.TEMPLATE, name, values, mark, permissions=0o640, needs=needs)


def wanted_infrastructure() -> tuple[Wanted, ...]:
    """Return one object of each kind but images and VM templates."""
    mark = Mark(SITE, "site")
    ranges = (("TYPE", "IP4"), ("IP", "192.0.2.10"), ("SIZE", "50"))
    network = attributes(VN_MAD="bridge", BRIDGE="br-vm", NETWORK_ADDRESS="192.0.2.0", AR=ranges)
    rule = (("PROTOCOL", "TCP"), ("RULE_TYPE", "INBOUND"), ("RANGE", "22"))
    return (
        Wanted(Kind.CLUSTER, "torino", mark=mark),
        Wanted(Kind.GROUP, "belle", mark=mark, quota=Quota(vms=10, memory_mib=4096)),
        Wanted(Kind.USER, "dirac", mark=mark, group="belle"),
        Wanted(Kind.HOST, "hv01.example.org", attributes(IM_MAD="kvm", VM_MAD="kvm"), mark, cluster="torino"),
        Wanted(Kind.DATASTORE, "scratch", attributes(DS_MAD="fs", TM_MAD="ssh"), mark, cluster="torino"),
        Wanted(Kind.NETWORK, "private", network, mark, permissions=0o644, cluster="torino"),
        Wanted(Kind.SECURITY_GROUP, "b2ct-torino-worker", attributes(RULE=rule), mark, permissions=0o644),
    )


@dataclass
class Bench:
    """A front-end, and a client of it that wants things."""

    one: OpenNebulaServer
    session: str = ""
    timeout_s: float = 2
    patience: Patience = HURRY
    events: list[Event] = field(default_factory=list)
    client: OneClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = OneClient(self.one.endpoint, self.session or self.one.session, timeout_s=self.timeout_s)
        for name in ("worker-1.0.0", "worker-1.1.0", *(f"many-{i}" for i in range(8))):
            self.one.cloud.files[f"{FOLDER}/{name}.qcow2"] = name.encode() * 100

    def probe(self) -> CloudFacts:
        return probe_cloud(self.client, tuple(Kind), self.patience)

    def plan(self, *wanted: Wanted, remove: Sequence[Existing] = ()) -> CloudPlan:
        return make_cloud_plan(wanted, self.probe(), remove=remove, site=SITE)

    def means(self, wanted: Sequence[Wanted], **more: Any) -> Means:  # noqa: ANN401 - the fields of Means
        sources: dict[str, Source] = {
            item.name: OnFrontend(f"{FOLDER}/{item.name}.qcow2") for item in wanted if item.kind is Kind.IMAGE
        }
        usual = Means(sources, None, lambda name: f"{name}-password", self.events.append, self.patience)
        return replace(usual, **more)

    def apply(self, *wanted: Wanted, remove: Sequence[Existing] = (), **more: Any) -> AppliedReport:  # noqa: ANN401 - as above
        return apply_plan(self.client, self.plan(*wanted, remove=remove), self.means(wanted, **more))

    def find(self, kind: Kind, name: str) -> Existing:
        found = self.probe().find(kind, name)
        assert found is not None, name
        return found

    def acts(self, since: int = 0) -> list[str]:
        """Return the calls that were to change something."""
        return [method for method in self.one.methods()[since:] if method.split(".")[1] not in READING]
