# SPDX-License-Identifier: MIT
"""``python -m headway`` is the command ``headway``."""

import sys

from headway._cli import main

sys.exit(main())
