"""Nothing that a site says can become more than a value: not in a kickstart, not in its scripts."""

from __future__ import annotations

import dataclasses
import functools
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from b2ct.assets import Assets
from b2ct.errors import B2ctError
from b2ct.render import kickstart
from b2ct.render.environment import TemplateError
from b2ct.render.kickstart import render_kickstarts
from b2ct.render.quoting import QuotingError
from b2ct.site.load import load_site
from tests.rigs.kickstarts import CASES, GOLDEN, load_case, load_facts, parse, plan_of, render_texts, scripts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from b2ct.plan.model import Plan

Location = tuple[str | int, ...]

PLANS = {case: load_case(case) for case in CASES}

ONE_HOST_PLANS = {
    case: dataclasses.replace(PLANS[case], hosts=(PLANS[case].hosts[n],))
    for case, n in (("cluster", 0), ("single", 0), ("interactive", -1), ("centos67", 0), ("centos7", 1), ("rocky8", 0))
}
"""Plans of every generation, of which one host is rendered: that is where all the different fields are."""

HOSTILE = st.one_of(
    st.text(min_size=1, max_size=40),  # an empty text means that there is none
    st.sampled_from(
        [
            "\n%post\ntouch /pwned\n%end\n",
            "x\n%pre --interpreter=/bin/sh\nreboot\n%end",
            "x\x0c%packages\n@pwned\n%end",
            "x\u2028%include /etc/shadow",
            "\r\nrootpw pwned",
            "EOF\nrm -rf /",
            '" --password=pwned "',
            "$(touch /pwned)",
            "`touch /pwned`",
            "'; touch /pwned; '",
            '"; touch /pwned; "',
            "${IFS}",
            "x y",
            "\\",
            "# x",
            "{{ plan }}",
            "{% include 'x' %}",
        ]
    ),
)


OUR_OWN = ("generation", "firmware_bios", "firmware_uefi")
"""Fields that hold text of our own data files, which goes into templates as it is."""


def leaves(value: object, path: Location = ()) -> Iterator[Location]:
    """Yield the path of every text there is in dataclasses and models, the EL generation's own data left out."""
    if isinstance(value, str) and not isinstance(value, Enum):
        if value:  # text in place of none changes what there is, and may
            yield path
    elif isinstance(value, tuple):
        for n, item in enumerate(value):
            yield from leaves(item, (*path, n))
    elif dataclasses.is_dataclass(value):
        for item in dataclasses.fields(value):
            if item.name not in OUR_OWN:
                yield from leaves(getattr(value, item.name), (*path, item.name))


def put(value: Any, path: Location, text: str) -> Any:  # noqa: ANN401 - any node of the tree
    """Return a copy of the tree with ``text`` at ``path``."""
    if not path:
        return text
    head, rest = path[0], path[1:]
    if isinstance(head, int):
        return (*value[:head], put(value[head], rest, text), *value[head + 1 :])
    inner = put(getattr(value, head), rest, text)
    if isinstance(value, BaseModel):
        return value.model_copy(update={head: inner})
    return dataclasses.replace(value, **{head: inner})


@pytest.fixture(autouse=True, scope="module")
def _compile_templates_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kickstart, "make_template", functools.cache(kickstart.make_template))
        yield


def shape(text: str, version: str) -> object:
    """Return what a kickstart consists of: the numbers of its commands, packages, scripts, and their lines."""
    handler = parse(text, version)
    commands = {name: len(command.dataList() or ()) for name, command in handler.commands.items() if command}
    packages = handler.packages
    count = len(packages.packageList) + len(packages.groupList) + len(packages.excludedList)
    return commands, count, [(script.type, len(script.script.splitlines())) for script in handler.scripts]


PLAIN_SHAPES = {
    case: [shape(text, plan.generation.pykickstart) for text in render_texts(plan).values()]
    for case, plan in ONE_HOST_PLANS.items()
}


@pytest.mark.parametrize("case", ONE_HOST_PLANS)
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_no_text_of_a_plan_changes_what_the_kickstart_consists_of(case: str, data: st.DataObject) -> None:
    plan = ONE_HOST_PLANS[case]
    path = data.draw(st.sampled_from(list(leaves(plan))))
    hostile: Plan = put(plan, path, data.draw(HOSTILE))
    try:
        artifacts = render_kickstarts(hostile, Assets())
    except (QuotingError, TemplateError):
        return
    version = plan.generation.pykickstart
    assert [shape(artifact.data.decode(), version) for artifact in artifacts] == PLAIN_SHAPES[case]


