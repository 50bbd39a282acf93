"""``python -m b2ct_vmagent`` is ``b2ct-vm-agent``."""

from b2ct_vmagent.cli import run

if __name__ == "__main__":
    run()
