"""The words a site file is made of: constrained strings, closed sets and the base of all models."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, StringConstraints


class SiteModel(BaseModel):
    """Base of every part of the site file: frozen, and a key that is not known is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, str_strip_whitespace=True, hide_input_in_errors=True
    )


class Role(StrEnum):
    """What a host is to the cloud."""

    FRONTEND = "frontend"
    """The OpenNebula control node."""
    NODE = "node"
    """A KVM hypervisor."""


class Service(StrEnum):
    """What a host offers besides its role."""

    SQUID = "squid"
    ROCCI = "rocci"


class Distro(StrEnum):
    """Distributions that the install media may carry."""

    CENTOS = "centos"
    CENTOS_STREAM = "centos-stream"
    ALMALINUX = "almalinux"
    ROCKY = "rocky"
    RHEL = "rhel"


class Arch(StrEnum):
    """Machine architecture of the hosts."""

    X86_64 = "x86_64"


MEANINGS: dict[str, str] = {}
"""What each regular expression of the site file stands for, in words; error messages quote these."""


def pattern(regex: str, max_length: int, meaning: str) -> StringConstraints:
    """Return the rule for a non-empty string that matches ``regex`` wholly (Rust syntax: ``$`` is the very end)."""
    MEANINGS[regex] = meaning
    return StringConstraints(pattern=regex, max_length=max_length, min_length=1)


SECRET_MEANING = "a reference to a secret: file:PATH, env:NAME or vault:PATH#KEY"  # noqa: S105 - words about secrets
"""Values that fail this rule may be secrets, so they are never shown."""


def _no_userinfo(url: str) -> str:
    if re.match(r"^[a-z]+://[^/]*@", url):
        raise ValueError("a URL in the site file must not carry a user or password")
    return url


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _ssh_key(key: str) -> str:
    """Check an OpenSSH public key (RFC 4253 6.6): type, base64 blob that repeats the type, comment."""
    kind, blob, *_ = [*key.split(None, 2), "", ""]
    try:
        raw = base64.b64decode(blob, validate=True)
        (length,) = struct.unpack(">I", raw[:4])
        inner = raw[4 : 4 + length].decode("ascii")
    except (binascii.Error, struct.error, UnicodeDecodeError):
        inner = ""
    if not blob or inner != kind:
        raise ValueError("not an OpenSSH public key (expected: ssh-ed25519 AAAA... comment)")
    return key


HostName = Annotated[
    str,
    pattern(
        r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
        63,
        "a host name: lower-case letters, digits and hyphens, without the domain",
    ),
]
"""One label of a host's name (RFC 1123 2.1), lower case."""

