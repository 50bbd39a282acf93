"""What a site sends to the admins of an HTCondor pool: the pool's configuration, and a checklist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.plan.agent import trust_domain
from b2ct.plan.artifact import Artifact
from b2ct.render.htcondor_pool import (
    pool_identity,
    render_job_requirements,
    render_pool_config,
    render_token_command,
)

if TYPE_CHECKING:
    from b2ct.site.central import HtcondorScheduler
    from b2ct.site.model import Site


def render_pool_registration(site: Site, pool: HtcondorScheduler, lifetime_s: int) -> tuple[Artifact, ...]:
    """Return ``SITE.config`` for the central manager, and ``SITE-checklist.md``; tokens are to hold for ``lifetime_s``.

    Raises:
        QuotingError: a name cannot be part of an identity.
    """
    vos, domain = [community.name for community in site.vo], trust_domain(pool)
    lines = [f"# {site.site}: what it takes to use this site in the pool of {pool.central_manager}\n"]
    lines.append(f"- [ ] `{site.site}.config` is `/etc/condor/config.d/60-b2ct-{site.site}.config` there; then")
    lines.append("  `condor_reconfig`. It lets the site's machines offer themselves, each for its community.")
    lines.append(f"- [ ] Port {pool.port} can be reached from the virtual machines; they listen to nobody.")
    for vo in vos:
        command = render_token_command(pool_identity(vo, site.site, domain), lifetime_s)
        lines.append(f"- [ ] {vo}: hand over a token in a safe way, or approve the site's request")
        lines.append(f"  (`b2ct register SITE --push`):\n\n  ```sh\n  {command}\n  ```\n")
        lines.append(f"  Jobs that are to run there say:\n\n  ```\n  {render_job_requirements(vo).rstrip()}\n  ```\n")
    lines.append("A token can do no more than offer machines of its community. It ends by itself; to end it before,")
    lines.append("`condor_token_list` and the pool's `SEC_TOKEN_REVOCATION_EXPR`.")
    checklist = "\n".join(lines) + "\n"
    return (
        Artifact(f"{site.site}.config", render_pool_config(site.site, vos, domain).encode()),
        Artifact(f"{site.site}-checklist.md", checklist.encode()),
    )
