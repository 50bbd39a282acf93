"""``python -m b2ct_vmagent`` is ``b2ct-agent``; so is the zipapp."""

import sys


def start() -> None:
    """Run the command line; the process that stays does without what only the others need in memory."""
    if sys.argv[1:] == ["run"]:
        from b2ct_vmagent.paths import Paths  # noqa: PLC0415 - see above
        from b2ct_vmagent.service import serve  # noqa: PLC0415 - see above

        serve(Paths())
    else:
        from b2ct_vmagent.cli import run  # noqa: PLC0415 - see above

        run()


if __name__ == "__main__":
    start()
