"""What was checked and what breaks it: the one form in which every part of verification answers."""

from dataclasses import dataclass, field
from typing import Any, Final

EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One invariant: it holds when `count` is 0; otherwise the first few `examples` say what breaks it."""

    code: str  # I1..I9 as the design names them, or a word
    name: str
    title: str
    count: int
    examples: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.count == 0

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        return {
            "code": self.code,
            "name": self.name,
            "title": self.title,
            "holds": self.holds,
            "count": self.count,
            "examples": list(self.examples),
        }


@dataclass(slots=True)
class Tally:
    """Counts what breaks one invariant and keeps the first examples, so its size does not grow."""

    code: str
    name: str
    title: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def finding(self) -> Finding:
        return Finding(
            code=self.code,
            name=self.name,
            title=self.title,
            count=self.count,
            examples=tuple(self.examples),
        )
