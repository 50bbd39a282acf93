"""The shipped bundles and a small cloud, for tests of what is made of them."""

from __future__ import annotations

from b2ct.assets import Assets
from b2ct.plan.attributes import Attribute
from b2ct.plan.bundle import IMAGE_FILE, MANIFEST, TEMPLATE_FILE, USER_DATA_FILE, Bundle, read_manifest
from b2ct.plan.cloud_model import CloudFacts, Existing, Kind
from b2ct.plan.one_grammar import parse_template


def shipped_bundle(name: str, **changed: object) -> Bundle:
    """Return a shipped bundle; ``changed`` replaces parts of its manifest."""
    assets = Assets()

    def text(file: str) -> str:
        return assets.read_text(f"templates/{name}/{file}")

    return Bundle(
        manifest=read_manifest(text(MANIFEST), MANIFEST).model_copy(update=changed),
        image=parse_template(text(IMAGE_FILE), IMAGE_FILE),
        template=parse_template(text(TEMPLATE_FILE), TEMPLATE_FILE),
        user_data=text(USER_DATA_FILE),
    )


BUNDLES = tuple(map(shipped_bundle, ("belle2-worker", "generic-worker", "squid")))


def existing(kind: Kind, number: int, name: str, **more: object) -> Existing:
    """Return an object of the cloud that nobody marked."""
    values = {"owner": "oneadmin", "group": "oneadmin", "template": (Attribute("A", "b"),), "mark": None} | more
    return Existing(kind=kind, id=number, name=name, **values)  # type: ignore[arg-type] # tests give the right ones


FACTS = CloudFacts(
    version=(7, 4, 0),
    user="oneadmin",
    group="oneadmin",
    admin=True,
    objects=(
        existing(Kind.CLUSTER, 0, "default"),
        existing(Kind.CLUSTER, 101, "fast"),
        existing(Kind.NETWORK, 3, "private", owner="netadmin"),
        existing(Kind.SECURITY_GROUP, 100, "b2ct-torino-worker"),
        existing(Kind.HOST, 1, "hv01", cluster="default", cores=40, memory_mib=160_000),
        existing(Kind.HOST, 2, "hv02", cluster="default", cores=32, memory_mib=64_000),
        existing(Kind.HOST, 3, "hv03", cluster="fast", cores=0, memory_mib=0),
    ),
)
