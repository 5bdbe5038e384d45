"""The command changes keyrings as the tests of the keyring make them."""

from tests.unit.security.conftest import file as file
