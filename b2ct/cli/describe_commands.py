"""Commands about the site file and the data files: init, check, schema, eject."""

from __future__ import annotations

import json
import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import FilePath, TypeAdapter, ValidationError

from b2ct.apply.files import write_file
from b2ct.apply.repository.source import Trust, is_repository
from b2ct.assets import Assets
from b2ct.cli.app import ForceOption, JsonOption, SiteArgument, app
from b2ct.cli.bundle_source import find_site_bundles
from b2ct.cli.output import print_json, print_problems, stderr
from b2ct.errors import OutputError, Problem, Severity, SiteFileError, UsageError
from b2ct.plan.publication import check_bundles
from b2ct.render.starter import Answers, render_starter
from b2ct.site.check_secrets import check_secret_files
from b2ct.site.findings import Finding
from b2ct.site.load import locate_findings, read_site, read_site_text
from b2ct.site.model import Site, TimeZone
from b2ct.site.types import MEANINGS, DomainName, HostName, SshKey

DEFAULT = Answers(site="", domain="")


@app.command()
def init(  # noqa: PLR0913 - each is a flag that takes the place of a question
    site: SiteArgument = Path("site.yaml"),
    *,
    name: Annotated[str, typer.Option(help="Short name of the site.")] = "",
    domain: Annotated[str, typer.Option(help="DNS domain of the hosts.")] = "",
    distro: Annotated[str, typer.Option(help="Distribution of the hosts.")] = DEFAULT.distro,
    version: Annotated[str, typer.Option(help="Version of the distribution.")] = DEFAULT.version,
    iso: Annotated[str, typer.Option(help="Stock install ISO, a path from the site file's folder.")] = "",
    opennebula: Annotated[str, typer.Option(help="Version of OpenNebula.")] = DEFAULT.opennebula,
    cidr: Annotated[str, typer.Option(help="The service network.")] = DEFAULT.cidr,
    gateway: Annotated[str, typer.Option(help="Its gateway.")] = "",
    dns: Annotated[list[str] | None, typer.Option(help="A name server; may be given more than once.")] = None,
    user: Annotated[str, typer.Option(help="Login name of the administrator.")] = DEFAULT.user,
    ssh_key: Annotated[Path | None, typer.Option(help="File with the administrator's public SSH key.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone.")] = DEFAULT.zone,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a new, commented site file. Asks on a terminal; takes flags everywhere."""
    if site.exists() and not force:
        raise OutputError(f"{site} exists already", hint="--force replaces it")
    if sys.stdin.isatty() and not (name and domain):
        name = name or _ask("Short name of the site", "", HostName)
        domain = domain or _ask("DNS domain of the hosts", "", DomainName)
        cidr = _ask("Service network", cidr, IPv4Network)
        gateway = gateway or _ask("Its gateway", "none", IPv4Address | Literal["none"]).removesuffix("none")
        dns = dns or _ask("Name servers, blanks between", "none", Any).replace("none", "").split()
        ssh_key = ssh_key or _ask_key()
        zone = _ask("Time zone", zone, TimeZone)
    if not (name and domain):
        raise UsageError("a new site file needs --name and --domain", hint="on a terminal they are asked")
    key = _read_key(ssh_key) if ssh_key else ""
    answers = Answers(
        site=name,
        domain=domain,
        distro=distro,
        version=version,
        iso=iso,
        opennebula=opennebula,
        cidr=cidr,
        gateway=gateway,
        dns=tuple(dns or ()),
        user=user,
        ssh_key=key,
        zone=zone,
    )
    text = render_starter(answers)
    _, problems = read_site_text(text, str(site))
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise SiteFileError(problems)
    write_file(site, text.encode(), force=force)
    if as_json:
        print_json("init", {"path": site})
    else:
        stderr().print(f"{site} is written. Next: edit it, then [bold]b2ct check {site}[/]")


def _ask(question: str, default: str, kind: Any) -> str:  # noqa: ANN401 - any type that pydantic knows
    """Ask on the terminal until the answer is of its kind."""
    while True:
        answer = str(typer.prompt(question, default=default or None, err=True))
        try:
            TypeAdapter(kind).validate_python(answer)
        except ValidationError as error:
            details = error.errors(include_url=False)[0]
            meaning = MEANINGS.get(details.get("ctx", {}).get("pattern", ""))
            stderr().print(
                f"{answer!r} has to be {meaning}" if meaning else f"{answer!r}: {details['msg']}", markup=False
            )
        else:
            return answer


def _ask_key() -> Path | None:
    """Ask for the file with the public SSH key; without one, the site file names a password to fill in."""
    usual = Path("~/.ssh/id_ed25519.pub").expanduser()
    answer = _ask(
        "File with your public SSH key", str(usual) if usual.is_file() else "none", Literal["none"] | FilePath
    )
    return None if answer == "none" else Path(answer)


def _read_key(path: Path) -> str:
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--ssh-key {path}: cannot be read") from error
    try:
        return TypeAdapter(SshKey).validate_python(key)
    except ValidationError as error:
        hint = "the file that ends in .pub holds the public key"
        raise UsageError(f"--ssh-key {path} is not a public SSH key", hint=hint) from error


@app.command()
def check(site: SiteArgument = Path("site.yaml"), *, as_json: JsonOption = False) -> None:
    """Report every problem of a site file, each with its line.

    Looks at the bundles of its `vms`, too, unless they are in a repository, and whether the files of secrets are there.
    """
    found, problems = read_site(site)
    if found is not None and found.vms and not is_repository(found.sources.bundles or ""):
        problems = (*problems, *_check_bundles(site, found))
    if found is not None:
        problems = (*problems, *locate_findings(check_secret_files(found, site.parent), site))
    if found is None or any(problem.severity is Severity.ERROR for problem in problems):
        raise SiteFileError(problems)
    if as_json:
        print_json("check", {"path": site, "site": found.site, "hosts": len(found.hosts), "problems": problems})
        return
    print_problems(problems)
    hosts = f"{len(found.hosts)} host{'' if len(found.hosts) == 1 else 's'}"
    typer.echo(f"{site}: {found.site}.{found.domain}, {hosts}, {'can be used' if problems else 'nothing wrong'}")


def _check_bundles(path: Path, site: Site) -> tuple[Problem, ...]:
    """Return what is wrong with the bundles that are at hand, or with what the site's ``vms`` ask of them."""
    try:
        return locate_findings(check_bundles(site, find_site_bundles(path, site, None, Trust())), path)
    except SiteFileError as error:
        return error.problems
    except UsageError as error:
        return locate_findings([Finding(("sources", "bundles"), error.message, error.hint or "")], path)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the site file, for editors."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Site.model_json_schema()}
    typer.echo(json.dumps(document, indent=2))


@app.command()
def eject(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="A data file, such as kickstart/host.ks.j2.")] = "",
    *,
    site: Annotated[Path, typer.Option(help="The site file whose overrides/ gets the copy.")] = Path("site.yaml"),
    show: Annotated[bool, typer.Option("--list", help="List the data files.")] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a data file to the site's overrides/, where it takes the place of B2CT's own."""
    names = Assets().names()
    if show or not file:
        if as_json:
            print_json("eject", {"files": names})
        else:
            typer.echo("\n".join(names))
        return
    target = site.parent / "overrides" / file
    data = Assets().path(file).read_bytes()
    write_file(target, data, force=force)
    if as_json:
        print_json("eject", {"path": target})
    else:
        typer.echo(str(target))
