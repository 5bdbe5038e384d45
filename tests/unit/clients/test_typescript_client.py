"""The TypeScript client without a casino: what it makes of answers, and where it sends what it asks."""

from tests.e2e.node import TYPESCRIPT, node


async def test_it_makes_the_same_of_each_answer_as_the_table_says() -> None:
    await node("--test", str(TYPESCRIPT / "test" / "certain.test.ts"))
