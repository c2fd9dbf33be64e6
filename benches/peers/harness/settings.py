"""Which settings come from the environment, and where are the files?"""

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

# Sixty bytes, about the mean length of a message in a busy channel.
TEXT = "I tried that and it still says no such device, what is next?"
assert len(TEXT) == 60


@dataclass(frozen=True)
class Settings:
    """Settings that samples must share to be comparable."""

    pairs: int
    seconds_each: float
    warm_up_seconds: float
    # Factor for the sizes in the names of rows; below 1, it only shows that everything runs.
    scale: float

    def sized(self, number):
        """Returns the number, scaled down, but at least 1,000."""
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
    """Returns the name that git gives to the measured commit."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"
