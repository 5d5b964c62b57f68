r"""How `follow` puts the files of a run into one stream of bytes.

    F <offset> <length> <name>\n<length bytes>     bytes of a stream file, from that offset on
    K\n                                            nothing new for a while: the connection lives
    E\n                                            the run has ended and everything was sent

Names are the engine's own (`r0.log`, `r0-4711.metrics`). A stream that ends without `E` was cut: what came of a frame that
is not whole is thrown away, and the next `follow` begins at the offsets that the whole frames reached.
"""

from __future__ import annotations

from typing import Iterator, NamedTuple

CHUNK = 1 << 18
"""The most bytes of a file in one frame."""
KEEPALIVE = 5.0
"""Seconds of silence after which a `K` is sent."""
END = b"E\n"
ALIVE = b"K\n"


class Piece(NamedTuple):
    """Bytes of the stream file `name` from `offset` on."""

    name: str
    offset: int
    data: bytes


class FrameError(ValueError):
    """Bytes that no `follow` writes."""


def encode(piece: Piece) -> bytes:
    return b"F %d %d %s\n" % (piece.offset, len(piece.data), piece.name.encode()) + piece.data


class Parser:
    """Takes the bytes as they come and gives out whole frames. `ended` is true once `E` came."""

    def __init__(self) -> None:
        self.ended = False
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The frames that `data` completes. Raises `FrameError` for anything else."""
        self._buffer += data
        while self._buffer:
            end = self._buffer.find(b"\n", 0, 512)
            if end < 0:
                if len(self._buffer) >= 512:
                    raise FrameError(f"no frame begins with {bytes(self._buffer[:40])!r}")
                return
            header = bytes(self._buffer[: end + 1])
            if header == END:
                self.ended = True
            elif header != ALIVE:
                name, offset, length = _header(header)
                if len(self._buffer) < end + 1 + length:
                    return
                yield Piece(name, offset, bytes(self._buffer[end + 1 : end + 1 + length]))
                end += length
            del self._buffer[: end + 1]


def _header(line: bytes) -> tuple[str, int, int]:
    parts: list[bytes] = line.rstrip(b"\n").split(b" ", 3)
    if len(parts) != 4 or parts[0] != b"F" or not parts[1].isdigit() or not parts[2].isdigit():
        raise FrameError(f"not a frame: {line[:60]!r}")
    offset, length = int(parts[1]), int(parts[2])
    if length > CHUNK:
        raise FrameError(f"a frame of {length} bytes, more than {CHUNK}")
    return parts[3].decode(), offset, length
