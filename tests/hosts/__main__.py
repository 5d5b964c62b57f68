"""`python -m tests.hosts`: make what takes a minute, before tests with a time limit need it."""

from __future__ import annotations

import sys

from tests.hosts import image, shared
from tests.hosts.programs import NoHostError

if __name__ == "__main__":
    try:
        print(f"The image for tests with containers: {image.archive()}")
        with shared.engine() as engine:
            print(f"An engine answers: {engine.url}, with the image {engine.image}")
    except NoHostError as missing:
        sys.exit(str(missing))
