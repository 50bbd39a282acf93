"""Using a repository that is well, and one that fails in every way: one clear error, and nothing half-made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import minisign
import pytest

from b2ct.apply.repository.client import OldIndexError, open_repository
from b2ct.apply.repository.download import DownloadError
from b2ct.apply.repository.images import ImageFileError, fetch_image, find_image
from b2ct.apply.repository.source import Trust, load_bundles
from b2ct.apply.signature import SignatureError, sign_bytes
from b2ct.assets import Assets
from b2ct.errors import OutputError, SiteFileError, UsageError
from b2ct.plan.marketplace import RepositoryIndexError
from tests.integration.marketplace.conftest import EPOCH, PATIENCE
from tests.rigs.bundles import write_image
from tests.rigs.web import Fault, serve

if TYPE_CHECKING:
    from b2ct.plan.bundle import BundleImage
    from tests.integration.marketplace.conftest import Client, Workshop


def publish(workshop: Workshop, change: Any, created: int = EPOCH + 1) -> None:  # noqa: ANN401 - a function or bytes
    """Sign and serve an index that ``change`` made worse: a function of its data, or the whole as bytes."""
    path = workshop.out / "index.json"
    if isinstance(change, bytes):
        data = change
    else:
        index = json.loads(path.read_text())
        index["created"] = created
        change(index)
        data = json.dumps(index).encode()
    path.write_bytes(data)
    signature = sign_bytes(workshop.key.secret_key, data, "index.json", created)
    (workshop.out / "index.json.minisig").write_bytes(signature)


def image_of(client: Client) -> BundleImage:
    return client.open().load("worker").manifest.images[0]


def fetch(client: Client, image: BundleImage) -> Any:  # noqa: ANN401 - the tests look at what they need
    return fetch_image(image, client.home / "images", client.key.public_key, patience=PATIENCE)


def test_a_bundle_and_its_image_come_home(client: Client, workshop: Workshop) -> None:
    bundle = client.open().load("worker")
    image = bundle.manifest.images[0]
    seen: list[tuple[int, int]] = []
    folder = client.home / "images"
    key = client.key.public_key
    found = fetch_image(image, folder, key, progress=lambda *step: seen.append(step), patience=PATIENCE)
    assert found.path.read_bytes() == (workshop.images / "worker-el9-1.0.0.qcow2").read_bytes()
    assert found.path == folder / "worker-el9-1.0.0.qcow2"
    assert (found.size, found.virtual_size) == (300_000, 2 * 1024**3)
    assert seen[-1] == (300_000, 300_000)
    assert find_image(image, folder) == found
    assert [path.name for path in folder.iterdir()] == ["worker-el9-1.0.0.qcow2"]


def test_a_bundle_is_fetched_once_and_again_when_the_cache_was_changed(client: Client) -> None:
    client.open().load("worker")
    assert len(client.web.asked) == 6
    client.open().load("worker")
    assert len(client.web.asked) == 8
    (cached,) = (client.home / "cache/bundles").iterdir()
    (cached / "template.txt").write_text('NAME = "evil"\n')
    assert client.open().load("worker").template[0].value == "worker"


def test_bundles_of_a_url_are_those_of_all_versions(client: Client, workshop: Workshop) -> None:
    workshop.build(workshop.bundle("1.10.0", content="two"))
    trust = Trust(client.key.public_key, cache=client.home / "cache")
    bundles = load_bundles(Assets(), client.home, client.web.url, trust)
    assert [bundle.manifest.version for bundle in bundles] == ["1.0.0", "1.10.0"]
    assert client.open().versions("worker") == ("1.10.0", "1.0.0")
    assert client.open().load("worker", "1.0.0").manifest.version == "1.0.0"
    with pytest.raises(UsageError, match=r"has no version 3 of worker") as caught:
        client.open().load("worker", "3")
    assert caught.value.hint == "it has: 1.10.0, 1.0.0"
    with pytest.raises(UsageError, match="has no bundle none"):
        client.open().load("none")


def test_without_a_key_a_repository_is_refused_unless_that_is_chosen(client: Client) -> None:
    with pytest.raises(UsageError, match=r"whose signature .* is not known"):
        load_bundles(Assets(), client.home, client.web.url)
    (bundle,) = load_bundles(Assets(), client.home, client.web.url, Trust(unsigned=True, cache=client.home / "cache"))
    assert bundle.manifest.name == "worker"
    assert not (client.home / "cache/seen").exists()


def test_another_key_is_refused(client: Client) -> None:
    client.key = minisign.KeyPair.generate()
    with pytest.raises(SignatureError, match="its signature is by another key"):
        client.open()
    assert client.leftovers() == []


def test_an_older_index_is_refused(client: Client, workshop: Workshop) -> None:
    old = {name: (workshop.out / name).read_bytes() for name in ("index.json", "index.json.minisig")}
    workshop.build(workshop.bundle("2.0"), timestamp=EPOCH + 60)
    client.open()
    for name, data in old.items():
        (workshop.out / name).write_bytes(data)
    with pytest.raises(OldIndexError, match=r"index of 2024-06-10 06:13:20 UTC, older than that of .* 06:14:20 UTC"):
        client.open()


def test_what_was_seen_is_not_forgotten_when_its_file_is_damaged(client: Client) -> None:
    client.open()
    (seen,) = (client.home / "cache/seen").iterdir()
    for text in ("", "{}", '{"created": "x"}', "[]"):
        seen.write_text(text)
        with pytest.raises(OutputError, match="is damaged"):
            client.open()


INDEX_FAULTS = {
    "gone": (Fault(status=404), DownloadError, "answers 404"),
    "forbidden": (Fault(status=403), DownloadError, "answers 403"),
    "broken server": (Fault(status=503), DownloadError, "answers 503"),
    "cut": (Fault(cut_after=20), DownloadError, "the connection broke"),
    "other bytes": (Fault(data=b"{}"), SignatureError, "its signature is wrong"),
    "silent": (Fault(wait_s=1), DownloadError, "does not answer in time"),
    "dripping": (Fault(drip_s=0.05), DownloadError, "takes longer than 1 s"),
    "huge": (Fault(length=1 << 40), DownloadError, "is larger than 16777216 bytes"),
    "endless": (Fault(endless=True), DownloadError, "(is larger than 16777216 bytes|takes longer)"),
    "elsewhere": (Fault(location="http://198.51.100.1/index.json"), DownloadError, "to another server, http://198"),
    "other port": (Fault(location="http://127.0.0.1:1/index.json"), DownloadError, "to another server"),
    "a file": (Fault(location="file:///etc/passwd"), DownloadError, "to another server, file://"),
    "in circles": (Fault(location="/index.json"), DownloadError, "redirected more than 5 times"),
    "compressed": (Fault(encoding="gzip"), DownloadError, "comes compressed"),
}


@pytest.mark.parametrize(("fault", "error", "words"), INDEX_FAULTS.values(), ids=INDEX_FAULTS)
def test_an_index_that_does_not_come(client: Client, fault: Fault, error: type[Exception], words: str) -> None:
    client.web.faults["index.json"] = fault
    with pytest.raises(error, match=words):
        client.open()
    assert client.leftovers() == []


@pytest.mark.parametrize("data", [b"", b"not a signature", b"\xff" * 100, b"untrusted comment: x\nAAAA\n" * 2], ids=len)
def test_a_signature_that_is_none(client: Client, data: bytes) -> None:
    client.web.faults["index.json.minisig"] = Fault(data=data)
    with pytest.raises(SignatureError, match="its signature is not one of minisign"):
        client.open()


@pytest.mark.parametrize(
    "fault", [Fault(1, status=503), Fault(2, cut_after=3), Fault(1, wait_s=1), Fault(1, data=b"{}")]
)
def test_what_passes_is_asked_for_again(client: Client, fault: Fault) -> None:
    client.web.faults["index.json"] = replace(fault)
    assert client.open().versions("worker") == ("1.0.0",)


def test_a_redirect_on_the_same_server_is_followed(client: Client, workshop: Workshop) -> None:
    (workshop.out / "moved.json").write_bytes((workshop.out / "index.json").read_bytes())
    client.web.faults["index.json"] = Fault(location="moved.json")
    assert client.open().versions("worker") == ("1.0.0",)


def test_a_server_that_is_gone(client: Client) -> None:
    with serve(client.home) as other:
        url = other.url
    with pytest.raises(DownloadError, match="nothing answers there"):
        client.open(url)
    with pytest.raises(UsageError, match="not the address of a repository"):
        client.open("ftp://127.0.0.1/")
    with pytest.raises(DownloadError, match=r"there is no such server|cannot be looked up"):
        client.open("http://none.invalid")


def file_path(value: str) -> Any:  # noqa: ANN401 - a function of the index's data
    def change(index: Any) -> None:  # noqa: ANN401 - as above
        index["bundles"][0]["files"][0]["path"] = value

    return change


SIGNED_LIES = {
    "up": (file_path("../../etc/passwd"), "path"),
    "inside up": (file_path("bundles/../../x/bundle.yaml"), "path"),
    "absolute": (file_path("/etc/passwd"), "path"),
    "another server": (file_path("http://127.0.0.1:1/bundle.yaml"), "path"),
    "hidden": (file_path(".bashrc"), "path"),
    "other file": (file_path("bundles/worker/1.0.0/evil.sh"), "a bundle has the files"),
    "name up": (lambda index: index["bundles"][0].update(name="../x"), "name"),
    "version up": (lambda index: index["bundles"][0].update(version="../1"), "version"),
    "negative size": (lambda index: index["bundles"][0]["images"][0].update(size=-1), "size"),
    "no sum": (lambda index: index["bundles"][0]["images"][0].update(sha256="0"), "sha256"),
    "far future": (lambda index: index.update(created=2**70), "created"),
    "newer format": (lambda index: index.update(format=2), "format"),
    "other thing": (lambda index: index.update(repository="else"), "repository"),
    "no JSON": (b"<html>", "Invalid JSON"),
    "deep": (b"[" * 100_000, "Invalid JSON"),
}


@pytest.mark.parametrize(("change", "words"), SIGNED_LIES.values(), ids=SIGNED_LIES)
def test_a_signed_index_that_is_wrong_is_refused(client: Client, workshop: Workshop, change: Any, words: str) -> None:  # noqa: ANN401 - as publish takes it
    publish(workshop, change)
    with pytest.raises(RepositoryIndexError, match=words):
        client.open()
    assert client.leftovers() == []


def test_keys_of_later_versions_are_passed_over(client: Client, workshop: Workshop) -> None:
    publish(workshop, lambda index: index.update(news="x"))
    assert client.open().versions("worker") == ("1.0.0",)


FILE = "bundles/worker/1.0.0/template.txt"
FILE_FAULTS = {
    "gone": (Fault(status=404), DownloadError, "answers 404"),
    "changed": (Fault(data=b"x" * 700), RepositoryIndexError, "is not the file that the index describes"),
    "longer": (Fault(data=b"x" * 7000), DownloadError, "is larger than"),
    "cut": (Fault(cut_after=3), DownloadError, "the connection broke"),
}


@pytest.mark.parametrize(("fault", "error", "words"), FILE_FAULTS.values(), ids=FILE_FAULTS)
def test_a_file_in_the_middle_fails(client: Client, fault: Fault, error: type[Exception], words: str) -> None:
    client.web.faults[FILE] = fault
    repository = client.open()
    with pytest.raises(error, match=words):
        repository.load("worker")
    assert client.leftovers() == []
    client.web.faults.clear()
    assert repository.load("worker").manifest.name == "worker"


def test_a_bundle_that_is_wrong_is_refused_with_its_problems(client: Client, workshop: Workshop) -> None:
    text = b'NAME = "x"\n'
    (workshop.out / FILE).write_bytes(text)

    def change(index: Any) -> None:  # noqa: ANN401 - data of the index
        file = next(file for file in index["bundles"][0]["files"] if file["path"] == FILE)
        file.update(size=len(text), sha256=hashlib.sha256(text).hexdigest())

    publish(workshop, change)
    with pytest.raises(SiteFileError) as caught:
        client.open().load("worker")
    assert any("DISK does not have @IMAGE_ID@" in problem.message for problem in caught.value.problems)


def test_sizes_that_the_index_lies_about(client: Client, workshop: Workshop) -> None:
    publish(workshop, lambda index: index["bundles"][0]["files"][0].update(size=2**50))
    with pytest.raises(RepositoryIndexError, match="are too many for a bundle's file"):
        client.open().load("worker")
    publish(workshop, lambda index: index["bundles"][0]["files"][0].update(size=3), EPOCH + 2)
    with pytest.raises(DownloadError, match="is larger than 3 bytes"):
        client.open().load("worker")
    assert client.leftovers() == []


def test_names_of_a_bundle_that_the_index_lies_about(client: Client, workshop: Workshop) -> None:
    publish(workshop, lambda index: index["bundles"][0].update(version="7.0"))
    with pytest.raises(RepositoryIndexError, match=r"calls worker 7\.0 is worker 1\.0\.0"):
        client.open().load("worker")


IMAGE_FAULTS = {
    "gone": (Fault(status=404), DownloadError, "answers 404", 0),
    "changed": (Fault(data=b"QFI\xfb" + b"x" * 299_996), ImageFileError, "virtual size is", 0),
    "no image": (Fault(data=b"x" * 300_000), ImageFileError, "is not a qcow2 image", 0),
    "longer": (Fault(data=b"x" * 300_001), DownloadError, "has 300001 bytes, and 300000 were promised", 0),
    "shorter": (Fault(data=b"x" * 299_999), DownloadError, "has 299999 bytes, and 300000 were promised", 0),
    "elsewhere": (Fault(location="http://198.51.100.1/x"), DownloadError, "to another server", 0),
    "endless": (Fault(endless=True), DownloadError, "has more bytes, and 300000 were promised", None),
    "cut": (Fault(cut_after=100_000, no_ranges=True), DownloadError, "the connection broke", 1),
    "stalled": (Fault(drip_s=0.001), DownloadError, "comes too slowly", 1),
    "silent": (Fault(wait_s=1), DownloadError, "does not answer in time", 0),
}


@pytest.mark.parametrize(("fault", "error", "words", "parts"), IMAGE_FAULTS.values(), ids=IMAGE_FAULTS)
def test_an_image_that_does_not_come(
    client: Client, fault: Fault, error: type[Exception], words: str, parts: int | None
) -> None:
    image = image_of(client)
    path = str(image.url).removeprefix(f"{client.web.url}/")
    client.web.faults[path] = fault
    with pytest.raises(error, match=words):
        fetch(client, image)
    names = [item.name for item in (client.home / "images").iterdir()]
    assert image.file_name not in names
    assert parts is None or len(names) == parts
    client.web.faults.clear()
    assert fetch(client, image).size == 300_000
    assert [item.name for item in (client.home / "images").iterdir()] == [image.file_name]


def test_a_download_goes_on_where_it_stopped(client: Client) -> None:
    image = image_of(client)
    path = str(image.url).removeprefix(f"{client.web.url}/")
    client.web.faults[path] = Fault(2, cut_after=100_000)
    fetch(client, image)
    assert [wanted for asked, wanted in client.web.asked if asked == path] == ["", "bytes=100000-", "bytes=200000-"]


def test_a_download_goes_on_in_a_later_run(client: Client) -> None:
    image = image_of(client)
    path = str(image.url).removeprefix(f"{client.web.url}/")
    client.web.faults[path] = Fault(3, cut_after=50_000)
    with pytest.raises(DownloadError):
        fetch(client, image)
    fetch(client, image)
    assert client.web.asked[-1] == (path, "bytes=150000-")


def test_a_part_that_another_file_left_is_thrown_away(client: Client) -> None:
    image = image_of(client)
    path = str(image.url).removeprefix(f"{client.web.url}/")
    client.web.faults[path] = Fault(3, data=b"y" * 300_000, cut_after=90_000)
    with pytest.raises(DownloadError):
        fetch(client, image)
    with pytest.raises(ImageFileError):
        fetch(client, image)
    assert fetch(client, image).size == 300_000


@pytest.mark.parametrize(
    "fault", [Fault(2, cut_after=90_000, wrong_range=True), Fault(2, cut_after=90_000, no_ranges=True)]
)
def test_a_server_that_goes_on_elsewhere_is_asked_for_all_of_it(client: Client, fault: Fault) -> None:
    image = image_of(client)
    path = str(image.url).removeprefix(f"{client.web.url}/")
    client.web.faults[path] = replace(fault)
    assert fetch(client, image).size == 300_000


def test_a_range_that_the_server_does_not_have_begins_anew(client: Client) -> None:
    image = image_of(client)
    path = str(image.url).removeprefix(f"{client.web.url}/")
    client.web.faults[path] = Fault(3, cut_after=90_000)
    with pytest.raises(DownloadError):
        fetch(client, image)
    client.web.failed.clear()
    client.web.faults[path] = Fault(1, status=416)
    fetch(client, image)
    assert [wanted for asked, wanted in client.web.asked if asked == path][-2:] == ["bytes=270000-", ""]


def test_an_image_with_a_wrong_signature_is_never_put_in_place(client: Client, workshop: Workshop) -> None:
    image = image_of(client)
    other = sign_bytes(workshop.key.secret_key, b"something else", "x", EPOCH)
    (workshop.out / "images" / str(image.signature)).write_bytes(other)
    with pytest.raises(SignatureError, match="its signature is wrong"):
        fetch(client, image)
    assert list((client.home / "images").iterdir()) == []


def test_an_image_without_a_signature_or_an_address_is_refused(client: Client) -> None:
    image = image_of(client)
    with pytest.raises(UsageError, match="is not signed"):
        fetch(client, image.model_copy(update={"signature": None}))
    with pytest.raises(UsageError, match="is not at hand, and cannot be downloaded"):
        fetch(client, image.model_copy(update={"url": None}))
    unsigned = fetch_image(image.model_copy(update={"signature": None}), client.home / "images", None)
    assert unsigned.size == 300_000


def test_an_image_at_hand_that_is_another_one_is_refused(client: Client) -> None:
    image = image_of(client)
    path = write_image(client.home / "images" / image.file_name, "other")
    with pytest.raises(ImageFileError, match="its MD5 is"):
        find_image(image, path.parent)
    assert path.exists()


def test_a_cache_that_cannot_be_written(client: Client) -> None:
    client.home.mkdir()
    (client.home / "cache").touch()
    with pytest.raises(OutputError, match=r"Not a directory|File exists"):
        client.open()


def test_nothing_is_asked_of_a_repository_without_a_key(client: Client) -> None:
    with pytest.raises(UsageError):
        open_repository(client.web.url, None, client.home / "cache")
    assert client.web.asked == []
