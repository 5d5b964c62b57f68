"""Entry of the shim: see the package's docstring for the verbs."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from jupyter_mltrain._shim.verbs import main

main(sys.argv[1:])
