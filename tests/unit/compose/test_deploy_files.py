"""Deploy files: what repeats the table of programs is made from it, all fit their published schemas, and what
they name is there."""

import functools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml
from pydantic import SecretStr

from api.transports.websocket.server import DRAIN_S as SOCKETS_S
from compose import deploy_files, temporal
from compose.deploy_files import secrets_of
from compose.first_secrets import contents, write
from compose.programs import PROGRAMS, Program
from runtime.settings import PREFIX, PROJECT_ROOT, SECRETS, Settings, SettingsError, load
from runtime.temporal import LAST_STEP_S
from security.keyring import Keyring
from tests.support.measured import MEASURED
from workers import codec, console, http_server, round_worker

COMPOSE: Final = PROJECT_ROOT / "compose"
KUBERNETES: Final = COMPOSE / "kubernetes"
UNITS: Final = sorted((COMPOSE / "systemd").glob("*.service"))
INGRESS: Final = PROGRAMS[0]
# The least version of Kubernetes, and the newest that the checker knows.
OLDEST, NEWEST = "1.29", "1.37"


def test_what_is_made_from_the_table_is_up_to_date() -> None:
    assert [*deploy_files.outdated()] == [], "run: python -m compose.deploy_files"


def test_the_table_has_every_program_that_can_be_run() -> None:
    runnable = {
        f"workers.{path.stem}"
        for path in (PROJECT_ROOT / "workers").glob("*.py")
        if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert {program.module for program in PROGRAMS} == runnable


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
class TestAProgramOfTheTable:
    def test_names_settings_that_there_are(self, program: Program) -> None:
        assert set(program.settings) <= set(Settings.model_fields)

    def test_shares_no_port(self, program: Program) -> None:
        """Nor the nine that end in the numbers of further ingresses of a host."""
        tens = [
            port // 10
            for other in PROGRAMS
            for port in (other.http_port, other.metrics_port, other.people_port)
            if port
        ]
        assert len(tens) == len(set(tens))

    def test_calls_out_where_its_module_does(self, program: Program) -> None:
        assert program.calls_out == (program.name in ("ingress", "reconciler", "webhooks"))


def test_an_ingress_has_the_time_that_its_end_takes() -> None:
    """With the longest delay for load balancers that a file here sets."""
    files = (
        COMPOSE / "compose.yaml",
        KUBERNETES / "base" / "kustomization.yaml",
        COMPOSE / "systemd" / "croupier.env",
    )
    delays = [re.findall(r"DRAIN_DELAY_S[=:] ?(\d+)", path.read_text(encoding="utf-8")) for path in files]
    assert [len(found) for found in delays] == [1, 1, 1]
    code_s = SOCKETS_S + http_server.GRACE_S + round_worker.GRACE.total_seconds() + LAST_STEP_S
    assert max(int(found[0]) for found in delays) + code_s < INGRESS.drain_s


class TestDockerCompose:
    spec: Final[dict[str, Any]] = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))
    services: Final[dict[str, Any]] = spec["services"]

    def test_fits_the_published_schema(self) -> None:
        check("--builtin-schema", "vendor.compose-spec", COMPOSE / "compose.yaml")

    def test_waits_only_for_what_can_be_awaited(self) -> None:
        for name, service in self.services.items():
            for other, wanted in awaited(service).items():
                assert other in self.services, (name, other)
                if wanted == "service_healthy":
                    assert "healthcheck" in self.services[other], (name, other)
                if wanted == "service_completed_successfully":
                    assert self.services[other]["restart"].startswith("on-failure"), (name, other)

    def test_every_service_is_bounded_and_restarted(self) -> None:
        for name, service in self.services.items():
            assert "restart" in service, name
            assert service["logging"]["options"]["max-size"], name
            assert ":latest" not in service["image"] or "croupier" in service["image"], name

    def test_our_containers_can_write_nowhere_and_have_no_rights(self) -> None:
        ours = [service for service in self.services.values() if "croupier" in service["image"]]
        assert len(ours) == len(PROGRAMS) + 2
        for service in ours:
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]

    def test_only_the_migrations_have_the_owners_address(self) -> None:
        has = {
            name for name, found in self.services.items() if "owner_database_url" in found.get("secrets", [])
        }
        assert has == {"migrate", "migrate-after"}

    def test_mounts_files_that_are_there_or_that_first_secrets_makes(self, tmp_path: Path) -> None:
        made = {f"secrets/{name}" for name in contents(database="d:1", broker="b:1")}
        named = {
            mount.split(":")[0] for found in self.services.values() for mount in found.get("volumes", [])
        }
        assert [path for path in named if path.startswith(".") and not (COMPOSE / path).exists()] == []
        of_a_profile = {name for program in PROGRAMS for name in program.certificate}
        secrets = {
            secret["file"] for name, secret in self.spec["secrets"].items() if name not in of_a_profile
        }
        files = {file for found in self.services.values() for file in found.get("env_file", [])}
        assert secrets | files <= made

    def test_temporal_is_the_one_that_the_tests_run(self) -> None:
        """The embedded server says which it is."""
        said = subprocess.run(
            [temporal.program(), "--version"], capture_output=True, text=True, check=True
        ).stdout
        (server,), (ui,) = re.findall(r"Server ([\d.]+)", said), re.findall(r"UI ([\d.]+)", said)
        images = {found["image"] for found in self.services.values() if "temporalio" in found["image"]}
        wanted = {f"server:{server}", f"admin-tools:{server}", f"ui:{ui}"}
        assert images == {f"temporalio/{name}" for name in wanted}

    def test_publishes_on_this_machine_alone(self) -> None:
        published = [port for found in self.services.values() for port in found.get("ports", [])]
        assert len(published) > 4
        assert all(port.startswith("127.0.0.1:") for port in published)

    def test_the_proxy_is_where_the_ingress_trusts_it(self) -> None:
        (front,) = self.spec["networks"]["front"]["ipam"]["config"]
        settings = self.services["ingress"]["environment"]
        assert settings[f"{PREFIX}TRUSTED_PROXIES"] == front["subnet"]
        assert self.services["proxy"]["networks"] == ["front"]
        proxy = (COMPOSE / "services" / "proxy" / "haproxy.cfg").read_text(encoding="utf-8")
        assert f"ingress:{INGRESS.http_port}" in proxy
        assert f"httpchk GET {INGRESS.ready}" in proxy

    def test_the_programs_load_what_they_get(self, tmp_path: Path) -> None:
        """Every variable is a setting, and every file is read: as `load` reads them in the container."""
        write(tmp_path / "secrets", contents(database="postgres:5432", broker="rabbitmq:5672"))
        for program in PROGRAMS:
            given = {name: str(value) for name, value in self.services[program.name]["environment"].items()}
            # As Docker mounts a secret of another name than its file's.
            given[f"{PREFIX}KEYRING_JSON_FILE"] = f"/run/secrets/{program.keys}"
            for name, value in given.items():
                given[name] = value.replace("/run/secrets", str(tmp_path / "secrets"))
            settings = load(given)
            assert [name for name in program.settings if getattr(settings, name) is None] == []
            assert [name for name in program.may_be_empty if getattr(settings, name) is not None] == []
            assert settings.keyring_json is not None
            keys = settings.keyring_json.get_secret_value()
            if program.keys == "keyring_json":
                Keyring.from_json(keys)

    def test_who_opens_payloads_has_the_keys_of_nothing_else(self, tmp_path: Path) -> None:
        of_payloads = [program for program in PROGRAMS if program.keys != "keyring_json"]
        made = contents(database="d:1", broker="b:1")
        for program, address in zip(of_payloads, ("database_url", "console_database_url"), strict=True):
            assert json.loads(made[program.keys]).keys() == {"payload"}
            assert json.loads(made["keyring_json"])["payload"] == json.loads(made[program.keys])["payload"]
            secrets = [
                found if isinstance(found, str) else found["source"]
                for found in self.services[program.name]["secrets"]
            ]
            assert secrets == [address, program.keys, *program.may_be_empty, *program.certificate]

    def test_what_is_optional_is_started_by_its_profile_alone(self) -> None:
        assert {name for name, found in self.services.items() if "profiles" in found} == {
            *(program.name for program in PROGRAMS if program.optional),
            "migrate-after",
        }

    def test_a_codec_server_is_set_up_as_it_would_start(self) -> None:
        """But for who is let in, which whoever starts it says."""
        given = {name: str(value) for name, value in self.services["codec"]["environment"].items()}
        settings = load({name: value for name, value in given.items() if not name.endswith("_FILE")})
        with pytest.raises(SettingsError, match="set codec_oidc_issuer"):
            codec.check(settings)
        codec.check(settings.model_copy(update={"database_url": SecretStr("postgresql://h/d")}))

    def test_a_console_is_set_up_as_it_would_start(self) -> None:
        given = {name: str(value) for name, value in self.services["console"]["environment"].items()}
        settings = load({name: value for name, value in given.items() if not name.endswith("_FILE")})
        assert console.check(settings) == f"http://ingress:{INGRESS.http_port}"


