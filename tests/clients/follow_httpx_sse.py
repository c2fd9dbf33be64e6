"""Follows a stream with httpx-sse, and prints each event that it hands out as a line of JSON."""

import json
import sys
import time

import httpx
from httpx_sse import SSEError, connect_sse

url = sys.argv[1]
last = None
# The server sends at least a heartbeat every 15 s. The default of 5 s would end a quiet stream.
with httpx.Client(timeout=httpx.Timeout(10, read=30)) as client:
    while True:
        # httpx-sse leaves it to its user to reconnect.
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with connect_sse(client, "GET", url, headers=headers) as source:
                for event in source.iter_sse():
                    print(json.dumps({"type": event.event, "id": event.id, "data": event.data}), flush=True)
                    last = event.id
        except (httpx.TransportError, SSEError):
            pass
        time.sleep(1)
