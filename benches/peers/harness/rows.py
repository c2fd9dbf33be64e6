"""How fast does Chinwag store messages, beside other servers? README.md says why each row is fair."""

import json

from chinwag import Bare, Chinwag
from load import body_file, load
from nats import Nats
from pocketbase import PocketBase
from postgres import Postgres
from process import Failed, output
from redis import BestRedis
from results import Line, processor_time
from settings import TEXT, TOOLS

SENDS = "messages/s"
CONNECTIONS = (64, 256)


def try_seconds(recorder):
    return recorder.settings.warm_up_seconds


def against(recorder, what, ours, theirs, connections=CONNECTIONS, goal=None, costs_max=None):
    """Compares sends of both, and the processor time that one takes, at each number of connections."""
    for number in connections:
        at = f"{what}, {number} connections"
        recorder.compare(
            Line(at, SENDS, goal),
            lambda s, n=number: ours(n, s),
            lambda s, n=number: theirs(n, s),
            cost_line=processor_time(at, costs_max),
        )


def ephemeral(recorder, stack):
    durable = stack.enter_context(Chinwag()).will_send()
    memory = stack.enter_context(Chinwag("--ephemeral")).will_send()
    against(recorder, "durable : in memory", durable.send, memory.send)


def keys(recorder, stack):
    durable = stack.enter_context(Chinwag()).will_send()
    against(recorder, "with idempotency keys : without", durable.send_keyed, durable.send)
    against(
        recorder,
        "with idempotency keys : with a header of another name",
        durable.send_keyed,
        durable.send_labelled,
    )


def bare(recorder, stack):
    durable = stack.enter_context(Chinwag()).will_send()
    memory = stack.enter_context(Chinwag("--ephemeral")).will_send()
    axum = stack.enter_context(Bare())

    def add(connections, seconds):
        return axum.load(memory.bodies, "/messages/add", connections, seconds)

    against(recorder, "durable : bare axum", durable.send, add, costs_max=1.1)
    against(recorder, "in memory : bare axum", memory.send, add, goal=0.9)


def redis(recorder, stack):
    durable = stack.enter_context(Chinwag()).will_send()
    against(
        recorder,
        "durable : Redis XADD, appendfsync always",
        durable.send,
        BestRedis(stack, try_seconds(recorder)).send,
        goal=1.2,
        costs_max=1.2,
    )


def postgres(recorder, stack):
    durable = stack.enter_context(Chinwag()).will_send()
    theirs = stack.enter_context(Postgres(try_seconds(recorder)))
    against(recorder, "durable : PostgreSQL INSERT, synchronous_commit on", durable.send, theirs.send)


def pocketbase(recorder, stack):
    durable = stack.enter_context(Chinwag()).will_send()
    theirs = stack.enter_context(PocketBase())
    against(recorder, "durable : PocketBase, synchronous FULL", durable.send, theirs.send, [64], goal=35)


def nats(recorder, stack):
    durable = stack.enter_context(Chinwag()).will_send()
    theirs = stack.enter_context(Nats(try_seconds(recorder)))
    against(recorder, "durable : NATS JetStream, sync_interval always", durable.send, theirs.send, [64], goal=12)


def one(recorder, stack):
    """One sender's latency, against the disk and everything else measured separately."""
    durable = stack.enter_context(Chinwag()).will_send()
    memory = stack.enter_context(Chinwag("--ephemeral")).will_send()

    def parts(seconds):
        disk = json.loads(output([TOOLS, "probe", durable.dir, "--seconds", seconds]))
        sample = memory.send(1, seconds)
        return {"p50_us": disk["p50_ns"] / 1000 + sample["p50_us"], "disk": disk, "in_memory": sample}

    line = Line(
        "one connection, p50: a send : write + fdatasync, and a send in memory", "µs", 1.5, at_most=True
    )
    recorder.compare(line, lambda seconds: durable.send(1, seconds), parts, "p50_us")


def batch(recorder, stack):
    messages, bodies, connections = 1000, 20, 4
    durable = stack.enter_context(Chinwag())
    members = durable.create_members()

    def request(number):
        places = (members[(number + at) % len(members)] for at in range(messages))
        return {"messages": [{"chat": chat, "author": author, "text": TEXT} for chat, author in places]}

    status, answer = durable.call("/messages/batch", request(0))
    if status == 404:
        return recorder.note("this server has no /messages/batch")
    if status != 201:
        raise Failed(f"/messages/batch: {status} {answer[:500]}")
    path = stack.enter_context(body_file(map(request, range(bodies))))

    def send(seconds):
        before = durable.position()
        sample = load(durable.port, path, "/messages/batch", connections, seconds)
        if durable.position() - before != sample["answers"] * messages:
            raise Failed(f"{sample['answers']} batches, but {durable.position() - before} events")
        return {**sample, "per_s": sample["per_s"] * messages}

    return recorder.compare(Line("durable, batches of 1,000, 4 connections", SENDS, 500_000), send, None)
