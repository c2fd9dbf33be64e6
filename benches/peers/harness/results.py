"""How are samples kept, as JSON lines, and how do they become the table?"""

import json
import time
from dataclasses import dataclass
from statistics import median

from settings import RESULTS, commit


@dataclass(frozen=True)
class Line:
    """One line of the table: the ratio of two figures of one unit, ours to theirs; or our figure alone."""

    what: str
    unit: str
    # Minimum for the ratio, or for our figure alone; the maximum if `at_most`.
    goal: float | None = None
    at_most: bool = False


def processor_time(what, most=None):
    """Returns the line for the servers' processor time, user and system, for each answer."""
    return Line(f"{what}: processor time", "µs", most, at_most=True)


class Recorder:
    """Measures one row in turns, and writes down each sample."""

    def __init__(self, row, settings):
        self.settings = settings
        self.common = {"row": row, "run": time.strftime("%Y-%m-%dT%H:%M:%S"), "commit": commit()}

    def write(self, record):
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**self.common, "settings": self.settings.as_dict(), **record}) + "\n")

    def compare(self, line, ours, theirs, figure="per_s", warm_up=True, cost_line=None):
        """Warms both up, then measures ours, theirs, ours, theirs, …

        Each side is called with its seconds, and returns a sample: its `figure`, and other values to keep. Without
        `theirs`, only ours is measured. `cost_line` is the line for the processor time of the same samples, and stands
        before the other in the table. Returns the samples of every turn.
        """
        sides = [side for side in (ours, theirs) if side]
        if warm_up:
            for side in sides:
                side(self.settings.warm_up_seconds)
        turns = []
        for _ in range(self.settings.pairs):
            turns.append([side(self.settings.seconds_each) for side in sides])
            if cost_line:
                self.pair(cost_line, *turns[-1], figure="processor_us")
            self.pair(line, *turns[-1], figure=figure)
        return turns

    def pair(self, line, *samples, figure="per_s"):
        """Records one turn: our sample, and theirs if there is one."""
        values = dict(zip(("ours", "theirs"), (sample[figure] for sample in samples)))
        figures = ", ".join(f"{side} {_digits(value)}" for side, value in values.items())
        print(f"  {line.what}: {figures} {line.unit}", flush=True)
        self.write({"line": vars(line), **values, "samples": samples})

    def point(self, peer, connections, sample):
        """Records a point of a chart."""
        print(
            f"  {peer}, connections {connections}: {sample['per_s']:.0f}/s, p99 {sample['p99_us']:.0f} µs",
            flush=True,
        )
        self.write({"peer": peer, "connections": connections, "sample": sample})

    def note(self, text):
        print(f"  note: {text}", flush=True)
        self.write({"note": text})

    def done(self):
        self.write({"done": True})


def latest(settings):
    """Returns the records of each row's last finished run with these settings."""
    if not RESULTS.exists():
        return {}
    runs = {}
    finished = {}
    for text in RESULTS.read_text(encoding="utf-8").splitlines():
        record = json.loads(text)
        if record["settings"] != settings.as_dict():
            continue
        key = record["row"], record["run"]
        runs.setdefault(key, []).append(record)
        if record.get("done"):
            finished[record["row"]] = runs[key]
    return finished


def table(rows, settings):
    """Returns the table in Markdown, and the notes below it."""
    head = ("what", "goal", "ratio", "ours", "theirs", "pairs", "")
    lines, notes = [head, tuple("---" for _ in head)], []
    finished = latest(settings)
    for row in rows:
        records = finished.get(row, [])
        by_line = {}
        for record in records:
            if "line" in record:
                by_line.setdefault(Line(**record["line"]), []).append(record)
            if "note" in record:
                notes.append(f"{row}: {record['note']}")
        lines += [summary(line, samples) for line, samples in by_line.items()]
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + [""] + notes)


def summary(line, records):
    """Returns the cells of a line of the table: the medians of all turns."""
    ours = median(record["ours"] for record in records)
    judged, unit, cells = ours, f" {line.unit}", ("", f"{_digits(ours)} {line.unit}", "")
    if "theirs" in records[0]:
        theirs = median(record["theirs"] for record in records)
        judged, unit = median(record["ours"] / record["theirs"] for record in records), ""
        cells = f"{judged:.2f}", f"{_digits(ours)} {line.unit}", f"{_digits(theirs)} {line.unit}"
    goal, verdict = "", ""
    if line.goal is not None:
        goal = f"{'≤' if line.at_most else '≥'} {_digits(line.goal)}{unit}"
        verdict = "reached" if (judged <= line.goal if line.at_most else judged >= line.goal) else "missed"
    return line.what, goal, *cells, str(len(records)), verdict


def _digits(number):
    """Formats a number with three significant digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
