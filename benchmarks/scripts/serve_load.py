"""Requests from CONNECTIONS clients at once for SECONDS, each sending its next one when it has its answer; prints JSON.

PORT PATH CONNECTIONS SECONDS OVERLAY. Written to the socket itself, with uvloop: one core of this makes about ten times as
many requests as the servers answer, so that it is not what is measured.
"""

import asyncio
import json
import random
import sys
import time

sys.path.append(sys.argv[5])
import uvloop

PORT, PATH, CONNECTIONS, SECONDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
random.seed(1)
BODY = json.dumps({"instances": [[round(random.random(), 4) for _ in range(784)]]}).encode()
REQUEST = (
    f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
    + BODY
)
times: list[float] = []
failed: list[bytes] = []


class Client(asyncio.Protocol):
    def __init__(self, over):
        self.over, self.data, self.length = over, b"", None

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        self.began = time.perf_counter()
        self.transport.write(REQUEST)

    def data_received(self, data):
        self.data += data
        if self.length is None:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.data[:end].lower()
            self.length = end + 4 + int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self.data) >= self.length:
            times.append(time.perf_counter() - self.began)
            if not self.data.startswith(b"HTTP/1.1 200"):
                failed.append(self.data)
            self.data, self.length = b"", None
            if not self.over.done():
                self.send()

    def connection_lost(self, _):
        if not self.over.done():
            failed.append(b"closed")


async def main():
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Client(over), "127.0.0.1", PORT)
    await asyncio.sleep(SECONDS)
    over.set_result(None)


uvloop.install()
began = time.perf_counter()
processor = time.process_time()
asyncio.run(main())
took = time.perf_counter() - began
times.sort()
print(
    json.dumps(
        {
            "per_second": len(times) / took,
            "answered": len(times),
            "p50_ms": times[len(times) // 2] * 1000,
            "p99_ms": times[int(len(times) * 0.99)] * 1000,
            "failed": len(failed),
            "client_share": (time.process_time() - processor) / took,
        }
    )
)
