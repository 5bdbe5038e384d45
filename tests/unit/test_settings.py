"""Settings: where values come from; whatever is wrong is one line with the key and no secret."""

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.settings import (
    NO_SETTINGS,
    OF_A_FILE,
    PREFIX,
    PROJECT_ROOT,
    SECRETS,
    Settings,
    SettingsError,
    load,
    settings_file,
    to_environment,
    without_ours,
)

SECRET = "hunter2"
EXAMPLE = re.findall(
    r"^# (\w+ = .+)$", (PROJECT_ROOT / "croupier.example.toml").read_text(), flags=re.MULTILINE
)


SECRET_VALUES = {
    "database_url": f"postgresql://a:{SECRET}@h/d",
    "owner_database_url": f"postgresql://o:{SECRET}@h/d",
    "amqp_url": f"amqp://a:{SECRET}@h/",
    "temporal_api_key": SECRET,
    "keyring_json": f'{{"payload": "{SECRET}"}}',
    "codec_path": SECRET,
    "console_database_url": f"postgresql://u:{SECRET}@h/d",
    "console_oidc_client_secret": SECRET,
    "lobby_key": f"{SECRET}-and-so-on-for-32-characters",
}
# Whatever is written of ours: programs, deploy files, scripts.
SOURCES = {".py", ".yaml", ".yml", ".service", ".sh", ".toml", ".env"}


def write(folder: Path, text: str) -> dict[str, str]:
    """An environment that names a settings file with this text."""
    path = folder / "settings.toml"
    path.write_text(text)
    return {"CROUPIER_SETTINGS": str(path)}


def problem_of(environment: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environment)
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    return text


def test_what_is_set_for_a_stack_of_ones_own_does_not_reach_the_tests() -> None:
    """Run with CROUPIER_DATABASE_URL set, they would otherwise write into that database."""
    assert settings_file(os.environ) == Path(os.devnull)
    assert without_ours(os.environ).keys() == os.environ.keys() - {"CROUPIER_SETTINGS"}


def test_defaults_live_below_the_project(tmp_path: Path) -> None:
    settings = load(write(tmp_path, ""))
    assert settings.home == PROJECT_ROOT / ".local"
    assert settings.keyring == settings.home / "keyring.json"
    assert settings.http_port is None


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    environment = write(tmp_path, 'http_port = 8001\nlog_level = "debug"')
    settings = load({**environment, "CROUPIER_HTTP_PORT": "8002"})
    assert (settings.http_port, settings.log_level) == (8002, "debug")


def test_an_empty_variable_counts_as_not_given(tmp_path: Path) -> None:
    assert load({**write(tmp_path, ""), "CROUPIER_AMQP_URL": ""}).amqp_url is None


def test_games_are_a_list_in_the_file_and_separated_by_commas_in_a_variable(tmp_path: Path) -> None:
    assert load(write(tmp_path, 'games = ["a:B"]')).games == ("a:B",)
    assert load({**write(tmp_path, ""), "CROUPIER_GAMES": "a:B, c.d:E"}).games == ("a:B", "c.d:E")


def test_every_line_of_the_example_means_the_same_in_a_variable(tmp_path: Path) -> None:
    """A deployment has no file: it takes the example's right side, and the text's quotes are the shell's."""
    for line in EXAMPLE:
        name, _, value = line.partition(" = ")
        in_the_file = getattr(load(write(tmp_path, line)), name)
        variable = {f"CROUPIER_{name.upper()}": value.strip("\"'")}
        assert getattr(load({**write(tmp_path, ""), **variable}), name) == in_the_file, name


@pytest.mark.parametrize("name", ["games", "trusted_proxies"])
@pytest.mark.parametrize("text", ['["a:B"', '["a:B", 3]', "[[]]", '["a:B"]\nhttp_port = 1'])
def test_a_list_in_a_variable_that_is_none_is_one_line(tmp_path: Path, name: str, text: str) -> None:
    variable = f"CROUPIER_{name.upper()}"
    assert variable in problem_of({**write(tmp_path, ""), variable: text})


