"""Small bundles and images for tests of repositories."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING

from b2ct.plan.image import Contextualization, Family, Method
from b2ct.plan.image_record import ImageRecord, record_name, render_record

if TYPE_CHECKING:
    from pathlib import Path

USER_DATA = """#cloud-config
write_files:
  - path: /etc/b2ct.conf
    owner: root:root
    permissions: "0600"
    content: worker
runcmd:
  - [systemctl, start, b2ct.service]
"""

IMAGE = """# An image.
NAME = "@IMAGE_NAME@"
PATH = "@IMAGE_PATH@"
TYPE = "OS"
DEV_PREFIX = "vd"
"""

TEMPLATE = """# A VM template.
NAME = "{name}"
DESCRIPTION = "says \\"worker\\", and 'no more'"
CPU = "1"
MEMORY = "2048"
OS = [ ARCH = "x86_64", BOOT = "disk0" ]
DISK = [ IMAGE_ID = "@IMAGE_ID@", DEV_PREFIX = "vd" ]
DISK = [ TYPE = "fs", SIZE = "20480", TARGET = "vdb" ]
DISK = [ TYPE = "swap", SIZE = "1024", TARGET = "vdc" ]
NIC = [ NETWORK_ID = "@NETWORK_ID@", MODEL = "virtio", SECURITY_GROUPS = "0" ]
NIC = [ NETWORK = "storage", NETWORK_UNAME = "oneadmin", MODEL = "virtio" ]
SCHED_REQUIREMENTS = "CLUSTER_ID = 0 | NAME = \\"big*\\""
CONTEXT = [
  NETWORK = "YES",
  SET_HOSTNAME = "$NAME",
  USERDATA_ENCODING = "base64",
  USERDATA = "{user_data}" ]
"""


def write_bundle(folder: Path, name: str = "worker", version: str = "1.0.0", images: str = "") -> Path:
    """Write a valid bundle into ``folder``; ``images`` is its list in YAML, by default one image of the version.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = images or f"[{{guest: el9, build: {name}-el9, version: {version}}}]"
    manifest = f"name: {name}\nversion: {version}\ntitle: A worker\nkind: worker\nimages: {images}\n"
    encoded = base64.b64encode(USER_DATA.encode()).decode()
    (folder / "bundle.yaml").write_text(manifest)
    (folder / "image.one").write_text(IMAGE)
    (folder / "template.txt").write_text(TEMPLATE.format(name=name, user_data=encoded))
    (folder / "user-data.yaml").write_text(USER_DATA)
    return folder


def write_image(path: Path, content: str = "one", size: int = 300_000, virtual_size: int = 2 * 1024**3) -> Path:
    """Write what has the head of a qcow2 image (docs/interop/qcow2.rst) and ``content`` over and over.

    ``size`` and ``virtual_size`` are in bytes.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, virtual_size)
    body = content.encode() * (size // len(content.encode()) + 1)
    path.write_bytes((head + body)[:size])
    return path


def write_record(path: Path, sha256: str = "", size: int = 0, left_out: tuple[str, ...] = ()) -> Path:
    """Write the record that ``b2ct image build`` would leave beside the image ``path``; return the image's path.

    ``sha256`` and ``size``, bytes, take the place of the true ones.
    """
    data = path.read_bytes()
    record = ImageRecord(
        name="worker-el9",
        version="1.0.0",
        title="Worker",
        family=Family.EL,
        release="9",
        file=path.name,
        bytes=size or len(data),
        virtual_bytes=2 * 1024**3,
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        boot=(),
        contextualization=Contextualization.CLOUD_INIT,
        method=Method.KICKSTART,
        built_from=(),
        left_out=left_out,
    )
    path.with_name(record_name(path.name)).write_text(render_record(record))
    return path
