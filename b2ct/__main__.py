"""Runs b2ct as ``python -m b2ct``."""

import sys

from b2ct.cli.main import main

sys.exit(main())
