"""What can be set from outside, and where things are."""

import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
WORK = Path(os.environ["PEERS_WORK"])
CHINWAG = Path(os.environ["PEERS_CHINWAG"])
TOOLS = Path(os.environ["PEERS_TOOLS"])
TARGET = WORK.parent
VENV = WORK / "venv"
RESULTS = Path(os.environ.get("RESULTS", WORK / "results.jsonl"))

# Sixty bytes, as a message in a busy channel has on average.
TEXT = "I tried that and it still says no such device, what is next?"
assert len(TEXT) == 60


@dataclass(frozen=True)
class Settings:
    """What samples must have in common to be compared."""

    pairs: int
    seconds_each: float
    warm_up_seconds: float
    # Of the sizes that the rows name: less only to see that everything runs.
    scale: float

    def sized(self, number):
        """So many, scaled down."""
        return max(int(number * self.scale), 1000)

    def __str__(self):
        named = {
            "PAIRS": self.pairs,
            "SECONDS_EACH": self.seconds_each,
            "WARM_UP_SECONDS": self.warm_up_seconds,
        }
        return " ".join(f"{name}={value:g}" for name, value in {**named, "SCALE": self.scale}.items())

    def as_dict(self):
        return asdict(self)


def from_environment():
    smoke = os.environ.get("SMOKE", "") not in ("", "0")
    defaults = (1, 1, 0.5, 0.01) if smoke else (5, 5, 2, 1)
    names = ("PAIRS", "SECONDS_EACH", "WARM_UP_SECONDS", "SCALE")
    pairs, seconds, warm_up, scale = (float(os.environ.get(n, d)) for n, d in zip(names, defaults))
    return Settings(int(pairs), seconds, warm_up, scale)


def commit():
    """What is measured, as git names it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"
