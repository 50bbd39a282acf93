"""The user-data with which a stock cloud image changes itself into a golden image, in cloud-init's words."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import yaml

from b2ct.plan.artifact import Artifact
from b2ct.plan.guest_debian import WARM_TIMEOUT_S
from b2ct.render.environment import make_environment, template_errors
from b2ct.render.guest_debian import WARM_SCRIPT
from b2ct.render.quoting import sh_words, word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from b2ct.assets import Assets
    from b2ct.plan.customization import Customization
    from b2ct.plan.image import Repository

CLEAN_SCRIPT = "templates/images/clean.sh"
"""What takes out of a guest what its machines must not share."""

CUSTOMIZE_TEMPLATE = "templates/images/customize.sh.j2"

CLOUD_CONFIG = """\
# The context comes from OpenNebula's CD; NoCloud is for machines without OpenNebula. Nothing is asked on the network.
datasource_list: [OpenNebula, NoCloud, None]
# OpenNebula's SSH_PUBLIC_KEY is root's key, as with its own context packages; passwords open nothing.
users: []
disable_root: false
ssh_pwauth: false
preserve_hostname: false
"""
"""cloud-init's configuration in a golden image, beside the distribution's own."""

_FOLDER = "run/b2ct-image"
_SCRIPT = f"/{_FOLDER}/customize.sh"


def render_user_data(customization: Customization, assets: Assets) -> str:
    """Return the user-data: files, and one command that works when cloud-init is done, whatever comes of it.

    Raises:
        QuotingError: a value cannot be written in the language it goes into.
        TemplateError: the template (a site's own copy perhaps) is wrong.
    """
    script = Artifact(_SCRIPT[1:], render_customize_script(customization, assets).encode(), 0o700)
    files = (*customization.files, *render_helpers(assets), script)
    command = ["systemd-run", "--no-block", "--unit=b2ct-image", "--property=After=cloud-final.service"]
    document = {
        "users": [],
        "ssh_pwauth": False,
        "write_files": [_write_file(file) for file in files],
        "runcmd": [[*command, "/bin/sh", _SCRIPT]],
    }
    return "#cloud-config\n" + yaml.safe_dump(document, sort_keys=False, width=10**6)


def render_helpers(assets: Assets) -> tuple[Artifact, ...]:
    """Return the files that ``templates/images/steps.sh.j2`` needs in the guest while it works."""
    return (
        Artifact(f"{_FOLDER}/clean.sh", assets.read_text(CLEAN_SCRIPT).encode(), 0o700),
        Artifact(f"{_FOLDER}/warm.sh", WARM_SCRIPT.encode(), 0o700),
        Artifact(f"{_FOLDER}/cloud.cfg", CLOUD_CONFIG.encode()),
    )


def _write_file(file: Artifact) -> dict[str, str]:
    """Return a file as cloud-init writes it; base64 keeps every byte."""
    return {
        "path": f"/{file.path}",
        "owner": "root:root",
        "permissions": f"{file.mode:04o}",
        "encoding": "b64",
        "content": base64.b64encode(file.data).decode(),
    }


def render_meta_data(instance: str) -> str:
    """Return NoCloud's meta-data for the machine ``instance``."""
    return yaml.safe_dump({"instance-id": instance, "local-hostname": "b2ct-image"})


def render_customize_script(customization: Customization, assets: Assets) -> str:
    """Return the shell script that runs in the guest; raises the errors of render_user_data."""
    environment = make_environment(assets)
    environment.filters["sh_words"] = sh_words
    with template_errors(CUSTOMIZE_TEMPLATE):
        template = environment.get_template(CUSTOMIZE_TEMPLATE)
        packages = (*customization.packages, *customization.repository_packages)
        return template.render(customization=customization, packages=packages, warm_timeout_s=WARM_TIMEOUT_S)


def render_yum_repositories(repositories: Iterable[Repository]) -> tuple[Artifact, ...]:
    """Return dnf's file of each repository (dnf.conf(5)); packages have to be signed with the repository's key.

    Raises:
        QuotingError: a value could be read as something else.
    """
    return tuple(
        Artifact(f"etc/yum.repos.d/{repository.name}.repo", _yum_repository(repository).encode())
        for repository in repositories
    )


def _yum_repository(repository: Repository) -> str:
    lines: Sequence[str] = (
        f"[{word(repository.name)}]",
        f"name={word(repository.name)}",
        f"baseurl={word(repository.url)}",
        "enabled=1",
        "gpgcheck=1",
        f"gpgkey={word(repository.key)}",
    )
    return "\n".join(lines) + "\n"
