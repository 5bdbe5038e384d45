"""Who acts in a test, as the audit log then has it."""

from typing import Final

from contracts.audit import By

BY: Final = By("cli:a-test")
