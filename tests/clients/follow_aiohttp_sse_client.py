"""Follows a stream with aiohttp-sse-client, and prints each event that it hands out as a line of JSON."""

import asyncio
import json
import sys

from aiohttp import ClientError, ClientSession, ClientTimeout
from aiohttp_sse_client.client import EventSource


async def follow(url):
    last = None
    # aiohttp's default ends every request after 5 minutes. The server sends at least a heartbeat every 15 s.
    timeout = ClientTimeout(total=None, sock_read=30)
    # A line may have twice this length. By default it is 64 KiB, and a chat with 3,500 members takes more than that.
    async with ClientSession(timeout=timeout, read_bufsize=1 << 20) as session:
        while True:
            # The library reconnects after a stream that the server has ended. After a broken connection it raises.
            headers = {"Last-Event-ID": last} if last else {}
            try:
                async with EventSource(url, session=session, headers=headers) as source:
                    async for event in source:
                        last = event.last_event_id
                        print(json.dumps({"type": event.type, "id": last, "data": event.data}), flush=True)
            except (ClientError, ConnectionError, asyncio.TimeoutError):
                pass
            await asyncio.sleep(1)


asyncio.run(follow(sys.argv[1]))
