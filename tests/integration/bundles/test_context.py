"""What cloud-init makes of names of virtual machines, and of every form that user-data may have."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from b2ct.assets import Assets
from b2ct.render.bundle import render_user_data
from tests.rigs.cloud_init import carry, contextualize, say_files, start_guest
from tests.rigs.container import Container

FORMS = json.loads((Path(__file__).parents[2] / "data/one-context/forms.json").read_text(encoding="utf-8"))
HOSTILE = 'it\'s "$HOME" `id` \\ # é: {a}\n\truncmd: [x]\n\n- |\n  <end'


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with start_guest(tmp_path_factory.mktemp("guest") / "system") as machine:
        yield machine


def test_it_takes_every_form_as_one_context_does(guest: Container) -> None:
    """One user-data with all that both know: the recording says what one-context made of it."""
    recorded = FORMS["everything-that-both-take"]
    contextualize(guest, carry(recorded["user_data"]))
    assert say_files(guest, recorded["files"]) == recorded["files"]


def test_content_of_a_site_arrives_as_it_is(guest: Container) -> None:
    given = {"/etc/b2ct-vm/agent.conf": HOSTILE, "/srv/added": HOSTILE + "\n"}
    user_data = Assets().read_text("templates/belle2-worker/user-data.yaml")
    contextualize(guest, carry(render_user_data(user_data, tuple(given.items()))))
    found = say_files(guest, given)
    assert {path: file["content"] for path, file in found.items()} == given
    assert [file["mode"] for file in found.values()] == ["0600", "0644"]
    assert guest.tell("systemctl", "is-active", "b2ct-vm-agent.service") == "active\n"


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("belle-worker-el9-1core-17", "belle-worker-el9-1core-17"),
        ("belle-worker-1.0.0-17", "belle-worker-1"),  # what follows a dot is a domain
        ("belle_worker", "before"),  # refused
        ("belle worker", "before"),
        ("w" * 64, "w" * 64),
        ("w" * 65, "before"),
    ],
)
def test_the_hostname_that_a_name_gives(name: str, hostname: str, guest: Container) -> None:
    guest.tell("hostname", "before")
    contextualize(guest, {"SET_HOSTNAME": name})
    assert guest.tell("hostname") == f"{hostname}\n"
