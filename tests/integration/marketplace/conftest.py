"""A repository that was built and is served on loopback."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import minisign
import pytest

from b2ct.apply.repository.build import MarketplaceReport, MarketplaceRequest, build_marketplace
from b2ct.apply.repository.client import Repository, open_repository
from b2ct.apply.repository.download import Patience
from b2ct.apply.repository.load import load_bundle
from tests.rigs.bundles import write_bundle, write_image, write_record
from tests.rigs.web import Web, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EPOCH = 1_718_000_000
PATIENCE = Patience(
    connect_timeout_s=2,
    read_timeout_s=0.5,
    document_timeout_s=1,
    stall_bytes=50_000,
    stall_timeout_s=0.4,
    retry_waits_s=(0.01, 0.01),
)


@dataclass
class Workshop:
    """A place to make bundles, images and a repository in."""

    home: Path
    key: minisign.KeyPair

    @property
    def out(self) -> Path:
        return self.home / "out"

    @property
    def images(self) -> Path:
        return self.home / "images"

    def bundle(self, version: str = "1.0.0", images: str = "", content: str = "one") -> Path:
        """Write a bundle and its first image; return its folder."""
        image = self.images / f"worker-el9-{version}.qcow2"
        if not image.exists():
            write_record(write_image(image, content))
        return write_bundle(self.home / f"bundle-{version}", version=version, images=images)

    def build(self, *folders: Path, timestamp: int = EPOCH, keep_older: bool = True) -> MarketplaceReport:
        """Build the repository from bundles, by default the one of version 1.0.0."""
        bundles = [load_bundle(folder) for folder in folders or (self.bundle(),)]
        request = MarketplaceRequest(
            self.out,
            bundles,
            self.images,
            "http://127.0.0.1:8000/repo",
            self.key.secret_key,
            timestamp=timestamp,
            keep_older=keep_older,
        )
        return build_marketplace(request)


@dataclass
class Client:
    """A site that uses the repository."""

    web: Web
    key: minisign.KeyPair
    home: Path

    def open(self, url: str = "", patience: Patience = PATIENCE) -> Repository:
        return open_repository(url or self.web.url, self.key.public_key, self.home / "cache", patience=patience)

    def leftovers(self) -> list[str]:
        """Return every file that the client has, but for those that only remember times."""
        files = (path.relative_to(self.home) for path in self.home.rglob("*") if path.is_file())
        return sorted(str(path) for path in files if path.parts[1] != "seen")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "publisher", minisign.KeyPair.generate())


@pytest.fixture
def client(workshop: Workshop, tmp_path: Path) -> Iterator[Client]:
    """A client of a repository with one bundle."""
    workshop.build()
    with serve(workshop.out) as web:
        yield Client(web, replace(workshop.key), tmp_path / "site")
