"""How do servers behave with many messages, chats, connections and readers?"""

import json
import os
import time

from chinwag import Bare, Chinwag, Filled, FilledLists
from load import body_file, load, meanwhile
from process import Failed, output, resident_bytes
from redis import BestRedis, Redis
from results import Line, processor_time
from settings import ROOT, TARGET

CONNECTIONS = 64


def reader(stack, server, path, requests):
    """Returns a load of these requests, in turn."""
    file = stack.enter_context(body_file(requests))

    def read(seconds, connections=CONNECTIONS):
        with server.cost() as cost:
            sample = load(server.port, file, path, connections, seconds)
        return cost.of(sample)

    return read


def answer(server, path, request, count):
    """Returns one answer, after checking that its list has `count` items."""
    status, body = server.call(path, request)
    if status != 200 or len(json.loads(body)) != count:
        raise Failed(f"{path}: {status} {body[:500]}")
    return body


def page(recorder, stack):
    """The newest messages of one long chat."""
    count, newest = recorder.settings.sized(1_000_000), 50
    ours = stack.enter_context(Filled(1, count))
    chat = ours.members[0][0]
    request = {"chat": chat, "limit": newest}
    axum = stack.enter_context(Bare(answer(ours, "/messages/get", request, newest)))
    get, get_bare = (reader(stack, server, "/messages/get", [request]) for server in (ours, axum))
    what = f"newest 50 of {count:,} : bare axum, the same bytes"
    recorder.compare(Line(what, "pages/s", 0.8), get, get_bare, cost_line=processor_time(what, 1.25))

    theirs = BestRedis(stack, recorder.settings.warm_up_seconds, sync="no")
    for server in theirs.servers:
        server.fill(1, count)
    command = ["XREVRANGE", chat, "+", "-", "COUNT", str(newest)]
    what = f"newest 50 of {count:,} : Redis XREVRANGE"
    line = Line(what, "pages/s", 1.5)
    recorder.compare(line, get, lambda s: theirs.run(command, CONNECTIONS, s), cost_line=processor_time(what))


def lists(recorder, stack):
    """The first page of a user's many chats."""
    count, limit = recorder.settings.sized(100_000), 20
    server = stack.enter_context(FilledLists(count))
    requests = [{"user": user, "limit": limit} for user in server.users]
    for request in requests:
        answer(server, "/chats/get", request, limit)
    many, few = (reader(stack, server, "/chats/get", [request]) for request in requests)
    line = Line(f"first 20 chats of {count:,} : of 20, p50 at one connection", "µs", 2, at_most=True)
    recorder.compare(line, lambda s: many(s, 1), lambda s: few(s, 1), "p50_us")


def crowd(recorder, stack):
    """More senders than the queue has places."""
    crowded, best_of = 4096, (64, 256, 1024)
    server = stack.enter_context(Chinwag()).will_send()
    tried = [server.send(number, recorder.settings.warm_up_seconds)["per_s"] for number in best_of]
    best = best_of[tried.index(max(tried))]
    for how, options in (("retry after Retry-After", ["--retry-after"]), ("retry at once", [])):
        many = f"{crowded:,} connections that {how}"

        def send(seconds, options=options):
            answers = server.send_with_refusals(crowded, seconds, *options)
            if not set(answers) <= {"201", "503"}:
                raise Failed(f"neither stored nor refused: {answers}")
            p99_ms = {status: tally["p99_us"] / 1000 for status, tally in answers.items()}
            return {**answers["201"], "refused": answers.get("503"), "p99_ms": p99_ms}

        line = Line(f"{many} : the best number, {best}", "messages/s", 0.9)
        turns = recorder.compare(line, send, lambda seconds: server.send(best, seconds))
        for status, what in (("201", "stored"), ("503", "refused")):
            line = Line(f"{many}, p99 of the requests {what}", "ms", 100, at_most=True)
            samples = [crowd["p99_ms"] for crowd, _ in turns if status in crowd["p99_ms"]]
            for sample in samples:
                recorder.pair(line, sample, figure=status)
            if not samples:
                recorder.note(f"{many}: not one request was {what}")


