"""`python -m agora_analytics.cli`."""

import sys

from agora_analytics.cli import main

sys.exit(main())
