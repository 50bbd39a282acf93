"""Checks what a bundle's OpenNebula files have to hold so that every way of importing them works."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

import yaml

from b2ct.errors import Problem
from b2ct.plan.attributes import first_text
from b2ct.plan.bundle import IMAGE_FILE, PLACEHOLDERS, TEMPLATE_FILE, USER_DATA_FILE
from b2ct.site.yaml import Document, Loc, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from b2ct.plan.attributes import Template
    from b2ct.plan.bundle import Manifest

CLOUD_CONFIG = "#cloud-config"
"""First line of user-data for cloud-init and one-context."""

WRITE_FILE_KEYS = frozenset({"path", "content", "owner", "permissions", "encoding", "append", "defer"})
"""Keys of a ``write_files`` item that cloud-init 22 and one-context (``cloudinit_cc_write_files.rb``) both know."""

ENCODINGS = frozenset({"text/plain", "b64", "base64", "gz", "gzip", "gz+b64", "gz+base64", "gzip+b64", "gzip+base64"})
"""Encodings of a file's content that both know."""

_PLACES: tuple[tuple[str, str, str | None, str], ...] = (
    (IMAGE_FILE, "NAME", None, "@IMAGE_NAME@"),
    (IMAGE_FILE, "PATH", None, "@IMAGE_PATH@"),
    (TEMPLATE_FILE, "DISK", "IMAGE_ID", "@IMAGE_ID@"),
    (TEMPLATE_FILE, "NIC", "NETWORK_ID", "@NETWORK_ID@"),
)
"""File, attribute and key of each placeholder."""

_RUBY_OTHER = re.compile(r":.+|<<|[-+]?[0-9][0-9_,]*,[0-9_,]*(\.[0-9_]*)?")
"""Plain words that are a symbol, a merge or a number to Ruby's YAML, and text or refused elsewhere."""

_PLACEHOLDER = re.compile(r"@[A-Z][A-Z0-9_]*@")


def check_guests(manifest: Manifest, text: str, file: str) -> Iterator[Problem]:
    """Yield a problem for each guest that stands twice in a manifest: it is by its guest that an image is found."""
    seen = set()
    for i, image in enumerate(manifest.images):
        if image.guest in seen:
            loc: Loc = ("images", i, "guest")
            yield _problem(file, read_yaml(text, file), loc, f"another image has the guest {image.guest}")
        seen.add(image.guest)


def check_placeholders(texts: Mapping[str, str], templates: Mapping[str, Template], shown: str) -> Iterator[Problem]:
    """Yield what is wrong with the placeholders; ``texts`` and ``templates`` are by file name.

    Each has to be the whole value at its place, and stands nowhere else; ``shown`` is the folder as problems call it.
    """
    for name, attribute, key, placeholder in _PLACES:
        if name in templates and first_text(templates[name], attribute, key) != placeholder:
            value = f'{key} = "{placeholder}"' if key else f'"{placeholder}"'
            file, line = f"{shown}/{name}", _line_of(texts[name], rf"^\s*{attribute}\s*=")
            yield Problem(file, line, "", f"{attribute} does not have {placeholder}", f"{attribute} = {value}")
    for name, text in texts.items():
        uncommented = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
        allowed = {place[3] for place in _PLACES if place[0] == name}
        for found in _PLACEHOLDER.finditer(uncommented):
            if found[0] in allowed:
                allowed.remove(found[0])
                continue
            line = uncommented.count("\n", 0, found.start()) + 1
            known = found[0] in PLACEHOLDERS
            yield Problem(
                f"{shown}/{name}",
                line,
                "",
                f"{found[0]} is not filled in here" if known else f"{found[0]} is no placeholder",
                f"the placeholders are {', '.join(PLACEHOLDERS)}, each once" if not known else "leave it out",
            )


def check_encoded_user_data(template_text: str, template: Template, user_data: str, shown: str) -> Iterator[Problem]:
    """Yield a problem unless ``CONTEXT``'s USERDATA is the base64 of ``user_data``."""
    file = f"{shown}/{TEMPLATE_FILE}"
    hint = f"base64 -w0 {USER_DATA_FILE} writes it"
    if first_text(template, "CONTEXT", "USERDATA_ENCODING") != "base64":
        line = _line_of(template_text, r"USERDATA_ENCODING|^\s*CONTEXT\s*=")
        yield Problem(file, line, "", "CONTEXT lacks the encoding of USERDATA", 'USERDATA_ENCODING = "base64"')
    line = _line_of(template_text, r"USERDATA\s*=|^\s*CONTEXT\s*=")
    encoded = first_text(template, "CONTEXT", "USERDATA")
    if encoded is None:
        yield Problem(file, line, "", "CONTEXT has no USERDATA", hint)
        return
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        yield Problem(file, line, "", "USERDATA is not base64", hint)
        return
    if decoded != user_data.encode():
        yield Problem(file, line, "", f"USERDATA is not what {USER_DATA_FILE} holds", hint)


