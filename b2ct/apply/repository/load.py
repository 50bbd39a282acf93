"""Reads bundles from those that B2CT provides or from a folder, and reports every problem in them at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from b2ct.apply.repository.check import check_encoded_user_data, check_guests, check_placeholders, check_user_data
from b2ct.errors import Problem, SiteFileError, UsageError
from b2ct.plan.artifact import Artifact
from b2ct.plan.attributes import Template, TemplateSyntaxError
from b2ct.plan.bundle import (
    FILES,
    IMAGE_FILE,
    MANIFEST,
    TEMPLATE_FILE,
    USER_DATA_FILE,
    Bundle,
    Manifest,
    read_manifest,
)
from b2ct.plan.one_grammar import parse_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from b2ct.assets import Assets

PROVIDED = "templates"
"""The data folder of the bundles that B2CT provides."""

SIZE_LIMIT_BYTES = 1024 * 1024
"""No file of a bundle is larger: OpenNebula keeps a template in one column of its database."""


def load_bundle(folder: Path) -> Bundle:
    """Return the bundle in ``folder``.

    Raises:
        SiteFileError: with every problem of its files, each with file and line.
    """
    return make_bundle({name: folder / name for name in FILES}, folder, str(folder))


def load_provided_bundles(assets: Assets) -> tuple[Bundle, ...]:
    """Return the bundles that B2CT ships, by name; a site's own copy of a file takes its place.

    Raises:
        SiteFileError: with every problem of every bundle.
    """
    names = [name for name in assets.names() if name.startswith(f"{PROVIDED}/") and name.endswith(f"/{MANIFEST}")]
    places = [name.removesuffix(f"/{MANIFEST}") for name in names]
    return _load_all(
        [
            ({name: assets.path(f"{place}/{name}") for name in FILES}, assets.packaged / place, place)
            for place in places
        ],
        PROVIDED,
        "B2CT",
    )


def load_bundles_in(folder: Path) -> tuple[Bundle, ...]:
    """Return the bundle in ``folder``, or else those in the folders in it (``NAME/`` or ``NAME/VERSION/``), by path.

    Raises:
        SiteFileError: with every problem of every bundle.
        UsageError: there is none.
    """
    found = sorted(
        path.parent for depth in ("", "*/", "*/*/") for path in folder.glob(depth + MANIFEST) if path.is_file()
    )
    if not found:
        hint = f"a bundle is a folder with {', '.join(FILES)}"
        raise UsageError(f"{folder} holds no bundle" if folder.is_dir() else f"{folder}: no such folder", hint=hint)
    sources = [({name: place / name for name in FILES}, place, str(place)) for place in found]
    return _load_all(sources, str(folder), f"{folder}/")


def _load_all(sources: Sequence[tuple[Mapping[str, Path], Path, str]], what: str, origin: str) -> tuple[Bundle, ...]:
    bundles: list[Bundle] = []
    problems: list[Problem] = []
    for paths, folder, shown in sources:
        try:
            bundles.append(replace(make_bundle(paths, folder, shown), origin=origin))
        except SiteFileError as error:
            problems += error.problems
    if problems:
        raise SiteFileError(tuple(problems), what)
    return tuple(bundles)


def make_bundle(paths: Mapping[str, Path], folder: Path, shown: str) -> Bundle:
    """Return the bundle whose files are at ``paths``, by name; ``shown`` is what problems call its folder.

    Raises:
        SiteFileError: with every problem of its files, each with file and line.
    """
    problems: list[Problem] = []
    data: dict[str, bytes] = {}
    for name in FILES:
        content = _read(paths[name], f"{shown}/{name}")
        if isinstance(content, Problem):
            problems.append(content)
        else:
            data[name] = content
    texts = {name: content.decode() for name, content in data.items()}
    manifest = _manifest(texts.get(MANIFEST), f"{shown}/{MANIFEST}", problems)
    templates = {
        name: template
        for name in (IMAGE_FILE, TEMPLATE_FILE)
        if name in texts and (template := _template(texts[name], f"{shown}/{name}", problems)) is not None
    }
    plain = {name: text for name, text in texts.items() if name != MANIFEST}
    problems += check_placeholders(plain, templates, shown)
    if USER_DATA_FILE in texts:
        problems += check_user_data(texts[USER_DATA_FILE], f"{shown}/{USER_DATA_FILE}")
        if TEMPLATE_FILE in templates:
            template = templates[TEMPLATE_FILE]
            problems += check_encoded_user_data(texts[TEMPLATE_FILE], template, texts[USER_DATA_FILE], shown)
    if problems or manifest is None:
        raise SiteFileError(tuple(set(problems)), f"the bundle {shown}")
    files = tuple(Artifact(name, data[name]) for name in FILES)
    return Bundle(manifest, templates[IMAGE_FILE], templates[TEMPLATE_FILE], texts[USER_DATA_FILE], files, folder)


def _read(path: Path, shown: str) -> bytes | Problem:
    """Return a file's bytes, which are UTF-8 text, or what is wrong with it."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT_BYTES + 1)
        data.decode()
    except OSError as error:
        return Problem(shown, 1, "", f"cannot be read: {error.strerror}", f"a bundle has {', '.join(FILES)}")
    except UnicodeDecodeError as error:
        return Problem(shown, data.count(b"\n", 0, error.start) + 1, "", "not UTF-8 text")
    return data if len(data) <= SIZE_LIMIT_BYTES else Problem(shown, 1, "", "larger than 1 MiB")


def _manifest(text: str | None, file: str, problems: list[Problem]) -> Manifest | None:
    if text is None:
        return None
    try:
        manifest = read_manifest(text, file)
    except SiteFileError as error:
        problems += error.problems
        return None
    problems += check_guests(manifest, text, file)
    return manifest


def _template(text: str, file: str, problems: list[Problem]) -> Template | None:
    try:
        return parse_template(text, file)
    except TemplateSyntaxError as error:
        message = error.message.removeprefix(f"{file}:{error.line}: ")
        problems.append(Problem(file, error.line, "", message, error.hint or ""))
        return None
