"""OneGate on loopback: what a VM asks and tells, answered as the recorded ones answered."""

from __future__ import annotations

import json
import threading
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

from tests.rigs.opennebula.cloud import child, put, sort_attributes
from tests.rigs.opennebula.grammar import MalformedError, parse_template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tests.rigs.opennebula.cloud import Cloud

RESTRICTED = ("SCHED_REQUIREMENTS", "SERVICE_ID", "ROLE_NAME")
"""Attributes that a VM may not change (onegate-server.conf, restricted_attrs); the first one is recorded."""


@dataclass(slots=True)
class Machine:
    """A VM that OneGate knows."""

    token: str
    name: str = "vm"
    attributes: MutableMapping[str, str] = field(default_factory=dict)
    """What it told: its USER_TEMPLATE."""
    cards: list[dict[str, str]] = field(default_factory=list)
    """Its network cards: IP, MAC, NAME, NETWORK."""


class UserTemplate(MutableMapping[str, str]):
    """The USER_TEMPLATE of a VM of the pretended front-end, as far as it is text."""

    def __init__(self, cloud: Cloud, vm_id: int) -> None:
        self._cloud = cloud
        self._vm_id = vm_id

    def _tree(self) -> ET.Element:
        return child(self._cloud.find("vm", self._vm_id), "USER_TEMPLATE")

    def __getitem__(self, name: str) -> str:
        with self._cloud.lock:
            text = self._tree().findtext(name)
        if text is None:
            raise KeyError(name)
        return text

    def __setitem__(self, name: str, value: str) -> None:
        with self._cloud.lock:
            put(self._tree(), name, value)
            sort_attributes(self._tree())

    def __delitem__(self, name: str) -> None:
        with self._cloud.lock:
            self._tree().remove(child(self._tree(), name))

    def __iter__(self) -> Iterator[str]:
        with self._cloud.lock:
            return iter([part.tag for part in self._tree()])

    def __len__(self) -> int:
        return len(list(iter(self)))


@dataclass(frozen=True, slots=True)
class Told:
    """One request that came."""

    method: str
    path: str
    vm: str
    """X-ONEGATE-VMID, empty without it."""
    body: str
    status: int


class OneGateServer:
    """A pretended OneGate of 6.10 or 7.4, a context manager.

    >>> with OneGateServer("7.4") as gate:
    ...     gate.add_vm(0, "token")  # the VM's ONEGATE_ENDPOINT is gate.endpoint
    ...     assert gate.machines[0].attributes["READY"] == "YES"

    ``requests`` is what came. The next answers are ``failures`` as long as there are some: HTTP states, 0 drops the
    connection.
    """

    def __init__(self, version: str = "7.4") -> None:
        self.version = version
        self.machines: dict[int, Machine] = {}
        self.requests: list[Told] = []
        self.failures: list[int] = []
        self.lock = threading.Lock()
        gate = self

        class Handler(_Handler):
            one_gate = gate

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def add_vm(self, vm_id: int, token: str, *, name: str = "vm", cloud: Cloud | None = None) -> Machine:
        """Make a VM known, that of ``cloud`` if it is given; return what OneGate will know of it."""
        self.machines[vm_id] = Machine(token, name)
        if cloud is not None:
            self.machines[vm_id].attributes = UserTemplate(cloud, vm_id)
        return self.machines[vm_id]

    def answer(self, method: str, target: str, vm_id: str, token: str, body: str) -> tuple[int, str]:
        """Return the HTTP status and the body of the answer."""
        machine = self.machines.get(int(vm_id)) if vm_id.isdigit() else None
        if machine is None or machine.token != token:
            return 401, "Not authorized"
        url = urlsplit(target)
        if method == "PUT" and url.path == "/vm":
            return self._put(machine, parse_qs(url.query), body)
        if method == "GET" and url.path in {"/vm", f"/vms/{vm_id}"}:
            return 200, json.dumps(_shown(int(vm_id), machine), separators=(",", ":"))
        if method == "GET" and url.path == "/":
            links = {"vm_info": f"{self.endpoint}/vm", "service_info": f"{self.endpoint}/service"}
            return 200, json.dumps(links, separators=(",", ":"))
        if method == "GET":
            return 400, _refusal(url.path)
        return 400, _refusal("")

    def _put(self, machine: Machine, query: dict[str, list[str]], body: str) -> tuple[int, str]:
        """Update what a VM told, or with ``type=2`` delete attributes."""
        if query.get("type") == ["2"]:
            for name in query.get("data", []) or [body]:
                machine.attributes.pop(name.strip(), None)
            return 200, ""
        try:
            attributes = parse_template(body, self.version)
        except MalformedError as error:
            return 500, f"[one.vm.update] {error}" if self.version == "6.10" else "Internal server error"
        for attribute in attributes:
            if attribute.tag in RESTRICTED:
                return 403, f"Attribute ({attribute.tag}) cannot be modified"
        machine.attributes.update({attribute.tag: _text(attribute) for attribute in attributes})
        return 200, ""


def _text(attribute: ET.Element) -> str:
    """Return the value of an attribute; a vector's as XML."""
    return ET.tostring(attribute, encoding="unicode") if len(attribute) else attribute.text or ""


def _shown(vm_id: int, machine: Machine) -> dict[str, Any]:
    """Return what OneGate shows of a running VM, in the order of the recordings."""
    template = {"NIC": machine.cards, "NIC_ALIAS": []}
    states = {"NAME": machine.name, "ID": str(vm_id), "STATE": "3", "LCM_STATE": "3"}
    attributes = dict(sorted(machine.attributes.items()))
    return {"VM": {**states, "USER_TEMPLATE": attributes, "TEMPLATE": template}}


def _refusal(path: str) -> str:
    """Return what a VM is told that asks for more than itself."""
    if path == "/service":
        return "Empty or invalid SERVICE_ID"
    if path == "/vrouter":
        return "Empty or invalid VROUTER_ID"
    if path.startswith("/vnet/"):
        return "Virtual networks information can only be retrieved from Virtual Routers."
    return "OneGate server doesn't support this feature"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    one_gate: OneGateServer

    def do_GET(self) -> None:
        self._serve("")

    def do_PUT(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace"))

    def _serve(self, body: str) -> None:
        gate = self.one_gate
        vm_id, token = self.headers.get("X-ONEGATE-VMID", ""), self.headers.get("X-ONEGATE-TOKEN", "")
        with gate.lock:
            failed = gate.failures.pop(0) if gate.failures else None
            status, text = (
                (failed, "") if failed is not None else gate.answer(self.command, self.path, vm_id, token, body)
            )
            gate.requests.append(Told(self.command, self.path, vm_id, body, status))
        if status == 0:
            self.close_connection = True
            return
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json;charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server has it
        """Write nothing; the requests are kept."""
