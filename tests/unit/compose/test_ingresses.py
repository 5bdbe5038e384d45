"""Several ingresses: what each is told, and that together they have what is set."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from compose import ingresses
from compose.ingresses import COUNTS, RATES
from compose.problems import StackProblem
from compose.stack import Stack
from runtime.settings import Settings, SettingsError
from workers.http_server import listen


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a stack that embeds nothing."""
    return Settings(
        home=tmp_path / "home",
        database_url=SecretStr("postgresql://croupier@127.0.0.1:1/croupier"),
        amqp_url=SecretStr("amqp://croupier@127.0.0.1:1/"),
        temporal_address="127.0.0.1:1",
        commands_prefetch=50,
    )


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_every_limit_of_an_ingress_is_shared() -> None:
    limits = {name for name in Settings.model_fields if name.startswith(("max_", "limit_"))}
    assert limits | {"commands_prefetch"} == {*COUNTS, *RATES}


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_the_parts_make_the_whole(settings: Settings, count: int) -> None:
    parts = [ingresses.part(settings, number, count) for number in range(count)]
    for name in COUNTS:
        own = [int(part[f"CROUPIER_{name.upper()}"]) for part in parts]
        whole = getattr(settings, name)
        assert sum(own) == max(whole, count)
        assert min(own) >= 1
        assert max(own) - min(own) <= 1
    for name in RATES:
        assert sum(float(part[f"CROUPIER_{name.upper()}"]) for part in parts) == pytest.approx(
            getattr(settings, name)
        )


def test_what_is_not_limited_stays_so(settings: Settings) -> None:
    free = settings.model_copy(update={"limit_failures_per_s": 0, "commands_prefetch": None})
    part = ingresses.part(free, 0, 4)
    assert float(part["CROUPIER_LIMIT_FAILURES_PER_S"]) == 0
    assert "CROUPIER_COMMANDS_PREFETCH" not in part


async def test_a_stack_hands_one_socket_to_all_and_each_has_its_own_metrics(settings: Settings) -> None:
    async with Stack(settings, ingresses=3) as stack:
        programs = [program for program in stack.programs() if program.module == ingresses.MODULE]
        assert [program.name for program in programs] == ["ingress", "ingress-2", "ingress-3"]
        assert len({program.ready_url for program in programs}) == 3
        (descriptor,) = {program.pass_fds for program in programs}
        assert {program.settings["CROUPIER_HTTP_FD"] for program in programs} == {str(descriptor[0])}
        assert {program.command().pass_fds for program in programs} == {descriptor}
        port = int(programs[0].settings["CROUPIER_HTTP_PORT"])
        with socket.create_connection(("127.0.0.1", port)):
            pass  # it listens before any of them runs
        again = [program for program in stack.programs() if program.module == ingresses.MODULE]
        assert again == programs
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


async def test_one_alone_opens_its_port_itself(settings: Settings) -> None:
    async with Stack(settings) as stack:
        (program,) = (program for program in stack.programs() if program.module == ingresses.MODULE)
    assert program.pass_fds == ()
    assert "CROUPIER_HTTP_FD" not in program.settings
    assert program.ready_url.endswith("/readyz")


def test_a_port_in_use_is_one_line(settings: Settings, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(
        StackProblem, match=f"port {port} of 127.0.0.1 cannot be used: Address already in use"
    ):
        ingresses.share(settings, port)


def test_a_socket_that_was_handed_down_is_listened_on(settings: Settings, listener: socket.socket) -> None:
    own = listen(settings.model_copy(update={"http_fd": listener.dup().detach()}))
    with own:
        assert own.getsockname() == listener.getsockname()
        assert not own.get_inheritable()


def test_what_is_no_listening_socket_is_refused(settings: Settings, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(SettingsError, match="is no socket"):
        listen(settings.model_copy(update={"http_fd": file.fileno()}))
    with socket.socket() as silent:
        descriptor = silent.detach()
    with pytest.raises(SettingsError, match="does not listen"):
        listen(settings.model_copy(update={"http_fd": descriptor}))
