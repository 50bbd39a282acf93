"""Fills a bundle's OpenNebula files with what was decided for a site."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from b2ct.plan.attributes import Template, Vector, set_key, set_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.plan.bundle import Bundle
    from b2ct.plan.publication import VmImage, VmTemplate


@dataclass(frozen=True, slots=True)
class ByName:
    """An image or network by its name and owner (None: whoever instantiates)."""

    name: str
    owner: str | None


def render_image(bundle: Bundle, image: VmImage, path: str | None) -> Template:
    """Return the attributes of ``image.one`` for an image; without ``path``, for a caller that adds its own."""
    template = set_values(bundle.image, "NAME", image.name)
    template = set_values(template, "PATH", *([path] if path else []))
    return set_values(template, "FORMAT", image.entry.format)


def render_vm_template(bundle: Bundle, vm: VmTemplate, image: ByName | int, network: ByName | int) -> Template:
    """Return the attributes of ``template.txt`` for a VM template; image and network by name, or by number."""
    template = set_values(bundle.template, "NAME", vm.name)
    for name, value in (("CPU", vm.cores), ("VCPU", vm.cores), ("MEMORY", vm.memory_mib)):
        template = set_values(template, name, str(value))
    template = set_key(template, "CPU_MODEL", "MODEL", vm.cpu_model)
    template = _with_disks(template, vm, image)
    template = _with_nic(template, vm, network)
    template = _with_topology(template, vm)
    template = set_values(template, "SCHED_REQUIREMENTS", f"CLUSTER_ID = {vm.cluster_id}")
    return _with_context(template, vm, render_user_data(bundle.user_data, vm.files))


def render_user_data(text: str, files: tuple[tuple[str, str], ...]) -> str:
    """Return user-data in which the files at the given paths have the given content; unchanged without any.

    A path that the user-data does not write yet is added before its other files.
    """
    if not files:
        return text
    data = yaml.safe_load(text)
    written = {entry["path"]: entry for entry in data["write_files"]}
    for path, content in files:
        entry = written.setdefault(path, {"path": path, "owner": "root:root", "permissions": "0644"})
        entry["content"] = content
    data["write_files"] = list(written.values())
    return "#cloud-config\n" + yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=1000)


class _Dumper(yaml.SafeDumper):
    """YAML in which text of several lines stands as it is, for who looks into a running guest's user-data."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _with_disks(template: Template, vm: VmTemplate, image: ByName | int) -> Template:
    """The first disk is the image, the one of TYPE fs is the scratch disk."""
    disks: list[str | Vector] = []
    for value in _vectors(template, "DISK"):
        disk = dict(value)
        if disk.get("TYPE") == "fs":
            if vm.scratch_mib:
                disks.append(tuple((disk | {"SIZE": str(vm.scratch_mib)}).items()))
            continue
        disk.pop("IMAGE_ID", None)
        size = {"SIZE": str(vm.disk_mib)} if vm.disk_mib else {}
        disks.append(tuple((_meant("IMAGE", image) | disk | size).items()))
    return set_values(template, "DISK", *disks)


def _with_nic(template: Template, vm: VmTemplate, network: ByName | int) -> Template:
    nics: list[str | Vector] = []
    for value in _vectors(template, "NIC"):
        nic = dict(value)
        nic.pop("NETWORK_ID", None)
        nic["SECURITY_GROUPS"] = str(vm.security_group_id)
        address = {"IP": str(vm.address)} if vm.address else {}
        nics.append(tuple((_meant("NETWORK", network) | nic | address).items()))
    return set_values(template, "NIC", *nics)


def _meant(name: str, meant: ByName | int) -> dict[str, str]:
    """Return the keys by which OpenNebula finds an image or network."""
    if isinstance(meant, int):
        return {f"{name}_ID": str(meant)}
    return {name: meant.name} | ({f"{name}_UNAME": meant.owner} if meant.owner else {})


def _with_topology(template: Template, vm: VmTemplate) -> Template:
    topology: dict[str, str] = {}
    if vm.pinning:
        topology |= {"PIN_POLICY": vm.pinning.value.upper(), "SOCKETS": "1", "CORES": str(vm.cores), "THREADS": "1"}
    if vm.hugepages:
        topology |= {"HUGEPAGE_SIZE": str(vm.hugepages.mib)}
    return set_values(template, "TOPOLOGY", *([tuple(topology.items())] if topology else []))


def _with_context(template: Template, vm: VmTemplate, user_data: str) -> Template:
    """CONTEXT of the file, without its example values of our own variables, with the site's."""
    context = {key: text for key, text in next(_vectors(template, "CONTEXT"), ()) if not key.startswith("B2CT_")}
    if vm.ssh_keys:
        context["SSH_PUBLIC_KEY"] = "\n".join(vm.ssh_keys)
    if vm.onegate:
        context |= {"TOKEN": "YES"}
    context |= dict(vm.context)
    context["USERDATA_ENCODING"] = "base64"
    context["USERDATA"] = base64.b64encode(user_data.encode()).decode()
    return set_values(template, "CONTEXT", tuple(context.items()))


def _vectors(template: Template, name: str) -> Iterator[Vector]:
    return (a.value for a in template if a.name == name and isinstance(a.value, tuple))
