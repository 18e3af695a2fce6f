"""The `websockets` package, its asyncio server. Usage: websockets_echo.py PORT [off|shared]"""
import asyncio
import resource
import sys

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def echo(socket):
    try:
        async for message in socket:
            await socket.send(message)
    except ConnectionClosed:
        pass


async def main():
    compression = "deflate" if sys.argv[2:] not in ([], ["off"]) else None
    async with serve(
        echo, "127.0.0.1", int(sys.argv[1]), compression=compression, max_size=16 << 20, ping_interval=None,
        backlog=1024,
    ) as server:
        print(f"listening on ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
asyncio.run(main())
