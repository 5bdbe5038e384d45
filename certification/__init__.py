"""The certification cases that concern a wallet, asked of any wallet from outside."""