def test_it_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        load(write(tmp_path, "")).http_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("http_prot = 1", "http_prot"),
        ('http_port = "x"', "http_port"),
        ("http_port = 0", "http_port"),
        ("http_port = 65536", "http_port"),
        ("http_port = ", "not valid TOML"),
        ('log_level = "loud"', "log_level"),
        ("log_file_mib = 0", "log_file_mib"),
        ('traces_endpoint = "collector:4318"', "traces_endpoint"),
        ('traces_endpoint = "http://collector:4318"', "the whole URL"),
        ('traces_endpoint = "grpc://collector:4317/v1/traces"', "the whole URL"),
        ('traces_endpoint = "http://collector:port/v1/traces"', "the whole URL"),
        (f'traces_endpoint = "http://me:{SECRET}@collector/v1/traces"', "OTEL_EXPORTER_OTLP_HEADERS"),
        ("traces_sample_ratio = 0", "traces_sample_ratio"),
        ("traces_sample_ratio = 1.5", "traces_sample_ratio"),
        ("games = 3", "games"),
        ('games = ["no reference"]', "games"),
        (f'amqp_url = "http://a:{SECRET}@h"', "amqp_url"),
        (f'database_url = "mysql://a:{SECRET}@h/d"', "database_url"),
        (f'database_url = "postgresql://a:{SECRET}@h/d?connect_timeout=3"', "connect_timeout"),
        (f'owner_database_url = "postgresql://a:{SECRET}@h/d?sslmode=require&keepalives="', "keepalives"),
        (f'database_url = "postgresql://a:{SECRET}@h:port/d"', "database_url"),
        (f'database_url = "postgresql://a:{SECRET}@h/d?sslrootcert=/no/such.pem"', "sslrootcert"),
        (f'amqp_url = "amqps://a:{SECRET}@h/?cafile=/no/such.pem"', "cafile"),
        (f'amqp_url = "amqp://a:{SECRET}@h/?cafile=/dev/null"', "amqps"),
        ('temporal_address = "nowhere"', "temporal_address"),
        ('game_client_url = "play"', "game_client_url"),
        ('game_client_url = "https://[games.example/play"', "game_client_url"),
        ('game_client_url = "https://games.example/#/play"', "game_client_url"),
        ('game_client_url = "https://games.example/play?game=dice"', "game_client_url"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_in_one_line(tmp_path: Path, text: str, named: str) -> None:
    assert named in problem_of(write(tmp_path, text))


def test_a_missing_file_that_was_named_is_a_problem(tmp_path: Path) -> None:
    assert "absent.toml" in problem_of({"CROUPIER_SETTINGS": str(tmp_path / "absent.toml")})


def test_what_is_wrong_in_a_variable_is_named_by_the_variable(tmp_path: Path) -> None:
    assert "CROUPIER_HTTP_PORT" in problem_of({**write(tmp_path, ""), "CROUPIER_HTTP_PORT": "eighty"})


def test_passwords_do_not_show(tmp_path: Path) -> None:
    url = f"amqp://a:{SECRET}@h/"
    settings = load({**write(tmp_path, ""), "CROUPIER_AMQP_URL": url})
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()}"
    assert settings.amqp_url is not None
    assert settings.amqp_url.get_secret_value() == url


def test_a_child_process_gets_the_same_settings(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, http_port=8003, database_url="postgresql://a:b@h/d", games=("a:B", "c:D")
    )
    assert load({**write(tmp_path, ""), **to_environment(settings)}) == settings


def test_the_example_names_every_setting_and_nothing_else(tmp_path: Path) -> None:
    load(write(tmp_path, "\n".join(EXAMPLE)))
    assert {line.split(" = ")[0] for line in EXAMPLE} == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("mistyped", "closest"),
    [
        ("CROUPIER_HTTP_PROT", "CROUPIER_HTTP_PORT"),
        ("CROUPIER_MAX_OPEN_BET", "CROUPIER_MAX_OPEN_BETS"),
        ("CROUPIER_AMPQ_URL_FILE", "CROUPIER_AMQP_URL_FILE"),
        ("CROUPIER_HTTP_PORT_FILE", "CROUPIER_HTTP_PORT"),
        ("CROUPIER_SETTING", "CROUPIER_SETTINGS"),
        ("CROUPIER_", "CROUPIER_HOME"),
    ],
)
def test_a_mistyped_variable_is_refused_with_the_closest_right_one(
    tmp_path: Path, mistyped: str, closest: str
) -> None:
    problem = problem_of({**write(tmp_path, ""), mistyped: SECRET})
    assert problem.startswith(f"variable {mistyped} is no setting: the closest is {closest}")


