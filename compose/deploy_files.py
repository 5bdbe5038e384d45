"""Writes what deploy files repeat of the table of programs: Docker Compose, Kubernetes, systemd, Prometheus;
and Grafana's dashboards.

    python -m compose.deploy_files

A test compares the files with what this would write. The shapes are in `compose/templates/`.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from compose.dashboards import DASHBOARDS, as_json
from compose.programs import PROGRAMS, Program
from compose.watched import kept
from runtime.settings import OF_A_FILE, PREFIX, SECRETS

HERE: Final = Path(__file__).parent
BEGIN: Final = "  # Made from compose/programs.py by `python -m compose.deploy_files`. Do not edit:\n"
END: Final = "  # End of what is made.\n"
SECRETS_IN_CONTAINERS: Final = "/run/secrets"
SECRETS_IN_PODS: Final = "/run/secrets/croupier"
# Requested processor and memory, and the most memory. Games of others come on top of the ingress's.
SMALL: Final = {"cpu": "100m", "memory": "192Mi", "most_memory": "384Mi"}
LARGE: Final = {"cpu": "1", "memory": "384Mi", "most_memory": "1Gi"}
# The services' jobs: where each is, what else is said of it, and how the names of its metrics begin. What
# RabbitMQ has of each queue is on a page of its own.
OF_QUEUES: Final = "    metrics_path: /metrics/detailed\n    params: {family: [queue_coarse_metrics]}\n"
SERVICES: Final = (
    ("temporal", "temporal:9090", "", ("approximate_", "service_", "persistence_")),
    ("rabbitmq", "rabbitmq:15692", "", ("rabbitmq_alarms_",)),
    ("rabbitmq-queues", "rabbitmq:15692", OF_QUEUES, ("rabbitmq_detailed_",)),
)


class Shape(string.Template):
    """A template whose names stand as @{name}, because its languages use the dollar."""

    delimiter = "@"


def files() -> dict[Path, str]:
    """Every file that is made, or made in part, with its whole text."""
    made = {_kubernetes_folder(program) / f"{program.name}.yaml": kubernetes(program) for program in PROGRAMS}
    made |= {HERE / "systemd" / f"{_unit(program)}.service": systemd(program) for program in PROGRAMS}
    for path, lines in (
        (HERE / "compose.yaml", "\n".join(f"{compose(program).rstrip()}\n" for program in PROGRAMS)),
        (HERE / "prometheus" / "prometheus.yml", "".join(map(scraped, PROGRAMS)) + scraped_services()),
    ):
        made[path] = _with_part(path.read_text(encoding="utf-8"), lines)
    return made | {
        HERE / "grafana" / "dashboards" / f"{board.uid}.json": as_json(board) for board in DASHBOARDS
    }


def kubernetes(program: Program) -> str:
    """A Deployment; a Service for what is called; a budget for disruptions for what has several copies."""
    wanted = LARGE if program.http_port else SMALL
    files = secrets_of(program) | {name: name for name in program.certificate}
    text = _shape("kubernetes.yaml").substitute(
        **_common(program),
        **wanted,
        # The autoscaler owns the number of ingresses.
        replicas="" if program.http_port else f"  replicas: {program.copies}\n",
        ready_every_s=2 if program.http_port else 10,
        http_variable=_lines(
            _http(program) | _in_containers(program) | _api(program, "croupier-ingress"),
            '            - {{name: {}, value: "{}"}}',
        ),
        secret_variables=_lines(_paths(program, SECRETS_IN_PODS), "            - {{name: {}, value: {}}}"),
        http_container_port=_container_ports(program),
        secret_items=_lines(
            {files[name]: name for name in files}, "              - {{key: {}, path: {}}}"
        ).rstrip(),
    )
    if program.http_port:
        text += _shape("kubernetes-service.yaml").substitute(name=program.name)
    if program.copies > 1:
        text += _shape("kubernetes-disruption.yaml").substitute(name=program.name)
    return text


def compose(program: Program) -> str:
    """A service of compose.yaml."""
    files = secrets_of(program) | {name: name for name in program.certificate}
    networks = ["back", *(["front"] if program.http_port else []), *(["out"] if program.calls_out else [])]
    networks += ["people"] if program.people_port else []
    # One of each but the ingress is enough where all are on one machine.
    copies = program.copies if program.http_port else 1
    return _shape("compose.yaml").substitute(
        **_common(program),
        http_variable=_lines(
            _http(program) | _in_containers(program) | _api(program, "ingress:8080"), "      {}: {}"
        ),
        secret_variables=_lines(_paths(program, SECRETS_IN_CONTAINERS), "      {}: {}"),
        secrets=", ".join(
            name if name == source else f"{{source: {source}, target: {name}}}"
            for name, source in files.items()
        ),
        networks=", ".join(networks),
        ports=f'    ports: ["127.0.0.1:{program.people_port}:{program.people_port}"]\n'
        if program.people_port
        else "",
        profiles=f"    profiles: [{program.name}]\n" if program.optional else "",
        deploy=f"    deploy: {{replicas: {copies}}}\n" if copies > 1 else "",
    )


def systemd(program: Program) -> str:
    """A unit. Of the ingress a template: instance N of 0 to 9 has the ports that end in N."""
    variables = {
        f"{PREFIX}METRICS_PORT": str(program.metrics_port),
        **_http(program),
        **_people(program),
        **_api(program, "127.0.0.1:8081"),
        **_file_variables({name: f"%d/{name}" for name in secrets_of(program)}),
    }
    if program.http_port:
        assert program.http_port % 10 == program.metrics_port % 10 == 0
        ports = f"{PREFIX}METRICS_PORT", f"{PREFIX}HTTP_PORT"
        variables |= {name: f"{variables[name][:-1]}%i" for name in ports}
    return _shape("systemd.service").substitute(
        **_common(program),
        unit=_unit(program) + ("1" if program.http_port else ""),
        instance=" %i" if program.http_port else "",
        variables=_lines(variables, "Environment={}={}").rstrip(),
        credentials=_lines(
            {name: f"/etc/croupier/secrets/{source}" for name, source in secrets_of(program).items()},
            "LoadCredential={}:{}",
        ).rstrip(),
    )


def scraped(program: Program) -> str:
    """A job of Prometheus in Docker Compose, which finds every copy by the service's name."""
    return (
        f"  - job_name: {program.name}\n    dns_sd_configs:\n"
        f"      - {{names: [{program.name}], type: A, port: {program.metrics_port}, refresh_interval: 5s}}\n"
    )


