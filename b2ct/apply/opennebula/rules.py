"""Access rules (ACLs) of groups: whether their users may start virtual machines, and the rule that lets them.

A group that is made by ``group.allocate`` has none: `onegroup create` and Sunstone add one afterwards
(``GROUP_DEFAULT_ACLS`` in src/oca/ruby/opennebula/group.rb). Numbers as in src/oca/ruby/opennebula/acl.rb.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

OF_GROUP = 0x2_0000_0000
"""In a rule's USER: the lower 32 bits are the number of a group."""

ALL = 0x4_0000_0000
"""In USER, RESOURCE and ZONE: whatever the lower 32 bits are."""

STARTED = 0x10_0000_0000 | 0x200_0000_0000
"""VM and TEMPLATE: who starts a VM template with attributes of his own needs both (RequestManagerVMTemplate.cc)."""

CREATE = 0x8
"""The right to make objects."""


def start_rule(group_id: int) -> tuple[str, str, str, str]:
    """Return USER, RESOURCE, RIGHTS and ZONE for ``acl.addrule``: ``@<group> VM+TEMPLATE/* CREATE *``."""
    user, resource, rights, zone = OF_GROUP | group_id, STARTED | ALL, CREATE, ALL
    return f"{user:x}", f"{resource:x}", f"{rights:x}", f"{zone:x}"


def may_start(rules: Iterable[Any], group_id: int) -> bool:
    """Return whether ``rules`` (pyone's, of ``acl.info``) let a group's users start virtual machines."""
    allowed = 0
    for rule in rules:
        user, resource, rights = (int(text, 16) for text in (rule.USER, rule.RESOURCE, rule.RIGHTS))
        if user in {OF_GROUP | group_id, ALL} and resource & ALL and rights & CREATE:
            allowed |= resource
    return allowed & STARTED == STARTED
