"""A DIRAC that all tests of this folder share: its services start once a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rigs.dirac.central import start_dirac

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rigs.dirac.central import Central


@pytest.fixture(scope="session")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Central]:
    """Configuration server and virtual machine manager; a test that ends one starts it again."""
    with start_dirac(tmp_path_factory.mktemp("dirac")) as running:
        yield running
