"""What can go wrong with the stack. The text of each is what a person reads."""

from __future__ import annotations


class StackProblem(Exception):
    """The stack cannot start or go on. `exit_code` is what the command line returns."""

    exit_code = 1


class PortTaken(StackProblem):
    """A port that a setting asks for is in use."""

    exit_code = 2

    def __init__(self, name: str, port: int) -> None:
        super().__init__(f"port {port} (CROUPIER_{name.upper()}_PORT) is in use: free it, or choose another")


class AlreadyRunning(StackProblem):
    """Another supervisor holds this home."""


class Unavailable(StackProblem):
    """A service cannot be had here. The text says what to install or which setting to give."""


class NotReady(Exception):
    """One probe failed; another may succeed a moment later."""


class Died(StackProblem):
    """A component ended by itself."""

    def __init__(self, name: str, how: str, tail: str) -> None:
        self.name, self.how, self.tail = name, how, tail
        said = f"the end of its log:\n{tail}" if tail else "it wrote nothing to its log"
        super().__init__(f"{name} {how}; {said}")


class DiedTooOften(StackProblem):
    """A component ended by itself again and again."""

    def __init__(self, died: Died, times: int) -> None:
        super().__init__(f"gave up after {times} deaths in a row: {died}")
