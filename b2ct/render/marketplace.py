"""Writes the files of a repository of bundles: our index, OpenNebula's list of appliances, a marketplace's template."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from b2ct.plan.appliance import spellings
from b2ct.plan.attributes import Attribute, first_text
from b2ct.render.opennebula import check_object_name, one_quote, render_template
from b2ct.render.quoting import Quoted, QuotingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from b2ct.plan.appliance import Appliance
    from b2ct.plan.attributes import Template
    from b2ct.plan.marketplace import Index


def render_index(index: Index) -> bytes:
    """Return ``index.json``."""
    return _json(index.model_dump(mode="json"))


def render_marketplace(name: str, url: str) -> bytes:
    """Return the template for ``onemarket create``; the driver of 6.10.0 needs the slash at the end of ENDPOINT."""
    return render_template(
        (
            Attribute("NAME", name),
            Attribute("MARKET_MAD", "one"),
            Attribute("ENDPOINT", f"{url}/"),
            Attribute("DESCRIPTION", "Images and VM templates of B2CT"),
        )
    ).encode()


def render_appliances(appliances: Iterable[Appliance], publisher: str) -> bytes:
    """Return what the marketplace driver ``one`` reads at ``<ENDPOINT>/appliance``.

    Fields and their use: ``src/market_mad/remotes/one/monitor`` of 6.10.0, 6.10.5, 7.0.0 and 7.2.0 (7.4.0 has that of
    7.2.0). ``hypervisor`` is read from 7.0 on; ``os-arch`` is left out, because 6.10.5 puts a requirement of its own in
    place of the template's when it is there.

    Raises:
        QuotingError: a value cannot pass through the driver.
        ObjectNameError: an appliance cannot have its name.
    """
    made = []
    for appliance in appliances:
        check_object_name(appliance.name)
        try:
            made.append(_appliance(appliance, publisher))
        except QuotingError as error:
            raise QuotingError(f"{appliance.name}: {error}", hint=error.hint) from error
    return _json({"appliances": made})


def market_quote(value: str) -> Quoted:
    r"""Return ``value`` for a name or description in the list of appliances.

    The driver writes ``"`` as ``\"`` there itself, and nothing else.

    Raises:
        QuotingError: the value ends in a backslash, or holds what OpenNebula cannot store.
    """
    one_quote(value)
    return Quoted(value)


def market_template_quote(value: str) -> Quoted:
    r"""Return ``value`` for the VM template in an appliance: the driver puts it between ``"`` as it is.

    Raises:
        QuotingError: the value ends in a backslash, or holds what OpenNebula cannot store.
    """
    return Quoted(one_quote(value)[1:-1])


def _appliance(appliance: Appliance, publisher: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "_id": {"$oid": market_quote(appliance.id)},
        "name": market_quote(appliance.name),
        "type": appliance.type,
        "publisher": market_quote(publisher),
        "version": market_quote(appliance.version),
        "short_description": market_quote(appliance.title),
        "tags": [market_quote(tag) for tag in appliance.tags],
        "creation_time": appliance.created,
        "hypervisor": "KVM",
        "opennebula_template": json.dumps(dict(_template_fields(appliance.template)), ensure_ascii=False),
    }
    if appliance.image is not None:
        fields["format"] = appliance.format
        file = {"size": appliance.image.virtual_size, "md5": appliance.image.md5}
        for key, attribute in (("dev_prefix", "DEV_PREFIX"), ("type", "TYPE")):
            if value := first_text(appliance.image_template, attribute):
                file[key] = market_quote(value)
        fields["files"] = [file]
    if appliance.disks:
        fields["disks"] = [market_template_quote(name) for name in appliance.disks]
    return fields


def _template_fields(template: Template) -> Iterator[tuple[str, str | dict[str, str]]]:
    """Yield a VM template as (key, value); an attribute that stands again has its name in another mixture of letters.

    Raises:
        QuotingError: an attribute stands more often than its name can be spelled.
    """
    names: dict[str, Iterator[str]] = {}
    for attribute in template:
        name = next(names.setdefault(attribute.name, iter(spellings(attribute.name))), None)
        if name is None:
            raise QuotingError(f"{attribute.name} stands too often for OpenNebula's marketplace driver")
        value = attribute.value
        if isinstance(value, str):
            yield name, market_template_quote(value)
        else:
            yield name, {key: market_template_quote(text) for key, text in value}


def _json(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()
