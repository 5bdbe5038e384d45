"""Where a stack's services are: those that it embeds, and those that the settings name elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compose.postgres import EmbeddedPostgres
from compose.rabbitmq import EmbeddedRabbitMQ
from compose.temporal import EmbeddedTemporal
from runtime.settings import Settings


@dataclass(frozen=True)
class Addresses:
    """Where the services are. The URLs hold passwords, so they stay out of the printed form. `database_url`
    is the owner's, who makes the tables, and `amqp_url` the administrator's; `application_database_url` and
    `application_amqp_url` are what our programs connect with. An outside service may have one for both.
    `reader_database_url` is for people who look, and `console_database_url` for the console."""

    database_url: str
    application_database_url: str
    amqp_url: str
    application_amqp_url: str
    temporal_address: str
    temporal_namespace: str
    temporal_ui: str | None
    temporal_metrics: str | None
    reader_database_url: str | None = None
    console_database_url: str | None = None
    rabbitmq_metrics: str | None = None
    rabbitmq_queue_metrics: str | None = None

    def __repr__(self) -> str:
        return f"Addresses(temporal_address={self.temporal_address!r}, ...)"


@dataclass(frozen=True)
class Services:
    """The services that a stack embeds; None for each that the settings name elsewhere."""

    postgres: EmbeddedPostgres | None
    rabbitmq: EmbeddedRabbitMQ | None
    temporal: EmbeddedTemporal | None


def addresses_of(settings: Settings, services: Services) -> Addresses:
    """Of the services that are embedded, and of those that the settings name."""
    postgres, rabbitmq, temporal = services.postgres, services.rabbitmq, services.temporal

    def given(value: Any) -> str:
        return str(value.get_secret_value())

    return Addresses(
        database_url=postgres.url
        if postgres
        else given(settings.owner_database_url or settings.database_url),
        application_database_url=postgres.application_url if postgres else given(settings.database_url),
        amqp_url=rabbitmq.url if rabbitmq else given(settings.amqp_url),
        application_amqp_url=rabbitmq.application_url if rabbitmq else given(settings.amqp_url),
        temporal_address=temporal.address if temporal else str(settings.temporal_address),
        temporal_namespace=settings.temporal_namespace,
        temporal_ui=temporal.ui if temporal else None,
        temporal_metrics=temporal.metrics if temporal else None,
        reader_database_url=postgres.reader_url if postgres else None,
        console_database_url=postgres.console_url if postgres else _of_console(settings),
        rabbitmq_metrics=rabbitmq.metrics if rabbitmq else None,
        rabbitmq_queue_metrics=rabbitmq.queue_metrics if rabbitmq else None,
    )


def _of_console(settings: Settings) -> str | None:
    url = settings.console_database_url
    return None if url is None else url.get_secret_value()