def test_variables_of_other_programs_are_nobodys_business(tmp_path: Path) -> None:
    load(
        {
            **write(tmp_path, ""),
            "OPERATOR_WALLET_SECRET": "x",
            "CROUPIERS": "3",
            "CROUPIER_WALLET_SECRET": "x",
        }
    )


def test_every_variable_that_the_project_names_is_one() -> None:
    """Of programs, scripts and deploy files; a page's are compared beside it."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | NO_SETTINGS
    known |= {f"{PREFIX}{name.upper()}{OF_A_FILE}" for name in SECRETS}
    own = [path for path in PROJECT_ROOT.iterdir() if path.name not in {"tests", ".venv", ".local", ".git"}]
    named = {
        variable
        for path in own
        for file in ([path] if path.is_file() else path.rglob("*"))
        if (file.suffix in SOURCES or file.name == "Dockerfile") and "node_modules" not in file.parts
        for variable in re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert named - known == set()


class TestASecretInAFile:
    @pytest.mark.parametrize("name", SECRETS)
    def test_is_read_without_the_end_of_its_line(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "secret").write_text(SECRET_VALUES[name] + "\n")
        settings = load({**write(tmp_path, ""), f"CROUPIER_{name.upper()}_FILE": str(tmp_path / "secret")})
        assert getattr(settings, name).get_secret_value() == SECRET_VALUES[name]

    def test_may_be_empty_where_no_issuer_is_set(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("\n")
        variable = {"CROUPIER_CONSOLE_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
        assert load({**write(tmp_path, ""), **variable}).console_oidc_client_secret is None

    def test_wins_over_the_settings_file(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("amqp://new@h/")
        environment = write(tmp_path, 'amqp_url = "amqp://old@h/"')
        amqp_url = load({**environment, "CROUPIER_AMQP_URL_FILE": str(tmp_path / "secret")}).amqp_url
        assert amqp_url is not None
        assert amqp_url.get_secret_value() == "amqp://new@h/"

    def test_beside_its_variable_is_a_mistake(self, tmp_path: Path) -> None:
        both = {"CROUPIER_AMQP_URL": SECRET_VALUES["amqp_url"], "CROUPIER_AMQP_URL_FILE": "/dev/null"}
        problem = problem_of({**write(tmp_path, ""), **both})
        assert "CROUPIER_AMQP_URL and CROUPIER_AMQP_URL_FILE are both set" in problem

    @pytest.mark.parametrize(
        ("content", "why"),
        [(None, "No such file"), (b"\n", "the file is empty"), (b"\xff\xfe", "not a text")],
    )
    def test_that_has_none_is_named(self, tmp_path: Path, content: bytes | None, why: str) -> None:
        path = tmp_path / "secret"
        if content is not None:
            path.write_bytes(content)
        problem = problem_of({**write(tmp_path, ""), "CROUPIER_KEYRING_JSON_FILE": str(path)})
        assert problem.startswith(f"CROUPIER_KEYRING_JSON_FILE names {path}: {why}")

    def test_whose_variable_is_empty_is_not_given(self, tmp_path: Path) -> None:
        assert load({**write(tmp_path, ""), "CROUPIER_AMQP_URL_FILE": ""}).amqp_url is None

    def test_does_not_reach_a_child_that_gets_its_content_another_way(self, tmp_path: Path) -> None:
        """The stack hands its programs what it has read, and to most of them less."""
        (tmp_path / "secret").write_text(SECRET_VALUES["owner_database_url"])
        ours = {**write(tmp_path, ""), "CROUPIER_OWNER_DATABASE_URL_FILE": str(tmp_path / "secret")}
        settings = load(ours)
        assert load({**ours, **to_environment(settings)}) == settings
        hidden = {**ours, **to_environment(settings), "CROUPIER_OWNER_DATABASE_URL": ""}
        assert load(hidden).owner_database_url is None
