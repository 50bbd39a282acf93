"""Hostile text through real shells: it comes out as it went in, and nothing of it runs."""

from __future__ import annotations

import dataclasses
import subprocess
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from b2ct.render.quoting import sh_words
from tests.rigs.installed import Installed
from tests.rigs.kickstarts import load_case, parse, render_texts, scripts

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))

HOSTILE = "x'; touch /root/pwned; ' $(touch /root/pwned) `touch /root/pwned` \\ EOF %end"


@given(st.lists(TEXT, min_size=1))
@settings(max_examples=100, deadline=None)
def test_bash_reads_back_what_was_quoted(texts: list[str]) -> None:
    script = f"printf '%s\\0' {sh_words(texts)}"
    result = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert result.stdout.decode().split("\0")[:-1] == texts


def test_nothing_in_a_key_or_a_sentence_runs_in_post(tmp_path: Path) -> None:
    plan = load_case("single")
    key = f"ssh-ed25519 AAAA {HOSTILE}"
    account = dataclasses.replace(plan.accounts[0], ssh_keys=(key,), gecos=HOSTILE)
    host = plan.hosts[0]
    role = dataclasses.replace(host.roles[0], left=(HOSTILE,))
    facts = dataclasses.replace(plan.facts, volume_id=HOSTILE)
    hostile = dataclasses.replace(
        plan, accounts=(account,), hosts=(dataclasses.replace(host, roles=(role,)),), facts=facts
    )
    post = scripts(parse(render_texts(hostile)["b2ct/cn01.ks"], "RHEL9"))[-1]
    system = Installed(tmp_path / "system")
    answers = {"HOST": "cn01", "ROLE": "frontend", "ADDRESS": "", "PREFIX": "", "GATEWAY": "", "DNS": ""}
    result = system.run(post, answers, ["52:54:00:10:00:01=ens1=52:54:00:10:00:01"])
    assert result.returncode == 0, result.stdout + result.stderr
    assert not (system.root / "root/pwned").exists()
    assert system.read("home/ada/.ssh/authorized_keys") == f"{key}\n"
    assert HOSTILE in system.read("etc/motd")