def scraped_services() -> str:
    """The jobs of the services, of whose metrics rules and dashboards use few: Temporal alone has some ten
    thousand."""
    return "".join(
        f'  - job_name: {job}\n{more}    static_configs: [{{targets: ["{target}"]}}]\n'
        "    metric_relabel_configs:\n"
        f"      - {{action: keep, source_labels: [__name__], regex: {kept(*prefixes)}}}\n"
        for job, target, more, prefixes in SERVICES
    )


def secrets_of(program: Program) -> dict[str, str]:
    """Those that the program is handed, by the settings that they are, with the names that they have where
    they are kept: of the addresses it needs, the keyring, which all need, and what may be empty."""
    needed = {name: name for name in program.settings if name in SECRETS} | {"keyring_json": program.keys}
    return needed | {name: name for name in program.may_be_empty}


def _paths(program: Program, folder: str) -> dict[str, str]:
    """The variables that name the files which a container has in `folder`."""
    certificate = {f"{PREFIX}{name.upper()}": f"{folder}/{name}" for name in program.certificate}
    return _file_variables({name: f"{folder}/{name}" for name in secrets_of(program)}) | certificate


def _kubernetes_folder(program: Program) -> Path:
    """What is optional is a component, which an overlay takes in."""
    kubernetes = HERE / "kubernetes"
    return kubernetes / "components" / program.name if program.optional else kubernetes / "base"


def _common(program: Program) -> dict[str, object]:
    return {
        "name": program.name,
        "does": program.does,
        "module": program.module,
        "metrics_port": program.metrics_port,
        "probe_port": program.probe_port,
        "ready": program.ready,
        "alive": program.alive,
        "drain_s": program.drain_s,
        "calls_out": str(program.calls_out).lower(),
    }


def _http(program: Program) -> dict[str, str]:
    return {f"{PREFIX}HTTP_PORT": str(program.http_port)} if program.http_port else {}


def _people(program: Program) -> dict[str, str]:
    port = program.people_port
    return {f"{PREFIX}{program.name.upper()}_PORT": str(port)} if port else {}


def _api(program: Program, place: str) -> dict[str, str]:
    """Where it reaches an ingress."""
    return {f"{PREFIX}CONSOLE_API_URL": f"http://{place}"} if "console_api_url" in program.settings else {}


def _in_containers(program: Program) -> dict[str, str]:
    """A container's own loopback is nobody else's."""
    if program.people_port is None:
        return {}
    return {f"{PREFIX}{program.name.upper()}_HOST": "0.0.0.0"} | _people(program)  # noqa: S104


def _container_ports(program: Program) -> str:
    ports = {"http": program.http_port, "codec": program.codec_port, "console": program.console_port}
    return "".join(
        f"            - {{name: {name}, containerPort: {port}}}\n" for name, port in ports.items() if port
    )


def _file_variables(secrets: dict[str, str]) -> dict[str, str]:
    return {f"{PREFIX}{name.upper()}{OF_A_FILE}": path for name, path in secrets.items()}


def _lines(values: dict[str, str], form: str) -> str:
    return "".join(f"{form.format(name, value)}\n" for name, value in values.items())


def _unit(program: Program) -> str:
    return f"croupier-{program.name}{'@' if program.http_port else ''}"


def _shape(name: str) -> Shape:
    return Shape((HERE / "templates" / name).read_text(encoding="utf-8"))


def _with_part(text: str, lines: str) -> str:
    """The file's text with the made part in its place."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, "the file has a begin and an end of what is made"
    return f"{before}{BEGIN}{lines.rstrip()}\n{END}{after}"


def outdated() -> Iterator[Path]:
    """The files that are not as they would be made."""
    return (path for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text)


def main() -> None:
    """Writes the files that have changed."""
    for path in list(outdated()):
        path.write_text(files()[path], encoding="utf-8")


if __name__ == "__main__":
    main()
