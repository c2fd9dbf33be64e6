"""Which rows are measured, and with which settings? Prints the table."""

import argparse
import fcntl
import os
import platform
import resource
import shutil
import signal
import sys
from contextlib import ExitStack

import chart
import chinwag
import nats
import peers
import pocketbase
import postgres
import redis
import rows
import rows_cluster
import rows_large
from process import Failed, output
from results import Recorder, latest, table
from settings import RESULTS, WORK, commit, from_environment

ROWS = {
    "ephemeral": rows.ephemeral,
    "bare": rows.bare,
    "redis": rows.redis,
    "postgres": rows.postgres,
    "one": rows.one,
    "batch": rows.batch,
    "page": rows_large.page,
    "lists": rows_large.lists,
    "crowd": rows_large.crowd,
    "history": rows_large.history,
    "growth": rows_large.growth,
    "pocketbase": rows.pocketbase,
    "nats": rows.nats,
    "whole": rows_large.whole,
    "streaming": rows_large.streaming,
    "keys": rows.keys,
    "syncs": peers.syncs,
    "curves": peers.curves,
    "cluster": rows_cluster.cluster,
    "cluster_batch": rows_cluster.cluster_batch,
    "cluster_spread": rows_cluster.cluster_spread,
    "cluster_lag": rows_cluster.cluster_lag,
    "cluster_reads": rows_cluster.cluster_reads,
    "cluster_boot": rows_cluster.cluster_boot,
}
HELP = """
PAIRS=5 SECONDS_EACH=5 WARM_UP_SECONDS=2   turns, seconds per side of a turn, seconds before the first turn
SCALE=1                                    factor for the sizes in the names of rows
SMOKE=1                                    one turn of 1 s, SCALE=0.01: only shows that everything runs
RESULTS=target/peers/results.jsonl         file for the samples
"""


def arguments():
    parser = argparse.ArgumentParser(
        prog="benches/peers/run",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures Chinwag beside other servers, and prints the table. Named rows are measured;"
        " without names, the rows that were not measured at this commit with these settings.",
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument(
        "--table", action="store_true", help="print the table and draw the charts without measuring"
    )
    chosen = parser.parse_args()
    unknown = set(chosen.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    return chosen


def measure(row, settings):
    print(f"{row}: {ROWS[row].__doc__ or ''}".strip(), flush=True)
    recorder = Recorder(row, settings)
    with ExitStack() as stack:
        ROWS[row](recorder, stack)
    recorder.done()


def prepare():
    """Locks the working directory, and refuses one where a sync does not reach a disk."""
    lock = os.open(WORK / "lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failed(f"another run uses {WORK}") from None
    # Leftovers of a killed run.
    for left in WORK.glob("*.*/"):
        shutil.rmtree(left)
    for left in WORK.glob("bodies.*"):
        left.unlink()
    kind = output(["stat", "-f", "-c", "%T", WORK]).strip()
    if kind in ("tmpfs", "ramfs", "overlayfs"):
        raise Failed(f"{WORK} is on {kind}, where a sync does not reach a disk; set CARGO_TARGET_DIR")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # An exception unwinds the stack, which stops the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def machine():
    parts = [f"{os.cpu_count()} processors, Linux {platform.release()}", f"commit {commit()}"]
    for peer in (chinwag, redis, postgres, pocketbase, nats):
        parts += [f"{name} {version}" for name, version in peer.versions().items()]
    return ", ".join(parts)


def main():
    chosen, settings = arguments(), from_environment()
    failed = {}
    try:
        prepare()
        finished = {row for row, records in latest(settings).items() if records[0]["commit"] == commit()}
        wanted = [] if chosen.table else chosen.rows or [row for row in ROWS if row not in finished]
        for row in wanted:
            try:
                measure(row, settings)
            except Failed as failure:
                failed[row] = failure
                print(f"  failed: {failure}", file=sys.stderr, flush=True)
        print(f"\n{machine()}\n{settings}\nsamples: {RESULTS}\n")
        print(table(ROWS, settings))
        if "curves" in latest(settings):
            print("\n".join(f"chart: {path}" for path in chart.draw(latest(settings)["curves"])))
    except Failed as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit(130)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
