"""pykickstart's judgement, and how it is told."""

from __future__ import annotations

import pytest

from b2ct.apply.kickstart_check import check_kickstarts
from b2ct.errors import B2ctError
from b2ct.plan.artifact import Artifact


def test_good_kickstarts_pass_and_includes_are_not_followed() -> None:
    check_kickstarts([Artifact("a.ks", b"lang en_US.UTF-8\n%include /tmp/none\n%packages\n%end\n")], "RHEL9")


def test_every_refused_file_is_named_with_the_parsers_words() -> None:
    bad = [Artifact("a.ks", b"nonsense\n"), Artifact("b.ks", b"%pre\n"), Artifact("c.ks", b"text\n")]
    with pytest.raises(B2ctError, match="RHEL9") as caught:
        check_kickstarts(bad, "RHEL9")
    assert "a.ks: " in caught.value.message
    assert "nonsense" in caught.value.message
    assert "b.ks: " in caught.value.message
    assert "c.ks: " not in caught.value.message


def test_a_command_that_the_generation_has_lost_is_refused() -> None:
    with pytest.raises(B2ctError, match=r"a\.ks"):
        check_kickstarts([Artifact("a.ks", b"autostep\n")], "RHEL10")
