"""A pytest plugin that hides installed modules: `WITHOUT="pyarrow duckdb" pytest -p tests.without_modules`.

The result is that of an environment in which the modules are not installed, except for the processes that tests start.
"""

import os
import sys

for _name in os.environ.get("WITHOUT", "").split():
    sys.modules[_name] = None  # type: ignore[assignment]  # `import` and `find_spec` treat it as missing
