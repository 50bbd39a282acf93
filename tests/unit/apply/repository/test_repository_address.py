"""Addresses of repositories."""

from __future__ import annotations

import pytest

from b2ct.apply.repository.address import check_address
from b2ct.errors import UsageError


@pytest.mark.parametrize("end", ["", "/", "//", "/index.json"])
def test_an_address_has_one_form(end: str) -> None:
    assert check_address(f"https://x.example:8443/b2ct{end}") == "https://x.example:8443/b2ct"


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://x/", "file:///etc", "http://", "http://x/?a", "http://x/#a", "http://x:99999", "http://[x"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        check_address(url)


def test_a_password_in_an_address_is_never_shown() -> None:
    with pytest.raises(UsageError, match="at x has a user or password") as caught:
        check_address("http://user:hunter2@x/")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
