"""Reads and changes DIRAC configurations (CFG), with diraccfg: DIRAC's own parser, on which its grammar rests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diraccfg import CFG

from b2ct.errors import B2ctError

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str, ...]
"""Names of sections from the root, ``("Resources", "Sites")``."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@ -]*(?<! )")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class CfgError(B2ctError):
    """A value cannot be written in DIRAC's configuration, or a configuration cannot be read."""


@dataclass(frozen=True, slots=True)
class Change:
    """One option that is not as wanted."""

    path: str
    """``/Registry/Hosts/vm.example.org/DN``."""
    now: str | None
    """None: it is not there."""
    wanted: str | None
    """None: it has to go."""


def cfg_quote(value: str) -> str:
    r"""Return ``value`` unchanged when an option of a CFG file can hold it.

    The grammar has no quotes: a value is the rest of its line, without blanks at the ends, and DIRAC writes lists anew
    with exactly one comma and one blank between (diraccfg 1.0.1, ``CFG.serialize``).

    Raises:
        CfgError: it would come back as something else.
    """
    items = [item.strip() for item in value.split(",")]
    if _UNPRINTABLE.search(value) or ", ".join(filter(None, items)) != value:
        hint = "no control characters, no blanks at the ends, no empty parts between commas"
        raise CfgError(f"{value!r} cannot stand in a configuration of DIRAC", hint=hint)
    return value


def cfg_name(name: str) -> str:
    """Return ``name`` unchanged when a section or option can have it.

    Raises:
        CfgError: the grammar, or DIRAC's paths, give one of its characters a meaning.
    """
    if not _NAME.fullmatch(name):
        hint = "letters, digits and _ . : @ - and blanks within"
        raise CfgError(f"{name!r} cannot be a name in a configuration of DIRAC", hint=hint)
    return name


def read_cfg(text: str, origin: str) -> CFG:
    """Return a configuration.

    Raises:
        CfgError: its braces do not match, or a name is missing or there twice; says where it comes from.
    """
    try:
        return CFG().loadFromBuffer(text)
    except (ValueError, KeyError) as error:
        raise CfgError(f"{origin} is no configuration of DIRAC: {error}") from error


def find_section(cfg: CFG, path: Path) -> CFG | None:
    """Return a section, None if there is none."""
    for name in path:
        found = cfg[name] if cfg.existsKey(name) else None
        if not isinstance(found, CFG):
            return None
        cfg = found
    return cfg


def make_section(cfg: CFG, path: Path) -> CFG:
    """Return a section, made with those above it where it is missing.

    Raises:
        CfgError: an option has the name that a section has to have.
    """
    for name in path:
        if not cfg.existsKey(name):
            cfg.createNewSection(cfg_name(name))
        found = cfg[name]
        if not isinstance(found, CFG):
            raise CfgError(f"/{'/'.join(path)}: {name} is an option of DIRAC's configuration, not a section")
        cfg = found
    return cfg


def get_option(cfg: CFG, path: Path, option: str) -> str | None:
    """Return an option's text, None if it is not there."""
    section = find_section(cfg, path)
    found = section[option] if section is not None and section.existsKey(option) else None
    return found if isinstance(found, str) else None


def set_option(section: CFG, name: str, value: str) -> None:
    """Set an option and leave its comment as it is."""
    comment = section.getComment(name) if section.existsKey(name) else ""
    section.setOption(cfg_name(name), cfg_quote(value), comment)


def drop_option(cfg: CFG, path: Path, option: str) -> None:
    """Take an option away, and every section above it that is empty then, but not those at the root."""
    section = find_section(cfg, path)
    if section is not None:
        section.deleteKey(option)
    drop_empty(cfg, path)


def drop_empty(cfg: CFG, path: Path) -> None:
    """Take a section away if it is empty, and those above it that are empty then, but not those at the root."""
    for depth in range(len(path), 1, -1):
        parent, section = find_section(cfg, path[: depth - 1]), find_section(cfg, path[:depth])
        if parent is None or section is None or section.listAll():
            return
        parent.deleteKey(path[depth - 1])


def all_options(cfg: CFG, path: Path = ()) -> Iterator[tuple[str, str]]:
    """Return path and text of every option."""
    for name in cfg.listAll():
        value = cfg[name]
        if isinstance(value, CFG):
            yield from all_options(value, (*path, name))
        else:
            yield f"/{'/'.join((*path, name))}", value


def all_sections(cfg: CFG, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Return path and comment of every section."""
    for name in cfg.listSections():
        yield (*path, name), cfg.getComment(name)
        section = cfg[name]
        if isinstance(section, CFG):
            yield from all_sections(section, (*path, name))


def compare(before: CFG, after: CFG) -> tuple[Change, ...]:
    """Return every option that differs, in the order of the configurations."""
    now, wanted = dict(all_options(before)), dict(all_options(after))
    paths = dict.fromkeys((*now, *wanted))
    return tuple(Change(path, now.get(path), wanted.get(path)) for path in paths if now.get(path) != wanted.get(path))


def service_urls(cfg: CFG, system: str, service: str, setup: str | None) -> tuple[str, ...]:
    """Return the URLs of one of DIRAC's services as the configuration gives them; of DIRAC 8 for a setup.

    DIRAC 8: ``/Systems/SYSTEM/INSTANCE/URLs`` where ``/DIRAC/Setups/SETUP/SYSTEM`` names the instance; DIRAC 9:
    ``/Systems/SYSTEM/URLs``. ``$MAINSERVERS$`` stands for each of ``/Operations/Defaults/MainServers``.
    """
    instance = get_option(cfg, ("DIRAC", "Setups", setup), system) if setup else None
    place = ("Systems", system, instance, "URLs") if instance else ("Systems", system, "URLs")
    urls = split_list(get_option(cfg, place, service) or "")
    servers = split_list(get_option(cfg, ("Operations", "Defaults"), "MainServers") or "")
    return tuple(
        url.replace("$MAINSERVERS$", server)
        for url in urls
        for server in (servers if "$MAINSERVERS$" in url else ("",))
    )


def split_list(value: str) -> tuple[str, ...]:
    """Return the items of a list."""
    return tuple(item.strip() for item in value.split(",") if item.strip())
