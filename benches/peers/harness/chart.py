"""How do samples become charts? gnuplot draws them."""

import subprocess
from statistics import median

from process import Failed
from settings import HERE

STYLES = {
    "Chinwag": "lc rgb '#d7263d' lw 3 pt 7",
    "Chinwag, in memory": "lc rgb '#d7263d' lw 1.5 dt 2 pt 6",
    "Redis": "lc rgb '#1f77b4' lw 2 pt 5",
    "PostgreSQL": "lc rgb '#2a7f4f' lw 2 pt 9",
    "PocketBase": "lc rgb '#b8860b' lw 2 pt 11",
    "NATS JetStream": "lc rgb '#7a4fa3' lw 2 pt 13",
}
# A white background, so that the charts are readable on a dark page.
HEAD = """
set terminal svg size 800,480 background rgb 'white' font 'sans-serif,14' noenhanced
set output '{path}'
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
set key outside right top
set logscale x 2
"""
CONNECTIONS = """
set xlabel 'connections'
set xtics (1, 4, 16, 64, 256, 1024)
set ylabel 'messages a second'
set yrange [0:*]
set format y "%'.0f"
"""
LOAD = """
set xlabel 'messages a second, with 1, 4, 16, 64, 256, 1024 connections'
set logscale x 10
set logscale y 10
set format x "%'.0f"
set format y '%g'
set ylabel 'p99, milliseconds'
"""


def draw(records):
    """Draws both charts, and returns their paths."""
    points = {}
    for record in records:
        if "peer" in record:
            points.setdefault(record["peer"], {}).setdefault(record["connections"], []).append(
                record["sample"]
            )
    medians = {
        peer: [
            (connections, *(median(sample[key] for sample in samples) for key in ("per_s", "p99_us")))
            for connections, samples in sorted(by_connections.items())
        ]
        for peer, by_connections in points.items()
    }
    throughput = {peer: [(n, rate) for n, rate, _ in points] for peer, points in medians.items()}
    latency = {peer: [(rate, p99 / 1000) for _, rate, p99 in points] for peer, points in medians.items()}
    return [plot("throughput", CONNECTIONS, throughput), plot("latency", LOAD, latency)]


def plot(name, axes, lines):
    path = HERE / f"{name}.svg"
    script = [HEAD.format(path=path), axes]
    for number, points in enumerate(lines.values()):
        script += [f"$line{number} << END", *(f"{x} {y}" for x, y in points), "END"]
    plots = (
        f"$line{number} with linespoints title '{peer}' {STYLES[peer]}" for number, peer in enumerate(lines)
    )
    script.append("plot " + ", ".join(plots))
    done = subprocess.run(["gnuplot"], input="\n".join(script), text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise Failed(f"gnuplot: {done.stderr}")
    return path