def history(recorder, stack):
    """Start and memory with a long history: each server loads the data that it had when it was stopped."""
    count = recorder.settings.sized(10_000_000)
    chats = max(count // 1000, 10)
    ours, theirs = stack.push(Filled(chats, count)), stack.push(Redis(sync="no"))
    theirs.start()
    with Chinwag() as empty:
        empty_bytes = {
            server: resident_bytes(process.pid) for server, process in ((ours, empty), (theirs, theirs))
        }
    theirs.fill(chats, count)
    theirs.stop()

    def start(server):
        began = time.monotonic()
        server.start()
        seconds = time.monotonic() - began
        held = resident_bytes(server.pid) - empty_bytes[server] - ours.text_bytes
        server.stop()
        return {"per_s": count / seconds, "seconds": seconds, "memory": held / count}

    line = Line(f"start with {count:,} messages : Redis from its AOF", "messages/s", 10)
    turns = recorder.compare(line, lambda _: start(ours), lambda _: start(theirs))
    line = Line(f"memory a message beyond its text, {count:,} messages : Redis streams", "bytes")
    for turn in turns:
        recorder.pair(line, *turn, figure="memory")
    log = {
        "bytes": (ours.log_bytes - ours.text_bytes) / count,
        "log": ours.log_bytes,
        "text": ours.text_bytes,
    }
    recorder.pair(Line(f"log a message beyond its text, {count:,} messages", "bytes"), log, figure="bytes")


def growth(recorder, stack):
    """Rates with much data, against those with little. Pages come first, because sends change them."""
    sized = recorder.settings.sized

    def compare(what, unit, few, many, grown):
        line = Line(f"{what}, {sized(grown):,} : {sized(grown // 1000):,}", unit, 0.9)
        recorder.compare(line, many, few)

    def sends(server):
        server.will_send(server.members)
        return lambda seconds: server.send(CONNECTIONS, seconds)

    def newest(server):
        requests = [{"chat": chat, "limit": 50} for chat in sorted({chat for chat, _ in server.members})]
        answer(server, "/messages/get", requests[0], 50)
        return reader(stack, server, "/messages/get", requests)

    def chats(server):
        requests = [{"user": user, "limit": 10} for _, user in server.members]
        answer(server, "/chats/get", requests[0], 10)
        return reader(stack, server, "/chats/get", requests)

    many = 10_000_000
    servers = [stack.enter_context(Filled(10, sized(count))) for count in (many // 1000, many)]
    compare("newest 50, messages in all", "pages/s", *map(newest, servers), many)
    compare("sends, messages in all", "messages/s", *map(sends, servers), many)
    many = 1_000_000
    servers = [stack.enter_context(Filled(sized(count), 0, 100_000)) for count in (many // 1000, many)]
    compare("10 chats of a user, chats in all", "pages/s", *map(chats, servers), many)
    compare("sends, chats in all", "messages/s", *map(sends, servers), many)


def whole(recorder, _stack):
    """The whole history of a chat, in the process: the bench `messages_get/…/whole`."""
    count = recorder.settings.sized(1_000_000)
    environment = {**os.environ, "CHINWAG_BENCH_MESSAGES": str(count)}
    results = TARGET / "criterion" / f"messages_get_{count}" / "whole" / "new"

    def run(_):
        output(
            ["cargo", "bench", "--locked", "--bench", "speed", "--", f"messages_get/{count}/whole"],
            cwd=ROOT,
            env=environment,
        )
        nanos = json.loads((results / "estimates.json").read_text(encoding="utf-8"))["median"]["point_estimate"]
        length = json.loads((results / "benchmark.json").read_text(encoding="utf-8"))["throughput"]["Bytes"]
        # Bytes per nanosecond.
        return {"gb_per_s": length / nanos, "bytes": length}

    recorder.compare(
        Line(f"whole history of {count:,} messages, in the process", "GB/s", 1),
        run,
        None,
        "gb_per_s",
        warm_up=False,
    )


def streaming(recorder, stack):
    """Sends at a fixed rate while a client reads a long history, against undisturbed sends."""
    count, rate, connections = recorder.settings.sized(1_000_000), 1000, 16
    server = stack.enter_context(Filled(1, count))
    server.will_send(server.members)
    request = stack.enter_context(body_file([{"chat": server.members[0][0]}]))

    def quiet(seconds):
        return server.send(connections, seconds, "--rate", rate)

    def disturbed(seconds):
        with meanwhile(server.port, request, "/messages/get", 1):
            return quiet(seconds)

    line = Line(
        f"{rate:,} sends a second, p99: while {count:,} messages are read repeatedly : undisturbed",
        "µs",
        2,
        at_most=True,
    )
    recorder.compare(line, disturbed, quiet, "p99_us")
