"""`python -m operator_wallet`: the wallet on a port of its own, until a signal ends it."""

import argparse
import asyncio
import base64
import json
import logging
import os
import secrets
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from typing import Final

from operator_wallet.entries import Policy, RepeatBalance
from operator_wallet.server import WalletSettings, serve
from security.standard_webhooks import SECRET_PREFIX, PublicKey, SharedSecret, WebhookCheck

# Arguments can be read by everybody on the machine, the environment cannot.
SECRET_VARIABLE: Final = "OPERATOR_WALLET_SECRET"  # noqa: S105 - the name of a variable
CONTROL_TOKEN_VARIABLE: Final = "OPERATOR_WALLET_CONTROL_TOKEN"  # noqa: S105 - as above


def main(arguments: Sequence[str], *, program: str = "python -m operator_wallet") -> int:
    """Returns 0 after a signal, 1 with one line when it cannot start, 2 for arguments that are wrong."""
    options = _parser(program).parse_args(arguments)
    given = [*options.secret, *([value] if (value := os.environ.get(SECRET_VARIABLE)) else [])]
    made = None if given or options.public_key else _new_secret()
    try:
        settings = _settings(options, [made] if made else given)
    except ValueError as problem:
        return _fail(f"a secret or a key cannot be used: {problem}", 2)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    try:
        asyncio.run(_until_a_signal(settings, lambda url: _say(url, made, as_json=options.json)))
    except OSError as problem:
        return _fail(f"port {options.port} of {options.host} cannot be used: {problem.strerror}", 1)
    except sqlite3.Error as problem:
        return _fail(f"the database {options.database} cannot be used: {problem}", 1)
    return 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="A reference wallet to run beside Croupier: own process, own database, faults on demand.",
        epilog=f"{SECRET_VARIABLE} and {CONTROL_TOKEN_VARIABLE} can give the two secrets instead.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8900, help="0 takes a free one (default: %(default)s)")
    add("--database", default=":memory:", help="a file that keeps the book (default: %(default)s)")
    add("--secret", action="append", default=[], help="whsec_...; again while one is rotated; else made anew")
    add("--public-key", action="append", default=[], help="whpk_..., when Croupier signs with Ed25519")
    add("--currency", default="EUR", help="of the players that it opens (default: %(default)s)")
    add("--new-players", type=_amount, metavar="AMOUNT", help="open unknown players with it, in minor units")
    add("--repeat-balance", type=RepeatBalance, choices=list(RepeatBalance), default=RepeatBalance.LIVE)
    add(
        "--control-token",
        default=os.environ.get(CONTROL_TOKEN_VARIABLE),
        help="opens /control/ to its bearer: faults on demand (docs/platform/wallet-certify.md)",
    )
    add("--fast", action="store_true", help="do not wait for the disk: a power cut may lose the last calls")
    add("--json", action="store_true", help="say where it is as one line of JSON")
    return parser


def _amount(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise argparse.ArgumentTypeError("an amount is an integer in minor units")
    return int(text)


def _settings(options: argparse.Namespace, shared_secrets: Sequence[str]) -> WalletSettings:
    """Raises ValueError, which quotes no key."""
    checks: list[WebhookCheck] = [SharedSecret.parse(text) for text in shared_secrets]
    checks += [PublicKey.parse(text) for text in options.public_key]
    return WalletSettings(
        host=options.host,
        port=options.port,
        database=options.database,
        checks=checks,
        policy=Policy(
            currency=options.currency,
            new_players=options.new_players,
            repeat_balance=options.repeat_balance,
            survives_power_cuts=not options.fast,
        ),
        control_token=options.control_token or None,
    )


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


async def _until_a_signal(settings: WalletSettings, announce: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await serve(settings, stop, announce)


def _say(url: str, made: str | None, *, as_json: bool) -> None:
    """A secret that was made here is shown here, and nowhere again."""
    if as_json:
        line = json.dumps({"url": url, **({"secret": made} if made else {})})
    else:
        line = f"operator-wallet: {url}" + (f"  secret: {made}" if made else "")
    print(line, flush=True)  # noqa: T201 - the one line that it prints


def _fail(problem: str, code: int) -> int:
    print(f"operator-wallet: {problem}", file=sys.stderr)  # noqa: T201 - the one line of a failed start
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
