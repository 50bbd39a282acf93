"""The site file that ``b2ct init`` writes: complete, commented, and valid as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from jinja2 import Environment, StrictUndefined

TEMPLATE = """\
# {{ site }}: the description of this site. `b2ct check` tells what is wrong with it, `b2ct schema` helps editors.
# What a host leaves out is asked on its console at install time.
site: {{ site }}                      # names the cloud and the install media
domain: {{ domain }}

media:                               # the stock install ISO
  distro: {{ distro }}               # centos, centos-stream, almalinux, rocky, rhel
  version: "{{ version }}"
{% if iso %}
  iso: {{ iso }}
{% else %}
  # iso: AlmaLinux-9.6-x86_64-boot.iso   # path from here; or give it with --stock
{% endif %}
  # checksum: sha256:...             # verified before the ISO is used

opennebula:
  version: "{{ opennebula }}"

networks:
  service:                           # hosts and storage; carries the management address
    cidr: {{ cidr }}
{% if gateway %}
    gateway: {{ gateway }}
{% else %}
    # gateway: {{ example_gateway }}
{% endif %}
    dns: [{{ dns | join(", ") }}]
  # private:                         # the virtual machines
  #   cidr: 192.168.100.0/24
  #   gateway: 192.168.100.1         # their way to the squid and to the work
  #   dns: [{{ dns | join(", ") or example_gateway }}]
  #   vlan: 100
  #   ranges: [{first: 192.168.100.10, size: 200}]

hosts:
  - name: {{ frontend }}
    role: frontend                   # frontend: OpenNebula's control node; node: a hypervisor
    services: [squid]                # squid: the CVMFS proxy; rocci: the OCCI endpoint
    # nics: [{mac: "52:54:00:12:34:56"}]
    # links: [{network: service, address: {{ example_host }}}]
    # disks: [{serial: S3Z8NB0K}]    # or wwn, path, size, smallest: true; everything on it is erased
  - name: {{ node }}
    role: node

users:
{% if ssh_key %}
  - name: {{ user }}
    ssh_keys:
      - {{ ssh_key }}
{% else %}
  - name: {{ user }}
    password: env:B2CT_ADMIN_PASSWORD   # where the password is kept: file:PATH, env:NAME or vault:PATH#KEY
    # ssh_keys: [ssh-ed25519 AAAA... {{ user }}]
{% endif %}

time:
  zone: {{ zone }}
  # ntp: [ntp1.example.org]

# vo:                                # the communities that the site serves; each is a group in OpenNebula
#   - name: belle
#     cvmfs: [belle.cern.ch, belle.kek.jp]
#     limits: {vms: 40, cores: 160}    # its quota
#     pilot: {kind: dirac, script: /cvmfs/dirac.egi.eu/pilot/dirac-pilot.py}   # what its workers run
#     stop: {no_jobs_s: 900}           # when they go, in seconds; left out: after sensible times
# vms:                              # `b2ct import-templates` brings them into OpenNebula; they use the network private
#   - {bundle: belle2-worker, guest: el9, vo: belle, cores: [1, 8]}
# central:                          # the scheduler; `b2ct register` makes it know the site
#   kind: dirac                      # dirac, diracx, htcondor
#   setup: Dirac-Production
#   configuration_servers: ["dips://dirac.example.org:9135/Configuration/Server"]
#   site_name: CLOUD.Torino.it
"""


DEFAULT_CIDR = "10.10.0.0/24"


@dataclass(frozen=True, slots=True)
class Answers:
    """What a new site file is made from. Texts are written as they are: the result has to be checked."""

    site: str
    domain: str
    distro: str = "almalinux"
    version: str = "9"
    iso: str = ""
    opennebula: str = "7.2"
    cidr: str = DEFAULT_CIDR
    gateway: str = ""
    dns: tuple[str, ...] = ()
    frontend: str = "cn01"
    node: str = "hv01"
    user: str = "admin"
    ssh_key: str = ""
    zone: str = "UTC"


def render_starter(answers: Answers) -> str:
    """Return the text of a new site file."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)  # noqa: S701 - YAML
    values = {name: getattr(answers, name) for name in answers.__slots__}
    try:
        network = IPv4Network(answers.cidr)
    except ValueError:  # the check of the result says so
        network = IPv4Network(DEFAULT_CIDR)
    first = network.network_address + 1
    return environment.from_string(TEMPLATE).render(**values, example_gateway=first, example_host=first + 10)
