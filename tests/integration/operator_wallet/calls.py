"""Calls to the reference wallet, and what it answers."""

from typing import Any

import httpx

from tests.support.operator_wallet import RunningWallet

FUNDS = 10_000


def said(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    return answer.status_code, answer.json()


def refused(code: str, balance: int | None = None) -> dict[str, Any]:
    return {"code": code} if balance is None else {"code": code, "balance": balance}


async def post(
    wallet: RunningWallet, call: str, content: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    return said(await wallet.client.post(f"{wallet.url}/{call}", content=content, headers=headers))
