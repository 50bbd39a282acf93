"""What the pretended front-end does beyond single answers: copies, rights, quotas, clusters, faults."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from b2ct.apply.opennebula.client import OneClient
from b2ct.apply.opennebula.errors import OneAuthenticationError, OneError, OneUnreachableError, Trouble
from tests.rigs.opennebula.calls import CALLS
from tests.rigs.opennebula.server import Fault, OpenNebulaServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY, USED, LOCKED, ERROR = 1, 2, 4, 5
OFF = False


@pytest.fixture(params=["6.10", "7.4"])
def one(request: pytest.FixtureRequest) -> Iterator[OpenNebulaServer]:
    with OpenNebulaServer(request.param) as server:
        yield server


@pytest.fixture
def admin(one: OpenNebulaServer) -> OneClient:
    return OneClient(one.endpoint, one.session)


@contextmanager
def web(content: bytes, *, promised: int | None = None, get: int = 200) -> Iterator[str]:
    """Serve one file; with ``promised`` it is cut off, and ``get`` is the status that GET has."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if promised is None else promised))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD(get)
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server has it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/image.qcow2"
        server.shutdown()


def make_image(client: OneClient, name: str, path: str = "", *, size_mib: int = 8) -> int:
    text = f'NAME="{name}"\nTYPE="OS"\n' + (f'PATH="{path}"' if path else f'SIZE="{size_mib}"')
    return int(client.call("image.allocate", text, 1, OFF))


def wait(client: OneClient, image_id: int) -> Any:  # noqa: ANN401 - pyone's
    deadline = time.monotonic() + 10
    while (image := client.call("image.info", image_id)).STATE == LOCKED:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return image


def trouble(client: OneClient, method: str, *params: Any) -> Trouble:  # noqa: ANN401 - XML-RPC
    with pytest.raises(OneError) as caught:
        client.call(method, *params)
    return caught.value.trouble


def test_http_images_are_fetched_whole(one: OpenNebulaServer, admin: OneClient) -> None:
    content = b"QFI\xfb" + bytes(20) + (10 << 30).to_bytes(8, "big") + bytes(3 << 20)
    with web(content) as url:
        image = wait(admin, make_image(admin, "up", url))
    assert (READY, "qcow2", 10 << 10, url) == (image.STATE, image.FORMAT, image.SIZE, image.PATH)
    assert one.cloud.contents[image.ID] == content


@pytest.mark.parametrize("fault", [{"promised": 5000}, {"get": 404}])
def test_http_images_that_break_off_end_in_error(admin: OneClient, fault: dict[str, int]) -> None:
    with web(bytes(100), **fault) as url:
        image = wait(admin, make_image(admin, "broken", url))
    assert image.STATE == ERROR
    assert f"Error downloading {url}" in image.TEMPLATE["ERROR"]


def test_files_are_taken_from_safe_folders_only(tmp_path: Path, admin: OneClient) -> None:
    path = tmp_path / "image.raw"
    path.write_bytes(bytes(3 << 20))
    image = wait(admin, make_image(admin, "safe", str(path)))
    assert (image.STATE, image.FORMAT, image.SIZE) == (READY, "raw", 3)
    admin.call("datastore.update", 1, 'SAFE_DIRS="/srv"', 1)
    image = wait(admin, make_image(admin, "unsafe", str(path)))
    assert image.STATE == ERROR
    assert "check RESTRICTED_DIRS" in image.TEMPLATE["ERROR"]


def test_the_next_image_can_be_made_to_fail(one: OpenNebulaServer, admin: OneClient) -> None:
    one.cloud.next_image_error = "No space left on device"
    first = wait(admin, make_image(admin, "first"))
    assert (first.STATE, wait(admin, make_image(admin, "second")).STATE) == (ERROR, READY)
    assert first.TEMPLATE["ERROR"].endswith("Error copying image in the datastore: No space left on device")


def test_images_take_their_time_and_can_go_meanwhile(one: OpenNebulaServer, admin: OneClient) -> None:
    one.cloud.image_delay_s = 0.5
    image_id = make_image(admin, "slow")
    assert admin.call("image.info", image_id).STATE == LOCKED
    assert trouble(admin, "image.delete", image_id) is Trouble.LOCKED
    admin.call("image.delete", image_id, True)  # noqa: FBT003 - as the API has it
    time.sleep(0.6)
    assert trouble(admin, "image.info", image_id) is Trouble.NO_SUCH_OBJECT


