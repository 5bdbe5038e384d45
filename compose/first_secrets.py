"""`python -m compose.first_secrets FOLDER`: the passwords and keys of a new installation, a file for each.

For `compose/compose.yaml`, and for any other form. What is there is never written again: a database knows its
passwords from its first start, and without its keyring nothing that was sealed opens.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from pathlib import Path
from typing import Final

from compose.postgres import APPLICATION, CONSOLE, DATABASE
from compose.postgres import USER as OWNER
from compose.rabbitmq import APPLICATION as BROKER_USER
from compose.rabbitmq import USER as BROKER_ADMINISTRATOR
from compose.rabbitmq import definitions
from security.keyring import Keyring, section_json

TEMPORAL: Final = "temporal"
ROLES: Final = f"""\
CREATE ROLE {OWNER} LOGIN PASSWORD '{{owner}}';
CREATE ROLE {APPLICATION} LOGIN PASSWORD '{{application}}';
CREATE ROLE {CONSOLE} LOGIN PASSWORD '{{console}}';
CREATE DATABASE {DATABASE} OWNER {OWNER};
CREATE ROLE {TEMPORAL} LOGIN PASSWORD '{{temporal}}';
CREATE DATABASE temporal OWNER {TEMPORAL};
CREATE DATABASE temporal_visibility OWNER {TEMPORAL};
"""


def contents(*, database: str, broker: str) -> dict[str, str]:
    """The files by their names; `database` and `broker` are where the programs find them, host:port."""
    owner, application, console, temporal = (secrets.token_urlsafe(24) for _ in range(4))
    of_broker, administrator = (secrets.token_urlsafe(24) for _ in range(2))
    keyring = Keyring.generate()
    return {
        "database_url": f"postgresql://{APPLICATION}:{application}@{database}/{DATABASE}",
        "console_database_url": f"postgresql://{CONSOLE}:{console}@{database}/{DATABASE}",
        "owner_database_url": f"postgresql://{OWNER}:{owner}@{database}/{DATABASE}",
        "amqp_url": f"amqp://{BROKER_USER}:{of_broker}@{broker}/",
        "keyring_json": keyring.to_json(),
        "payload_keys_json": section_json(keyring.payload),
        "console_oidc_client_secret": "",  # an issuer's, where one is set
        "postgres_password": secrets.token_urlsafe(24),
        "roles.sql": ROLES.format(owner=owner, application=application, console=console, temporal=temporal),
        "rabbitmq_definitions.json": json.dumps(definitions(administrator, of_broker), indent=2),
        f"rabbitmq_password_of_{BROKER_ADMINISTRATOR}": administrator,
        "temporal.env": f"POSTGRES_PWD={temporal}\nSQL_PASSWORD={temporal}\n",
        "grafana_password": secrets.token_urlsafe(24),
    }


def write(folder: Path, texts: dict[str, str]) -> None:
    """Makes the folder, which nobody else may enter. All may read its files, because the users in containers,
    who get them one by one, are others. Raises FileExistsError."""
    folder.mkdir(mode=0o700, parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o444)


def main() -> None:
    """Takes the folder, and where the programs find the database and the broker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--database", default="postgres:5432", metavar="HOST:PORT")
    parser.add_argument("--broker", default="rabbitmq:5672", metavar="HOST:PORT")
    arguments = parser.parse_args()
    try:
        write(arguments.folder, contents(database=arguments.database, broker=arguments.broker))
    except OSError as problem:
        sys.exit(f"first_secrets: {problem.filename}: {problem.strerror}; nothing was changed")
    print(f"{arguments.folder} has the secrets of a new installation: keep a copy apart from its data")  # noqa: T201


if __name__ == "__main__":
    main()