DomainName = Annotated[
    str,
    pattern(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$", 253, "a DNS domain in lower case"),
]
"""A DNS domain, lower case."""

HostOrAddress = Annotated[
    str, pattern(r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", 253, "a host name or an IPv4 address")
]
"""A host's name or its IPv4 address."""

Name = Annotated[str, pattern(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", 64, "a name: letters, digits, _ . -")]
"""An identifier: letters, digits, ``_ . -``."""

DeviceName = Annotated[
    str, pattern(r"^[A-Za-z][A-Za-z0-9_.-]*$", 15, "a network device name: at most 15 letters, digits, _ . -")
]
"""A network device (IFNAMSIZ - 1 characters at most)."""

Mac = Annotated[
    str,
    BeforeValidator(_lower),
    pattern(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$", 17, "a MAC address such as 52:54:00:12:34:56"),
]
"""An Ethernet address, ``52:54:00:12:34:56``."""

CardKey = Annotated[str, AfterValidator(lambda key: key.lower() if key.count(":") == 5 else key)]
"""The word by which a card is meant: its ``name``, or its ``mac`` in capitals or not."""

UserName = Annotated[str, pattern(r"^[a-z_][a-z0-9_-]*$", 32, "a login name: lower-case letters, digits, _ -")]
"""A login name (shadow-utils' default rule)."""

AbsolutePath = Annotated[str, pattern(r"^/[A-Za-z0-9_./:@+-]*$", 255, "an absolute path without blanks")]
"""An absolute path without blanks or quotes."""

Text = Annotated[str, pattern(r"^[^\x00-\x1f\x7f\u0080-\u009f\u2028\u2029]+$", 200, "one line of text")]
"""One line of text without control characters."""

ReleaseNumber = Annotated[
    str, pattern(r"^[0-9]+\.[0-9]+(\.[0-9]+)?$", 20, "a version with major and minor number such as 7.2")
]
"""A version of OpenNebula, ``7.2``."""

VersionNumber = Annotated[str, pattern(r"^[0-9]+(\.[0-9]+)*$", 20, "a version number such as 9 or 9.6")]
"""A version, ``9`` or ``9.6``."""

KernelArgument = Annotated[
    str,
    pattern(
        r"^[A-Za-z0-9_.-]+(=[A-Za-z0-9_.,:/@%+~-]*(=[A-Za-z0-9_.,:/@%+~-]*)*)?$",
        200,
        "one kernel argument, name or name=value, without blanks and quotes",
    ),
]
"""One kernel argument; characters that any boot loader would interpret are not allowed."""

Console = Annotated[
    str, pattern(r"^(tty[0-9]+|ttyS[0-9]+(,[0-9]{4,6}[noe]?[78]?)?|hvc[0-9]+)$", 32, "a console such as ttyS0,115200n8")
]
"""The value of ``console=``, such as ``ttyS0,115200n8``."""

Url = Annotated[
    str,
    pattern(
        r"^(https?|ftp)://[A-Za-z0-9.\[\]:@_-]+(/[A-Za-z0-9._~:/?@!&()*+,;=%$-]*)?$", 400, "an http, https or ftp URL"
    ),
    AfterValidator(_no_userinfo),
]
"""An http, https or ftp URL without user or password."""

UrlOrPath = Annotated[
    str,
    pattern(r"^[A-Za-z0-9._~:/?@!&()*+,;=%$-][A-Za-z0-9._~:/?@!&()*+,;=%$ -]*$", 400, "a URL or a path"),
    AfterValidator(_no_userinfo),
]
"""A URL, or a path that starts at the site file's folder."""

Checksum = Annotated[
    str, pattern(r"^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$", 140, "a checksum, sha256:HEX or sha512:HEX")
]
"""``sha256:<hex>`` or ``sha512:<hex>``."""

MinisignKey = Annotated[
    str, pattern(r"^RW[A-Za-z0-9+/]{54}$", 56, "a public key of minisign: 56 letters that begin with RW")
]
"""A minisign public key, the second line of ``minisign.pub``."""

SecretRef = Annotated[
    str,
    pattern(
        r"^(file:[^\x00-\x1f\x7f#]+|env:[A-Za-z_][A-Za-z0-9_]*|vault:[^\x00-\x1f\x7f#]+#[A-Za-z0-9_.-]+)$",
        300,
        SECRET_MEANING,
    ),
]
"""Where a secret is kept, never itself: ``file:PATH``, ``env:NAME`` or ``vault:PATH#KEY`` (an Ansible vault file)."""

SshKey = Annotated[
    str,
    pattern(r"^[^\x00-\x1f\x7f\u0080-\u009f\u2028\u2029]+$", 8192, "an OpenSSH public key"),
    AfterValidator(_ssh_key),
]
"""An OpenSSH public key, one line."""

Size = Annotated[ByteSize, Field(ge=1024**2)]
"""An amount of storage with its unit, ``200GiB`` or ``480GB``; at least 1 MiB."""

SizeOrNone = Annotated[ByteSize, Field(ge=0)]
"""An amount of storage with its unit, or ``0``."""

VlanId = Annotated[int, Field(ge=1, le=4094)]
"""IEEE 802.1Q VLAN id."""

Mtu = Annotated[int, Field(ge=576, le=9216)]
"""Largest packet, in bytes."""