def awaited(service: dict[str, Any]) -> dict[str, str]:
    named = service.get("depends_on", {})
    if isinstance(named, list):
        return dict.fromkeys(named, "service_started")
    return {name: found["condition"] for name, found in named.items()}


def check(*arguments: object) -> None:
    """Runs check-jsonschema, which comes with the published schemas."""
    program = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def documents(path: Path) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(path.read_text(encoding="utf-8")) if found]


@functools.cache
def built(folder: Path) -> list[dict[str, Any]]:
    """What Kustomize makes of a folder."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on this machine")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def pods(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The specification of every pod, by the name of what makes it."""
    return {
        found["metadata"]["name"]: found["spec"]["template"]["spec"]
        for found in objects
        if found["kind"] in ("Deployment", "Job")
    }


# The base, and the components that an overlay may take in.
FOLDERS: Final = (KUBERNETES / "base", *sorted((KUBERNETES / "components").iterdir()))
BASE: Final = [
    found
    for folder in FOLDERS
    for path in sorted(folder.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for found in documents(path)
]
OVERLAYS: Final = ("trial", "production")


class TestKubernetes:
    def test_the_base_fits_the_published_schema(self) -> None:
        for found in BASE:
            kubernetes_validate.validate(found, OLDEST, strict=True)

    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_an_overlay_is_built_and_fits_it_too(self, overlay: str) -> None:
        objects = built(KUBERNETES / "overlays" / overlay)
        for found in objects:
            kubernetes_validate.validate(found, NEWEST, strict=True)
        assert {found["metadata"]["namespace"] for found in objects} == {"croupier"}

    @pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
    def test_a_folder_lists_its_files(self, folder: Path) -> None:
        (listed,) = documents(folder / "kustomization.yaml")
        files = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert set(listed["resources"]) == files

    def test_pods_can_write_nowhere_and_have_no_rights(self) -> None:
        found = pods(BASE)
        assert len(found) == len(PROGRAMS) + 3
        for pod in found.values():
            (container,) = pod["containers"]
            assert pod["securityContext"]["runAsNonRoot"]
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not pod["automountServiceAccountToken"]

    def test_no_variables_of_services_reach_a_pod(self) -> None:
        """CROUPIER_INGRESS_SERVICE_HOST would be a mistyped setting."""
        assert {pod["enableServiceLinks"] for pod in pods(BASE).values()} == {False}

    def test_secrets_are_files_by_reference_and_only_what_is_needed(self) -> None:
        for program in PROGRAMS:
            pod = pods(BASE)[f"croupier-{program.name}"]
            (volume,) = pod["volumes"]
            assert [item["key"] for item in volume["secret"]["items"]] == [
                *secrets_of(program).values(),
                *program.certificate,
            ]
            variables = {found["name"]: found["value"] for found in pod["containers"][0]["env"]}
            assert {f"{PREFIX}{name.upper()}" for name in SECRETS} & variables.keys() == set()
        owners = [
            name
            for name, pod in pods(BASE).items()
            if any(volume["secret"]["secretName"] == "croupier-owner" for volume in pod["volumes"])
        ]
        assert owners == ["croupier-migrate-before", "croupier-migrate-after"]

    def test_the_second_half_of_a_migration_waits_for_a_person(self) -> None:
        jobs = {found["metadata"]["name"]: found["spec"] for found in BASE if found["kind"] == "Job"}
        assert not jobs["croupier-migrate-before"].get("suspend")
        assert jobs["croupier-migrate-after"]["suspend"]

    def test_what_has_several_copies_has_a_budget_for_disruptions_and_nothing_else_has(self) -> None:
        """A budget for a single pod would keep its node from being emptied."""
        budgets = {found["metadata"]["name"] for found in BASE if found["kind"] == "PodDisruptionBudget"}
        assert budgets == {f"croupier-{program.name}" for program in PROGRAMS if program.copies > 1}

    def test_ingresses_grow_by_what_they_have_in_hand_and_never_by_a_backlog(self) -> None:
        path = KUBERNETES / "overlays" / "production" / "autoscaling.yaml"
        (scaler,) = documents(path)
        kinds = {metric["type"]: metric for metric in scaler["spec"]["metrics"]}
        assert kinds.keys() == {"Pods", "Resource"}
        rule = "\n".join(line[2:] for line in path.read_text("utf-8").splitlines() if line.startswith("#   "))
        (adapted,) = yaml.safe_load(rule)["rules"]
        assert adapted["name"]["as"] == kinds["Pods"]["pods"]["metric"]["name"]
        for query in (adapted["seriesQuery"], adapted["metricsQuery"]):
            assert set(re.findall(r"croupier_\w+", query)) <= MEASURED
            assert 'resource="bets"' in query
        assert kinds["Resource"]["resource"]["name"] == "cpu"
        bound = int(kinds["Pods"]["pods"]["target"]["averageValue"])
        assert bound < Settings.model_fields["max_running_bets"].default

    def test_whoever_calls_no_operator_reaches_no_internet(self) -> None:
        calling = {
            found["metadata"]["name"]
            for found in BASE
            if found["kind"] == "Deployment"
            and found["spec"]["template"]["metadata"]["labels"]["croupier/calls-out"] == "true"
        }
        assert calling == {f"croupier-{program.name}" for program in PROGRAMS if program.calls_out}
        policies = {
            found["metadata"]["name"]: found["spec"] for found in BASE if found["kind"] == "NetworkPolicy"
        }
        assert policies["croupier-nothing"]["policyTypes"] == ["Ingress", "Egress"]
        open_to_all = [
            name
            for name, policy in policies.items()
            if any("ipBlock" in to for rule in policy.get("egress", []) for to in rule.get("to", []))
        ]
        assert open_to_all == ["croupier-operators"]

    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_the_settings_of_an_overlay_are_settings(self, overlay: str) -> None:
        objects = built(KUBERNETES / "overlays" / overlay)
        (settings,) = [found["data"] for found in objects if found["kind"] == "ConfigMap"]
        assert load(settings).temporal_address


class TestSystemd:
    def test_the_units_are_valid(self, tmp_path: Path) -> None:
        """With this environment's Python for the one that will be there."""
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            pytest.skip("systemd is not on this machine")
        for unit in UNITS:
            name = unit.name.replace("@.", "@1.")
            text = unit.read_text(encoding="utf-8")
            (tmp_path / name).write_text(text.replace("/opt/croupier/.venv/bin/python", sys.executable))
        units = [str(path) for path in sorted(tmp_path.iterdir())]
        done = subprocess.run(
            [analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False
        )
        assert (done.returncode, named_in(done.stderr, tmp_path)) == (0, [])

    @pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
    def test_a_unit_is_hardened_as_all_are(self, unit: Path) -> None:
        hardened = [line for line in lines_of(UNITS[0]) if line in lines_of(unit)]
        for wanted in (
            "DynamicUser=yes",
            "ProtectSystem=strict",
            "CapabilityBoundingSet=",
            "NoNewPrivileges=yes",
        ):
            assert wanted in hardened
        assert sandbox(unit) == sandbox(UNITS[0])

    def test_secrets_are_roots_files_and_no_variables(self) -> None:
        for unit in UNITS:
            variables = dict(re.findall(r"^Environment=(\w+)=(.*)$", unit.read_text("utf-8"), re.MULTILINE))
            assert {f"{PREFIX}{name.upper()}" for name in SECRETS} & variables.keys() == set()
            assert [
                path for name, path in variables.items() if name.endswith("_FILE") and "%d/" not in path
            ] == []

    def test_the_shared_settings_are_settings(self) -> None:
        text = (COMPOSE / "systemd" / "croupier.env").read_text(encoding="utf-8")
        load(dict(re.findall(r"^#?(CROUPIER_\w+)=(.*)$", text, re.MULTILINE)))


def named_in(output: str, folder: Path) -> list[str]:
    """The lines about our units: a machine's own may have faults of their own."""
    return [line for line in output.splitlines() if str(folder) in line or "croupier" in line]


def lines_of(unit: Path) -> list[str]:
    return unit.read_text(encoding="utf-8").splitlines()


def sandbox(unit: Path) -> list[str]:
    lines = lines_of(unit)
    return [
        line
        for line in lines[lines.index("DynamicUser=yes") :]
        if line and not line.startswith(("[", "Wanted"))
    ]


class TestTheImage:
    ignored: Final = (PROJECT_ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    dockerfile: Final = (COMPOSE / "Dockerfile").read_text(encoding="utf-8")

    def test_has_the_packages_and_nothing_else_of_the_folder(self) -> None:
        assert self.ignored[1] == "*"
        taken = {line[1:].removesuffix("/*.py") for line in self.ignored if line.startswith("!")}
        contracts = (PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8")
        packages = set(re.findall(r'"(\w+)"', contracts.split("root_packages = [", 1)[1].split("]", 1)[0]))
        assert taken == (packages - {"bench"}) | {"pages", "requirements.lock", "pyproject.toml"}

    def test_installs_the_lock_with_its_hashes_and_runs_as_nobody(self) -> None:
        assert "--require-hashes" in self.dockerfile
        assert self.dockerfile.count("FROM ${PYTHON}") == 2
        assert re.search(r"^USER 10001:10001$", self.dockerfile, re.MULTILINE)

    def test_nothing_in_it_imports_what_it_has_not(self) -> None:
        """The benchmarks are imported by their commands, when they are called."""
        packages = [line[1:].removesuffix("/*.py") for line in self.ignored if line.startswith("!")]
        alien = [
            (str(path), line)
            for package in packages
            for path in (PROJECT_ROOT / package).rglob("*.py")
            for line in re.findall(
                r"^(?:from|import) (?:bench|tests|clients)\b.*", path.read_text("utf-8"), re.MULTILINE
            )
        ]
        assert alien == []


class TestFirstSecrets:
    def test_are_never_written_over(self, tmp_path: Path) -> None:
        write(tmp_path / "secrets", {"one": "first"})
        with pytest.raises(FileExistsError):
            write(tmp_path / "secrets", {"one": "second"})
        assert (tmp_path / "secrets" / "one").read_text() == "first"

    def test_are_in_a_folder_that_nobody_else_enters(self, tmp_path: Path) -> None:
        write(tmp_path / "secrets", {"one": "first"})
        assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700

    def test_agree_with_each_other(self) -> None:
        made = contents(database="d:1", broker="b:1")
        passwords = {
            name: made[name].split("@")[0].rsplit(":", 1)[1]
            for name in ("database_url", "owner_database_url")
        }
        assert all(f"PASSWORD '{password}'" in made["roles.sql"] for password in passwords.values())
        assert made["temporal.env"].split()[0].removeprefix("POSTGRES_PWD=") in made["roles.sql"]

    def test_are_no_part_of_the_repository(self) -> None:
        assert "compose/secrets/" in (PROJECT_ROOT / ".gitignore").read_text(encoding="utf-8").split()
