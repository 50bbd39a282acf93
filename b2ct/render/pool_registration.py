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
from b2ct.render.registration import md_code

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
    lines.append("## The admins of the pool\n")
    lines.append(f"- [ ] `{site.site}.config` is `/etc/condor/config.d/60-b2ct-{site.site}.config` there; then")
    lines.append("  `condor_reconfig`. It lets the site's machines offer themselves, each for its community.")
    lines.append(f"- [ ] Port {pool.port} can be reached from the virtual machines; they listen to nobody.")
    for vo in vos:
        command = render_token_command(pool_identity(vo, site.site, domain), lifetime_s)
        lines.append(
            f"- [ ] {vo}: approve the site's request (`b2ct register SITE --push`), or make a token and hand it"
        )
        lines.append(f"  over in a safe way. As root on {pool.central_manager}, which has the pool's signing key:\n")
        lines.append(f"  ```sh\n  {command}\n  ```\n")
        lines.append(f"  Jobs that are to run there say:\n\n  ```\n  {render_job_requirements(vo).rstrip()}\n  ```\n")
    lines.append(
        f"A token can do no more than offer machines of its community. It ends after {lifetime_s // 86_400} days"
    )
    lines.append(
        f"(`-lifetime {lifetime_s}`, in seconds): from then on machines cannot join with it, so the next one is made"
    )
    lines.append("before. To end it earlier, `condor_token_list` and the pool's `SEC_TOKEN_REVOCATION_EXPR`.\n")
    lines.append("## The site\n")
    place = pool.token.removeprefix("file:") if pool.token else "central.token"
    lines.append(
        f"- [ ] The tokens are in the file of `central.token` ({md_code(place)}), one a line, mode 0600, owned by"
    )
    lines.append("  the user who runs `b2ct`. `b2ct register SITE --push` puts them there itself.")
    lines.append("- [ ] `b2ct credentials SITE` runs, which gives each machine its community's token.")
    lines.append(
        "- [ ] `b2ct register SITE --check` runs now and then, and says which tokens are missing or have ended."
    )
    checklist = "\n".join(lines) + "\n"
    return (
        Artifact(f"{site.site}.config", render_pool_config(site.site, vos, domain).encode()),
        Artifact(f"{site.site}-checklist.md", checklist.encode()),
    )
