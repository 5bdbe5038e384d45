"""An operator's wallet as `./croupier operator wallet set` stores it."""

from pydantic import SecretStr

from cli.operator import wallet as command
from compose.stack import Stack
from runtime.settings import Settings


def program_settings(stack: Stack) -> Settings:
    """As our programs have them: with the role that plays, not the owner."""
    url = SecretStr(stack.addresses.application_database_url)
    return stack.settings.model_copy(update={"database_url": url})


async def set_wallet(
    settings: Settings,
    operator_id: str,
    url: str,
    secret: str,
    *,
    connect_ms: int | None = None,
    read_ms: int | None = None,
    total_ms: int | None = None,
    several_bets: bool | None = None,
) -> None:
    """The operator's players have their money at this wallet. Limits that are None are the dialect's."""
    wanted = command.Wanted(
        operator_id=operator_id,
        url=url,
        dialect="croupier",
        local=True,
        connect_ms=connect_ms,
        read_ms=read_ms,
        total_ms=total_ms,
        calls=None,
        several_bets=several_bets,
    )
    await command.store(settings, wanted, (secret,))
