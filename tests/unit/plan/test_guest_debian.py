"""What goes into a Debian guest: packages, sources, and the commands that run in it."""

from __future__ import annotations

import pytest

from b2ct.errors import UsageError
from b2ct.plan.guest_debian import (
    MASKED,
    Step,
    archive_of,
    make_packages,
    make_repository_source,
    make_sources,
    make_steps,
)
from b2ct.plan.image import Family, Repository, Source
from tests.unit.plan.images import DESCRIPTION

UNITS = ("one.service", "two.service")


def test_the_packages_are_the_minimal_system_and_what_is_asked_for() -> None:
    packages = make_packages(DESCRIPTION, with_repositories=True)
    assert {"cloud-init", "openssh-server", "linux-image-amd64", "python3", "cvmfs"} <= set(packages)
    assert list(packages) == sorted(set(packages))


def test_without_repositories_their_packages_are_left_out() -> None:
    with_them = set(make_packages(DESCRIPTION, with_repositories=True))
    assert with_them - set(make_packages(DESCRIPTION, with_repositories=False)) == {"cvmfs"}


@pytest.mark.parametrize("name", ["a b", "a,b", "?true", "~U", "./x.deb", "/x.deb", "-o", "A", "x\n", "", "a=1", "a/b"])
def test_a_name_that_apt_would_take_for_something_else_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a package"):
        make_packages(DESCRIPTION.model_copy(update={"packages": (name,)}), with_repositories=False)


def test_ubuntu_has_its_own_kernel_and_keys() -> None:
    ubuntu = DESCRIPTION.model_copy(update={"family": Family.UBUNTU})
    assert "linux-image-virtual" in make_packages(ubuntu, with_repositories=False)
    assert {source.keyring for source in make_sources(ubuntu)} == {"/usr/share/keyrings/ubuntu-archive-keyring.gpg"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": Family.EL}, "no el guest can be made by debootstrap"),
        ({"source": Source(url="http://mirror.example/debian")}, "source.suite is missing"),
    ],
)
def test_what_cannot_be_built_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        archive_of(DESCRIPTION.model_copy(update=change))


def test_updates_and_security_updates_are_sources_too() -> None:
    assert [(source.url, source.suite) for source in make_sources(DESCRIPTION)] == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian", "bookworm-updates"),
        ("http://mirror.example/security", "bookworm-security"),
    ]


def test_mirrors_take_the_place_of_the_description_s() -> None:
    sources = make_sources(DESCRIPTION, "http://near.example/d", "http://near.example/s")
    assert [source.url for source in sources] == ["http://near.example/d"] * 2 + ["http://near.example/s"]


def test_a_repository_s_key_is_good_for_it_alone() -> None:
    source = make_repository_source(DESCRIPTION.repositories[0])
    assert (source.suite, source.components) == ("bookworm-prod", ("main",))
    assert source.keyring == "/etc/apt/keyrings/cernvm.gpg"


def test_a_repository_without_component_is_refused() -> None:
    repository = Repository(name="x", url="http://x.example", suite="bookworm", key="http://x.example/key")
    with pytest.raises(UsageError, match="repository x: suite and component are missing"):
        make_repository_source(repository)


def test_the_steps_set_up_cvmfs_and_warm_its_cache_in_bounded_time() -> None:
    assert make_steps(DESCRIPTION, UNITS, with_repositories=True) == (
        Step(("systemctl", "enable", "systemd-networkd.service", "one.service", "two.service"), 60),
        Step(("systemctl", "mask", *MASKED), 60),
        Step(("cvmfs_config", "setup", "nostart"), 120),
        Step(("systemctl", "enable", "autofs.service"), 60),
        Step(
            ("/bin/sh", "/tmp/b2ct-warm-cvmfs", "300", "belle.cern.ch", "grid.cern.ch"),  # noqa: S108 (the guest's)
            1800,
            must_work=False,
        ),
    )


@pytest.mark.parametrize(
    ("change", "with_repositories"), [({}, False), ({"repository_packages": ()}, True), ({"warm": ()}, True)]
)
def test_what_is_not_installed_is_not_set_up(change: dict[str, object], *, with_repositories: bool) -> None:
    steps = make_steps(DESCRIPTION.model_copy(update=change), UNITS, with_repositories=with_repositories)
    assert len(steps) == (4 if "warm" in change else 2)
