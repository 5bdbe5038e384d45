"""How full the disks of an embedded stack are, and nothing where there is none."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from workers import disk

FREE, SIZE = "croupier_home_disk_free_bytes", "croupier_home_disk_size_bytes"


@pytest.fixture(autouse=True)
def nothing_shown() -> Iterator[None]:
    disk.DISK_FREE.clear()
    disk.DISK_SIZE.clear()
    yield
    disk.DISK_FREE.clear()
    disk.DISK_SIZE.clear()


def shown(name: str, of: str = "home") -> float | None:
    return REGISTRY.get_sample_value(name, {"of": of})


def test_the_file_system_of_the_home_is_shown_as_the_system_has_it(tmp_path: Path) -> None:
    (tmp_path / "data" / "postgres").mkdir(parents=True)
    disk.show(tmp_path)
    free, size = shown(FREE), shown(SIZE)
    found = os.statvfs(tmp_path)
    assert size == found.f_blocks * found.f_frsize
    assert free is not None
    assert 0 < free < size
    assert shown(FREE, "database") is None, "it is the same one"


def test_a_database_on_another_file_system_is_shown_beside_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "postgres").symlink_to("/dev/shm")  # noqa: S108 - a file system of its own
    disk.show(tmp_path)
    found = os.statvfs("/dev/shm")  # noqa: S108
    assert shown(SIZE, "database") == found.f_blocks * found.f_frsize != shown(SIZE)


def test_without_a_stack_on_this_machine_nothing_is_shown(tmp_path: Path) -> None:
    disk.show(tmp_path)
    assert shown(FREE) is None
