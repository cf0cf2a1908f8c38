"""`python -m agora_analytics` is the command `agora-analytics`."""

import sys

from agora_analytics.cli import main

sys.exit(main())
