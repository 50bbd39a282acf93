"""Lets pykickstart, the parser of the installer itself, judge kickstarts before they are written anywhere."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from pykickstart.errors import KickstartError
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from b2ct.errors import B2ctError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from b2ct.plan.artifact import Artifact


def check_kickstarts(artifacts: Iterable[Artifact], syntax: str) -> None:
    """Parse every kickstart in the syntax of a version that pykickstart knows, ``RHEL9``.

    Files that the kickstarts include do not exist yet, so they are not followed. A deprecated command is an error too.

    Raises:
        B2ctError: with what the parser says about each file that it refuses.
    """
    refused = []
    for artifact in artifacts:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                parser = KickstartParser(makeVersion(syntax), followIncludes=False)
                parser.readKickstartFromString(artifact.data.decode())
            except (KickstartError, Warning) as error:
                refused.append(f"{artifact.path}: {' '.join(str(error).split())}")
    if refused:
        hint = "is a template in overrides/ out of date? b2ct eject shows the current one"
        raise B2ctError(f"pykickstart ({syntax}) refuses the kickstarts:\n" + "\n".join(refused), hint=hint)
