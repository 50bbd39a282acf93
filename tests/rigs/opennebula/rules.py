"""Access rules (ACLs) of the pretended front-end; no recording shows acl.addrule, whose answer is that of its kind."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tests.rigs.opennebula.calls import call, xml
from tests.rigs.opennebula.cloud import AUTHORIZATION, INTERNAL, RESOURCES, Caller, Cloud, RefusedError, Rule

RIGHTS = {0x1: "USE", 0x2: "MANAGE", 0x4: "ADMIN", 0x8: "CREATE"}


@call("acl.info")
def _info(cloud: Cloud, _caller: Caller) -> str:
    pool = ET.Element("ACL_POOL")
    for number, rule in sorted(cloud.rules.items(), key=lambda item: (item[1].user, item[0])):
        tree = ET.SubElement(pool, "ACL")
        ET.SubElement(tree, "ID").text = str(number)
        for name in ("user", "resource", "rights", "zone"):
            ET.SubElement(tree, name.upper()).text = f"{getattr(rule, name):x}"
        ET.SubElement(tree, "STRING").text = _words(rule)
    return xml(pool)


def _words(rule: Rule) -> str:
    resources = "+".join(name for bit, name in RESOURCES.items() if rule.resource & bit)
    rights = "+".join(name for bit, name in RIGHTS.items() if rule.rights & bit)
    return f"{_who(rule.user)} {resources}/{_who(rule.resource)} {rights} {_who(rule.zone)}"


def _who(value: int) -> str:
    if value & 0x400000000:
        return "*"
    return f"{'@' if value & 0x200000000 else '#'}{value & 0xFFFFFFFF}"


@call("acl.addrule", "sss|s")
def _add(cloud: Cloud, caller: Caller, user: str, resource: str, rights: str, zone: str = "100000000") -> int:  # noqa: PLR0913, PLR0917 - as the call has it
    if not caller.is_admin:
        raise RefusedError(AUTHORIZATION, f"User [{caller.uid}] : Not authorized to perform MANAGE ACL.")
    try:
        rule = Rule(*(int(text, 16) for text in (user, resource, rights, zone)))
    except ValueError:
        raise RefusedError(INTERNAL, "Wrong rule") from None
    if rule in cloud.rules.values():
        raise RefusedError(INTERNAL, f"Rule {_words(rule)} already exists")
    return cloud.add_rule(rule)