def test_a_full_datastore_refuses(one: OpenNebulaServer, admin: OneClient) -> None:
    one.fill_datastore(1, free_mib=7)
    assert trouble(admin, "image.allocate", 'NAME="x"\nSIZE="8"\nTYPE="OS"', 1, OFF) is Trouble.NO_SPACE
    assert admin.call("image.allocate", 'NAME="x"\nSIZE="8"\nTYPE="OS"', 1, True) == 0  # noqa: FBT003 - as the API has it


def test_users_see_and_change_only_what_they_may(one: OpenNebulaServer, admin: OneClient) -> None:
    group = one.add_group("belle2")
    alice = OneClient(one.endpoint, one.add_user("alice", groups=(1, group)))
    bob = OneClient(one.endpoint, one.add_user("bob", groups=(group, 1)))
    eve = OneClient(one.endpoint, one.add_user("eve", groups=(group,)))
    image_id = make_image(alice, "mine")
    make_image(admin, "mine")  # names are unique per owner
    assert trouble(alice, "image.allocate", 'NAME="mine"\nSIZE="1"\nTYPE="OS"', 1) is Trouble.NAME_TAKEN
    assert [image.ID for image in alice.call("imagepool.info", -2, -1, -1).IMAGE] == [image_id]
    assert trouble(bob, "image.info", image_id) is Trouble.NOT_AUTHORIZED
    assert trouble(eve, "image.allocate", 'NAME="e"\nSIZE="1"\nTYPE="OS"', 1) is Trouble.NOT_AUTHORIZED
    assert trouble(alice, "image.chown", image_id, 0, -1) is Trouble.NOT_AUTHORIZED
    alice.call("image.chown", image_id, -1, group)
    alice.call("image.chmod", image_id, -1, -1, -1, 1, -1, -1, -1, -1, -1)
    assert bob.call("image.info", image_id).GNAME == "belle2"
    assert trouble(bob, "image.update", image_id, "A=1", 1) is Trouble.NOT_AUTHORIZED
    assert trouble(alice, "cluster.allocate", "c") is Trouble.NOT_AUTHORIZED
    assert trouble(alice, "user.info", 0) is Trouble.NOT_AUTHORIZED
    assert trouble(alice, "image.allocate", 'NAME="s"\nSOURCE="/x"\nSIZE="1"', 1) is Trouble.RESTRICTED
    assert alice.call("user.info", -1).NAME == "alice"
    assert [user.NAME for user in alice.call("userpool.info").USER] == ["alice"]
    assert admin.call("group.info", group).USERS.ID == [2, 3, 4]
    assert [image.UNAME for image in alice.call("imagepool.info", -3, -1, -1).IMAGE] == ["alice"]


def test_quotas_of_groups_count_all_members(one: OpenNebulaServer, admin: OneClient) -> None:
    admin.call("group.quota", 1, 'DATASTORE=[ID="1",IMAGES="1",SIZE="-2"]')
    alice, bob = (OneClient(one.endpoint, one.add_user(name)) for name in ("alice", "bob"))
    make_image(alice, "first")
    assert trouble(bob, "image.allocate", 'NAME="second"\nSIZE="1"\nTYPE="OS"', 1) is Trouble.QUOTA
    quota = admin.call("group.info", 1).DATASTORE_QUOTA.DATASTORE[0]
    assert (quota.ID, quota.IMAGES, quota.IMAGES_USED, quota.SIZE_USED) == ("1", "1", "1", "8")


def test_people_can_be_changed(one: OpenNebulaServer, admin: OneClient) -> None:
    group = int(admin.call("group.allocate", "vo"))
    user = int(admin.call("user.allocate", "carl", "old", "core", [group]))
    admin.call("user.update", user, 'SSH_PUBLIC_KEY="ssh-ed25519 AAAA"', 1)
    admin.call("user.passwd", user, "new")
    admin.call("user.addgroup", user, 1)
    admin.call("user.chgrp", user, 1)
    admin.call("group.update", group, 'VO="belle"', 1)
    info = OneClient(one.endpoint, "carl:new").call("user.info", -1)
    assert (info.GID, info.GROUPS.ID, info.TEMPLATE["SSH_PUBLIC_KEY"]) == (1, [1], "ssh-ed25519 AAAA")
    assert admin.call("group.info", group).TEMPLATE == {"VO": "belle"}
    with pytest.raises(OneAuthenticationError):
        OneClient(one.endpoint, "carl:old").version()


