"""How fast are several servers on one stream of three nodes, beside one server on its own log?"""

import json
import time
from statistics import median

from chinwag import Chinwag, Filled
from cluster import Nodes, caught_up, connected, spread
from load import body_file, load, meanwhile
from process import Failed
from results import Line
from settings import TEXT

SENDS = "messages/s"
CONNECTIONS = (64, 256, 1024)
GOALS = {64: 0.3, 256: 0.5, 1024: 0.5}


def cluster(recorder, stack):
    """Sends to one of three servers, which the others follow, against those to a server alone."""
    alone = stack.enter_context(Chinwag()).will_send()
    nodes = Nodes(stack).create()
    writer = nodes.server(stack).will_send()
    for number in CONNECTIONS:
        line = Line(f"on a stream : alone, {number} connections", SENDS, GOALS[number])
        recorder.compare(line, lambda s, n=number: writer.send(n, s), lambda s, n=number: alone.send(n, s))
    others = [nodes.server(stack) for _ in range(2)]
    caught_up(others, writer.position())
    for number in CONNECTIONS:
        line = Line(f"on a stream, two servers follow : alone, {number} connections", SENDS)
        recorder.compare(line, lambda s, n=number: writer.send(n, s), lambda s, n=number: alone.send(n, s))
        caught_up(others, writer.position())


def cluster_batch(recorder, stack):
    """Batches of 1,000 messages on a stream."""
    nodes = Nodes(stack).create()
    writer = nodes.server(stack).will_send()
    members = [json.loads(line) for line in writer.bodies.read_text(encoding="utf-8").splitlines()]
    batches = [{"messages": (members * 1000)[n : n + 1000]} for n in range(8)]
    bodies = stack.enter_context(body_file(batches))

    def send(seconds):
        before = writer.position()
        sample = load(writer.port, bodies, "/messages/batch", 4, seconds)
        if writer.position() - before != 1000 * sample["answers"]:
            raise Failed(f"{sample['answers']} answers, but {writer.position() - before} events")
        return {**sample, "per_s": 1000 * sample["per_s"]}

    recorder.compare(Line("on a stream, batches of 1,000, 4 connections", SENDS, 100_000), send, None)


def cluster_spread(recorder, stack):
    """Sends to three servers in turn, as a balancer spreads them, against sends to one of them."""
    nodes = Nodes(stack).create()
    servers = [nodes.server(stack) for _ in range(3)]
    first = servers[0].will_send()
    caught_up(servers, first.position())

    def over_all(connections, seconds):
        sample = spread(servers, first.bodies, "/messages/add", connections, seconds)
        caught_up(servers, max(server.position() for server in servers))
        return sample

    def pinned(connections, seconds):
        sample = first.send(connections, seconds)
        caught_up(servers, first.position())
        return sample

    for number in CONNECTIONS:
        line = Line(f"to three servers : to one of them, {number} connections", SENDS, 0.6)
        recorder.compare(line, lambda s, n=number: over_all(n, s), lambda s, n=number: pinned(n, s))


def cluster_lag(recorder, stack):
    """A read of what was just written on another server, against one on the same server; others write meanwhile."""
    nodes = Nodes(stack).create()
    writer, reader = nodes.server(stack).will_send(), nodes.server(stack)
    caught_up([reader], writer.position())
    body = json.loads(writer.bodies.read_text(encoding="utf-8").splitlines()[0])
    page = json.dumps({"chat": body["chat"], "limit": 1})
    stack.enter_context(meanwhile(writer.port, writer.bodies, "/messages/add", 64))
    send, here, there = (stack.enter_context(connected(server)) for server in (writer, writer, reader))

    def lags(read, seconds):
        times, ends = [], time.monotonic() + seconds
        while time.monotonic() < ends:
            status, headers = send("/messages/add", json.dumps({**body, "text": TEXT}))
            if status != 201:
                raise Failed(f"a send: status {status}, {headers}")
            began = time.monotonic()
            asked, _ = read("/messages/get", page, f"Chinwag-Min-Position: {headers['chinwag-position']}\r\n")
            times.append((time.monotonic() - began) * 1e6)
            if asked != 200:
                raise Failed(f"a read: status {asked}")
        times.sort()
        return {"reads": len(times), "p50_us": median(times), "p99_us": times[len(times) * 99 // 100]}

    for figure in ("p50_us", "p99_us"):
        line = Line(f"a read of one's write on another server : on the same, {figure[:3]}", "µs")
        recorder.compare(line, lambda s: lags(there, s), lambda s: lags(here, s), figure=figure)


def cluster_reads(recorder, stack):
    """Pages of 50 messages from three servers, against those from one of them."""
    nodes = Nodes(stack).create()
    servers = [nodes.server(stack) for _ in range(3)]
    first = servers[0].will_send()
    first.send(256, recorder.settings.seconds_each)
    caught_up(servers, first.position())
    chats = {json.loads(line)["chat"] for line in first.bodies.read_text(encoding="utf-8").splitlines()}
    bodies = stack.enter_context(body_file([{"chat": chat, "limit": 50} for chat in sorted(chats)]))
    line = Line("pages of 50 from three servers : from one, 64 connections", "pages/s")
    recorder.compare(
        line,
        lambda s: spread(servers, bodies, "/messages/get", 64, s),
        lambda s: spread(servers[:1], bodies, "/messages/get", 64, s),
    )


def cluster_boot(recorder, stack):
    """The start of a server with ten million messages: from the stream, and from its own copy."""
    messages = recorder.settings.sized(10_000_000)
    filled = Filled(1000, messages)
    stack.enter_context(filled)
    filled.stop()
    nodes = Nodes(stack).create("--from", filled.data)
    for _ in range(recorder.settings.pairs):
        server = Chinwag("--nats", nodes.urls)
        samples = []
        for _ in ("from the stream", "from the copy"):
            began = time.monotonic()
            server.start()
            samples.append({"s": time.monotonic() - began})
            server.stop()
        recorder.pair(Line(f"start with {messages:,} messages, from the stream : from the copy", "s"), *samples, figure="s")
        server.__exit__()
