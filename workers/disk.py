"""How full the disks are that the embedded stack writes to.

With services of your own their disks are on other machines, and whoever runs those watches them, with
node_exporter for instance: a program that finds no data of a stack here shows nothing.
"""

import os
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import Gauge

DISK_SIZE: Final = Gauge(
    "croupier_home_disk_size_bytes",
    "Size of the file system below the embedded stack: `home` has all of it, or `database` its own.",
    ["of"],
)
DISK_FREE: Final = Gauge(
    "croupier_home_disk_free_bytes", "How much of it an ordinary user may still fill.", ["of"]
)


def show(home: Path) -> None:
    """From now on, each scrape asks the file systems of this home's data. PostgreSQL of a stack that root
    started may have one of its own."""
    places = {"home": home / "data", "database": home / "data" / "postgres"}
    shown: set[int] = set()
    for of, place in places.items():
        if place.is_dir() and (device := place.stat().st_dev) not in shown:
            shown.add(device)
            DISK_SIZE.labels(of).set_function(partial(_size, place))
            DISK_FREE.labels(of).set_function(partial(_free, place))


def _size(place: Path) -> float:
    found = os.statvfs(place)
    return float(found.f_blocks * found.f_frsize)


def _free(place: Path) -> float:
    found = os.statvfs(place)
    return float(found.f_bavail * found.f_frsize)