def test_clusters_hold_hosts_datastores_and_networks(admin: OneClient) -> None:
    cluster = int(admin.call("cluster.allocate", "belle"))
    host = int(admin.call("host.allocate", "hv01", "kvm", "kvm", 0))
    datastore = int(admin.call("datastore.allocate", 'NAME="ssd"\nDS_MAD="fs"\nTM_MAD="qcow2"', cluster))
    network = int(admin.call("vn.allocate", 'NAME="lan"\nVN_MAD="bridge"\nAR=[TYPE="ETHER",SIZE="4"]', -1))
    admin.call("cluster.addhost", cluster, host)
    admin.call("cluster.addvnet", cluster, network)
    admin.call("cluster.adddatastore", cluster, 1)
    admin.call("cluster.update", cluster, 'VO="belle"', 1)
    admin.call("host.update", host, 'RACK="4"', 1)
    admin.call("vn.add_ar", network, 'AR=[TYPE="IP4",IP="192.0.2.8",SIZE="3"]')
    admin.call("vn.update_ar", network, 'AR=[AR_ID="1",SIZE="4"]')
    info = admin.call("cluster.info", cluster)
    assert ([host], [1, datastore], [network]) == (info.HOSTS.ID, info.DATASTORES.ID, info.VNETS.ID)
    assert admin.call("host.info", host).CLUSTER == "belle"
    assert admin.call("host.info", host).TEMPLATE["RACK"] == "4"
    assert admin.call("datastore.info", datastore).TM_MAD == "qcow2"
    assert [part.SIZE for part in admin.call("vn.info", network).AR_POOL.AR] == [4, 4]
    assert host not in admin.call("cluster.info", 0).HOSTS.ID
    admin.call("vn.chmod", network, 1, 1, 0, 1, 0, 0, 0, 0, 0)
    admin.call("datastore.chmod", datastore, 1, 1, 0, 1, 0, 0, 0, 0, 0)
    admin.call("vn.chown", network, -1, 1)
    admin.call("vn.delete", network)
    assert admin.call("cluster.info", cluster).VNETS.ID == []


def test_machines_use_images_and_addresses_until_they_end(one: OpenNebulaServer, admin: OneClient) -> None:
    one.cloud.vm_delay_s = 3600
    image = make_image(admin, "golden")
    wait(admin, image)
    admin.call("vn.allocate", 'NAME="lan"\nVN_MAD="bridge"\nAR=[TYPE="IP4",IP="192.0.2.8",SIZE="2"]', 0)
    text = f'NAME="worker"\nCPU=1\nMEMORY=128\nDISK=[IMAGE_ID="{image}"]\nNIC=[NETWORK="lan"]\n'
    template = admin.call("template.allocate", text + 'CONTEXT=[SET_HOST="$NAME"]')
    machines = [admin.call("template.instantiate", template, f"w{count}", OFF, "", OFF) for count in range(2)]
    assert admin.call("vm.info", machines[0]).STATE == 1
    one.cloud.hurry()
    machine = admin.call("vm.info", machines[1])
    assert (machine.STATE, machine.LCM_STATE, machine.TEMPLATE["NIC"]["IP"]) == (3, 3, "192.0.2.9")
    assert machine.TEMPLATE["CONTEXT"]["SET_HOST"] == "w1"
    assert admin.call("image.info", image).STATE == USED
    assert len(admin.call("vmpool.info", -2, -1, -1, -1).VM) == 2
    with pytest.raises(OneError, match="IP/MAC"):
        admin.call("template.instantiate", template, "third", OFF, "", OFF)
    assert len(admin.call("vmpool.info", -2, -1, -1, -1).VM) == 2
    for machine_id in machines:
        admin.call("vm.action", "terminate-hard", machine_id)
    assert admin.call("image.info", image).STATE == READY
    assert admin.call("image.delete", image) == image


def test_a_restart_keeps_everything(one: OpenNebulaServer, admin: OneClient) -> None:
    one.down_s = 0.2
    one.fail_next("template.allocate", Fault.RESTART)
    with pytest.raises(OneUnreachableError) as caught:
        admin.call("template.allocate", "NAME=kept")
    assert caught.value.sent
    assert [template.NAME for template in admin.call("templatepool.info", -2, -1, -1).VMTEMPLATE] == ["kept"]


def test_every_call_is_made_by_a_test(one: OpenNebulaServer, admin: OneClient) -> None:
    """Calls that a test forgets would rot: each one answers, if only with a refusal."""
    examples: dict[type, Any] = {int: 999, bool: True, str: "x", list: [999]}
    faults = []
    for method, call in CALLS.items():
        try:
            admin.call(method, *[examples[kind] for kind in call.types])
        except OneError as error:
            faults += [method] if error.server_code < 0 else []
    assert faults == []
    assert {call.method for call in one.calls} == set(CALLS)
