"""The option that writes the golden trees anew."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate", action="store_true", help="write tests/golden/*/expected anew, then look at git diff"
    )
