"""Versions: of the package, and of the protocol that its client and service speak."""

__version__ = "0.1.0"

PROTOCOL = 1
"""Raised when client and service of different versions can no longer talk; see `client.connection`."""
