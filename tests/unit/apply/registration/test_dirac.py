from __future__ import annotations

import zlib

import pytest

from b2ct.apply.registration.dirac import (
    ChangedMeanwhileError,
    UnauthorizedError,
    ask_site_mask,
    commit,
    read_snapshot,
)
from b2ct.errors import B2ctError, RemoteError

A, B = "dips://a.org:9135/Configuration/Server", "dips://b.org:9135/Configuration/Server"


def cfg(version: str = "1", master: str = B) -> str:
    return f"DIRAC\n{{\nConfiguration\n{{\nVersion = {version}\nMasterServer = {master}\n}}\n}}\n"


class Services:
    """Answers by (URL, method); an exception is raised."""

    def __init__(self, answers: dict[tuple[str, str], object]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    def __call__(self, url: str, method: str, *_arguments: object) -> object:
        self.asked.append((url, method))
        answer = self.answers.get((url, method), RemoteError(f"{url} is down"))
        if isinstance(answer, Exception):
            raise answer
        return answer


def data(text: str) -> bytes:
    return zlib.compress(text.encode())


def test_what_a_copy_says_is_read_again_from_the_master() -> None:
    ask = Services({(A, "getCompressedData"): data(cfg("1")), (B, "getCompressedData"): data(cfg("2"))})
    snapshot = read_snapshot(ask, [A])
    assert (snapshot.url, snapshot.version, snapshot.master) == (B, "2", B)


def test_all_servers_are_tried_and_named() -> None:
    with pytest.raises(RemoteError, match=r"a\.org.* is down; .*b\.org.* is down"):
        read_snapshot(Services({}), [A, B])


def test_one_that_refuses_is_not_asked_elsewhere() -> None:
    ask = Services({(A, "getCompressedData"): UnauthorizedError("no")})
    with pytest.raises(UnauthorizedError):
        read_snapshot(ask, [A, B])
    assert len(ask.asked) == 1


@pytest.mark.parametrize(
    "answer", [b"x", data(cfg())[:-8], b"", data("A\n{\n"), zlib.compress(b"\xff"), data(""), None, 5]
)
def test_garbage_is_no_configuration(answer: object) -> None:
    with pytest.raises(B2ctError, match="configuration"):
        read_snapshot(Services({(B, "getCompressedData"): answer}), [B])


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("Local and remote versions differ (1 vs 2). Cannot commit.", ChangedMeanwhileError),
        ("AutoMerge failed: Cannot AutoMerge: ...", ChangedMeanwhileError),
        ("no answer in 30 s", RemoteError),
    ],
)
def test_what_the_server_says_of_a_commit(said: str, error: type[Exception]) -> None:
    answers: dict[tuple[str, str], object] = {(B, "getCompressedData"): data(cfg()), (B, "getVersion"): "1"}
    ask = Services({**answers, (B, "commitNewData"): RemoteError(said)})
    snapshot = read_snapshot(ask, [B])
    with pytest.raises(error) as raised:
        commit(ask, snapshot, cfg())
    assert type(raised.value) is error
    assert ("--check tells" in str(raised.value.hint)) is (error is RemoteError)  # type: ignore[attr-defined] # ours


def test_a_new_version_is_seen_before_anything_is_sent() -> None:
    ask = Services({(B, "getCompressedData"): data(cfg("1")), (B, "getVersion"): "2"})
    with pytest.raises(ChangedMeanwhileError, match="from version 1 to 2"):
        commit(ask, read_snapshot(ask, [B]), cfg())
    assert (B, "commitNewData") not in ask.asked


def test_a_configuration_without_wmsadministrator_cannot_tell_the_mask() -> None:
    ask = Services({(B, "getCompressedData"): data(cfg())})
    with pytest.raises(RemoteError, match="names no WMSAdministrator"):
        ask_site_mask(ask, read_snapshot(ask, [B]), "CLOUD.Torino.it", "Rig")
