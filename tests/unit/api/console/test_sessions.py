"""Sessions end by themselves, by being forgotten, and when there are too many."""

from api.console import sessions
from api.console.sessions import IDLE_S, LONGEST_S, Sessions


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def begun(found: Sessions, scope: str = "operator", operator_id: str = "o") -> str:
    return found.begin(key="the-key", key_id="k", operator_id=operator_id, operator_name="O", scope=scope)


def test_one_ends_when_it_is_not_used() -> None:
    clock = Clock()
    found = Sessions(clock)
    secret = begun(found)
    for _ in range(3):
        clock.now += IDLE_S - 1
        assert found.find(secret) is not None
    clock.now += IDLE_S
    assert found.find(secret) is None
    assert found.find(secret) is None


def test_to_watch_is_no_use_of_one() -> None:
    clock = Clock()
    found = Sessions(clock)
    secret = begun(found)
    clock.now = IDLE_S - 1
    assert found.lasting(secret) is not None
    clock.now = IDLE_S
    assert found.lasting(secret) is None
    assert found.find(secret) is None


def test_one_ends_however_much_it_is_used() -> None:
    clock = Clock()
    found = Sessions(clock)
    secret = begun(found)
    while clock.now + IDLE_S / 2 < LONGEST_S:
        clock.now += IDLE_S / 2
        assert found.find(secret) is not None
    clock.now = LONGEST_S
    assert found.find(secret) is None


def test_the_one_used_longest_ago_makes_room_among_those_of_its_operator() -> None:
    found = Sessions(Clock())
    rivals = begun(found, operator_id="rival")
    first, second = begun(found), begun(found)
    assert found.find(first) is not None
    for _ in range(sessions.SESSIONS_OF_OPERATOR - 1):
        begun(found)
    assert found.find(second) is None
    assert found.find(first) is not None
    assert found.find(rivals) is not None, "nobody signs another operator's people out"


def test_those_that_are_over_take_no_room() -> None:
    clock = Clock()
    found = Sessions(clock)
    for _ in range(sessions.SESSIONS_OF_OPERATOR):
        begun(found)
    clock.now = IDLE_S
    begun(found, operator_id="rival")
    assert len(found._open) == 1


def test_ends_by_sign_out_and_nobody_is_found_by_nothing() -> None:
    found = Sessions(Clock())
    secret = begun(found)
    found.end(secret)
    assert found.find(secret) is None
    assert found.find("") is None


def test_shows_neither_key_nor_secret_and_says_who_decides() -> None:
    found = Sessions(Clock())
    for scope, role, decides in (
        ("game", "viewer", False),
        ("operator", "support", True),
        ("admin", "admin", True),
    ):
        session = found.find(begun(found, scope))
        assert session is not None
        assert (session.role, session.decides) == (role, decides)
        assert "the-key" not in repr(session)
        assert session.csrf not in repr(session)
