"""What training scripts of the SDK's time import of it: `from azureml.core import Run`, and where a model's files are.

In an environment that has the SDK itself this package steps aside: what is imported below it is then the SDK's.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _installed() -> list[str]:
    """The folders of the SDK's packages, if its core is among them."""
    found = []
    for entry in sys.path:
        folder = os.path.join(os.path.abspath(entry or "."), "azureml")
        if os.path.isdir(folder) and not os.path.samefile(folder, _HERE):
            found.append(folder)
    return found if any(os.path.isfile(os.path.join(f, "core", "__init__.py")) for f in found) else []


__path__ = _installed() or [_HERE]
