"""Builds a golden image from its description: a builder makes the disk, then all images are finished alike."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from b2ct.apply.files import write_file
from b2ct.apply.image.from_cloud_image import CloudImageBuilder
from b2ct.apply.image.from_kickstart import KickstartBuilder
from b2ct.apply.image.from_packages import PackageBuilder
from b2ct.apply.tool import Program, need_programs, run_tool
from b2ct.errors import OutputError, UsageError
from b2ct.plan.image import Contextualization, Method
from b2ct.plan.image_record import ImageRecord, PackageVersion, record_name, render_record

if TYPE_CHECKING:
    from b2ct.apply.image.builder import Builder, ImageRequest, MadeDisk
    from b2ct.assets import Assets

BUILDERS: dict[Method, Builder] = {
    Method.DEBOOTSTRAP: PackageBuilder(),
    Method.CLOUD_IMAGE: CloudImageBuilder(),
    Method.KICKSTART: KickstartBuilder(),
}
"""Who builds what; a new method is a module and a line here."""

QEMU_IMG = Program("qemu-img", debian="qemu-utils", el="qemu-img")

_BLOCK = 1 << 20


def build_image(request: ImageRequest) -> ImageRecord:
    """Build the image and write it with its record beside it; return the record.

    Raises:
        UsageError: the description does not fit its method, a mirror is no address, or programs are missing; names
            all of them.
        ToolError: a program failed.
        OutputError: the image exists and ``force`` is not given, or it cannot be written.
    """
    description, out = request.description, request.out
    builder = BUILDERS[description.method]
    if out.exists() and not out.is_file():
        raise OutputError(f"{out} is not a regular file")
    if out.exists() and not request.force:
        raise OutputError(f"{out} exists already", hint="--force replaces it")
    check_mirrors(request)
    need_programs((*builder.programs(description), QEMU_IMG))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Beside the image: there is room for it, and the finished file only has to be renamed.
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            workspace = Path(folder) / "work"
            workspace.mkdir()
            made = builder.make_disk(description, request, workspace)
            request.log("compressing the disk")
            packed = Path(folder) / "packed.qcow2"
            pack_disk(made.path, packed)
            record = make_record(request, made, packed)
            packed.chmod(0o644)
            packed.replace(out)
    except OSError as error:
        raise OutputError(f"{error.filename or out}: {error.strerror}") from error
    write_file(out.with_name(record_name(out.name)), render_record(record).encode(), force=True)
    return record


def check_mirrors(request: ImageRequest) -> None:
    """Return if what takes the place of the description's addresses can be one; stock images may be files, too.

    Raises:
        UsageError: it is neither http nor https.
    """
    for option, place in (("--mirror", request.mirror), ("--security-mirror", request.security_mirror)):
        may_be_file = request.description.method is not Method.DEBOOTSTRAP
        if place is None or (may_be_file and "://" not in place) or _is_web_address(place):
            continue
        hint = "an address begins with http:// or https://" + ("; or give the path of a file" if may_be_file else "")
        raise UsageError(f"{option} {place}: not the address of a server", hint=hint)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def pack_disk(disk: Path, out: Path) -> None:
    """Write ``disk`` as a compressed, sparse qcow2 of version 3 without backing file.

    Clusters are deflated, as is the default: zstd needs QEMU 5.1, which EL8 got only later.

    Raises:
        ToolError: qemu-img failed.
    """
    run_tool(["qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compat=1.1", disk, out])


def make_record(request: ImageRequest, made: MadeDisk, packed: Path) -> ImageRecord:
    """Return the record of the finished image, which still is called ``packed``."""
    description = request.description
    sha256, md5 = checksum_file(packed)
    return ImageRecord(
        name=description.name,
        version=description.version,
        title=description.title,
        family=description.family,
        release=description.release,
        file=request.out.name,
        bytes=packed.stat().st_size,
        virtual_bytes=read_virtual_bytes(packed),
        sha256=sha256,
        md5=md5,
        boot=description.boot,
        contextualization=Contextualization.CLOUD_INIT,  # whatever the builder
        method=description.method,
        built_from=made.built_from,
        agent_version=read_agent_version(request.assets) if description.agent else None,
        packages=tuple(PackageVersion(name=name, version=version) for name, version in sorted(made.packages)),
        left_out=() if request.with_repositories else description.repository_packages,
    )


def read_agent_version(assets: Assets) -> str:
    """Return the version of the agent that goes into images, from its sources; raises UsageError without it."""
    name = "vmagent/b2ct_vmagent/__init__.py"
    found = re.search(r'^__version__ = "([^"]+)"', assets.read_text(name), re.MULTILINE)
    if found is None:
        raise UsageError(f"{name} names no version")
    return found[1]


def read_virtual_bytes(disk: Path) -> int:
    """Return the size of the disk that a guest sees, bytes; raises ToolError when qemu-img cannot read it."""
    facts = json.loads(run_tool(["qemu-img", "info", "--output=json", disk]))
    return int(facts["virtual-size"])


def checksum_file(path: Path) -> tuple[str, str]:
    """Return the SHA-256 and the MD5 of a file: OpenNebula's downloader checks only MD5 and SHA-1."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
    return sha256.hexdigest(), md5.hexdigest()