def check_user_data(text: str, file: str) -> Iterator[Problem]:
    """Yield what keeps ``user-data.yaml`` from meaning the same to cloud-init and to one-context."""
    if text.split("\n", 1)[0].rstrip() != CLOUD_CONFIG:
        yield Problem(file, 1, "", f"the first line has to be {CLOUD_CONFIG}")
    document = read_yaml(text, file)
    yield from document.problems
    if document.problems:
        return
    try:
        data = yaml.safe_load(text)  # with YAML's own types, as both programs read it
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        yield Problem(file, 1, "", f"not valid YAML: {' '.join(str(error).split())}")
        return
    if not isinstance(data, dict):
        yield Problem(file, 1, "", "the file has to hold write_files and runcmd")
        return
    yield from _check_ruby(text, file)
    for key in sorted(set(map(str, data)) - {"write_files", "runcmd"}):
        message = "one-context does not know this module"
        yield Problem(file, document.line((key,)), key, message, "only write_files and runcmd work everywhere")
    for name, check in (("write_files", _check_file), ("runcmd", _check_command)):
        items = data.get(name, [])
        if not isinstance(items, list):
            yield Problem(file, document.line((name,)), name, "has to be a list")
            continue
        for i, item in enumerate(items):
            for key, message in check(item):
                loc: Loc = (name, i, key) if key else (name, i)
                yield _problem(file, document, loc, message)


def _check_ruby(text: str, file: str) -> Iterator[Problem]:
    """Yield what Ruby's YAML (Psych's safe_load, which one-context calls) refuses, or takes for something else."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        message = ""
        if isinstance(event, yaml.AliasEvent):
            message = "one-context refuses aliases: write the value out"
        elif isinstance(event, yaml.ScalarEvent) and event.implicit[0] and _RUBY_OTHER.fullmatch(event.value):
            message = f"one-context takes {event.value} for something else than text: put it into quotes"
        if message and event.start_mark:
            yield Problem(file, event.start_mark.line + 1, "", message)


def _problem(file: str, document: Document, loc: Loc, message: str) -> Problem:
    return Problem(file, document.line(loc), ".".join(map(str, loc)), message)


def _check_file(item: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - data as YAML gave it
    """Yield (key, message) of what is wrong with one ``write_files`` item."""
    if not isinstance(item, dict):
        yield "", "has to have path and content"
        return
    for key in sorted(set(map(str, item)) - WRITE_FILE_KEYS):
        yield key, "is not known to cloud-init and one-context both"
    path = item.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        yield "path", "has to be an absolute path"
    if not isinstance(item.get("content", ""), str):
        yield "content", "has to be text"
    owner = item.get("owner", "root:root")
    if not isinstance(owner, str) or ":" not in owner:
        yield "owner", "has to be user:group: without a group one-context writes no file"
    permissions = item.get("permissions", "0644")
    if not isinstance(permissions, str) or not re.fullmatch(r"0[0-7]{1,3}", permissions):
        yield "permissions", 'have to be text such as "0600", in quotes: one-context takes a number for 0644'
    if item.get("encoding", "text/plain") not in ENCODINGS:
        yield "encoding", f"has to be one of {', '.join(sorted(ENCODINGS))}"
    flags = [key for key in ("append", "defer") if not isinstance(item.get(key, False), bool)]
    yield from ((key, "has to be true or false") for key in flags)


def _check_command(item: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - data as YAML gave it
    """Yield (key, message) of what is wrong with one ``runcmd`` item."""
    words = item if isinstance(item, list) else [item]
    if not words or not all(isinstance(word, str) for word in words):
        yield "", "has to be a text or a list of texts: numbers, true and false need quotes"


def _line_of(text: str, regex: str) -> int:
    """Return the line of the first match outside of comments, 1 without one."""
    lines = enumerate(text.splitlines(), 1)
    return next((i for i, line in lines if not line.lstrip().startswith("#") and re.search(regex, line)), 1)