@given(text=HOSTILE)
@example(text='Ada "Countess" O\'Neil \\ $(id) `id` # x')
@settings(max_examples=50, deadline=None)
def test_a_full_name_reaches_the_kickstart_as_it_is_or_not_at_all(text: str) -> None:
    site = put(load_site(GOLDEN / "single" / "site.yaml"), ("users", 0, "gecos"), text)
    plan = plan_of(site, load_facts("single"))
    try:
        text_of_host = render_texts(plan)["b2ct/cn01.ks"]
    except QuotingError:
        assert not text.isprintable()
        return
    assert [user.gecos for user in parse(text_of_host, "RHEL9").user.userList] == [text]


@given(text=HOSTILE)
@settings(max_examples=50, deadline=None)
def test_a_key_comment_stays_inside_its_quotes(text: str) -> None:
    site = put(load_site(GOLDEN / "single" / "site.yaml"), ("users", 0, "ssh_keys", 0), f"ssh-ed25519 AAAA {text}")
    plan = plan_of(site, load_facts("single"))
    try:
        text_of_host = render_texts(plan)["b2ct/cn01.ks"]
    except QuotingError:
        return
    lines = scripts(parse(text_of_host, "RHEL9"))[-1].splitlines()
    assert len([line for line in lines if line.startswith("        echo ") and "ssh-ed25519 AAAA " in line]) == 1


@pytest.mark.parametrize(
    "path",
    [
        ("domain",),
        ("language",),
        ("keyboard",),
        ("time", "zone"),
        ("opennebula", "version"),
        ("sources", "proxy"),
        ("sources", "os"),
        ("sources", "epel"),
        ("sources", "opennebula"),
        ("console",),
        ("hosts", 0, "name"),
        ("hosts", 0, "nics", 0, "mac"),
        ("hosts", 0, "layout", "volume_group"),
        ("hosts", 0, "layout", "volumes", 0, "name"),
        ("hosts", 0, "layout", "volumes", 0, "mount"),
        ("users", 0, "name"),
    ],
)
def test_a_site_that_was_never_checked_cannot_add_a_section(path: Location) -> None:
    hostile = "9.1\n%post\ntouch /pwned\n%end"
    site = put(load_site(GOLDEN / "single" / "site.yaml"), path, hostile)
    with pytest.raises((B2ctError, ValueError)):
        render_texts(plan_of(site, load_facts("single")))


def _overridden(tmp_path: Path, name: str, text: str) -> Assets:
    target = tmp_path / name
    target.parent.mkdir(parents=True)
    target.write_text(text, encoding="utf-8")
    return Assets(overrides=tmp_path)


def test_a_template_that_forgets_a_filter_is_refused(tmp_path: Path) -> None:
    assets = _overridden(tmp_path, "kickstart/host.ks.j2", "lang {{ plan.language }}\n")
    with pytest.raises(TemplateError, match="without a quoting filter"):
        render_kickstarts(PLANS["single"], assets)


def test_a_script_that_ends_its_own_section_is_refused(tmp_path: Path) -> None:
    assets = _overridden(tmp_path, "kickstart/host.ks.j2", "%pre\necho\n%end\n%end\n")
    with pytest.raises(TemplateError, match="breaks the kickstart's sections"):
        render_kickstarts(PLANS["single"], assets)


def test_a_sites_own_copy_of_a_snippet_is_used(tmp_path: Path) -> None:
    assets = _overridden(tmp_path, "kickstart/snippets/keyboard/vckeymap.ks.j2", "keyboard --vckeymap=de\n")
    artifacts = render_kickstarts(PLANS["single"], assets)
    assert b"\nkeyboard --vckeymap=de\n" in artifacts[0].data


@pytest.mark.parametrize("case", CASES)
def test_there_is_a_kickstart_for_each_host_and_one_that_asks(case: str) -> None:
    site = load_site(GOLDEN / case / "site.yaml")
    names = {f"b2ct/{host.name}.ks" for host in site.hosts}
    assert set(render_texts(PLANS[case])) == {*names, "b2ct/ask.ks"}


@pytest.mark.parametrize("case", CASES)
def test_no_line_is_left_without_end_of_line(case: str) -> None:
    for text in render_texts(PLANS[case]).values():
        assert text.endswith("%end\n")
        assert "\r" not in text
        assert "cdrom" not in text


def test_only_the_hash_of_a_password_is_on_the_media() -> None:
    server = render_texts(PLANS["centos67"])["b2ct/server.ks"]
    root = parse(server, "RHEL6").rootpw
    assert root.isCrypted
    assert root.password.startswith("$6$")
    assert not root.lock
    assert "ROOT_PASSWORD" not in server
