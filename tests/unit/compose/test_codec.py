"""The embedded codec server answers the web interface's pages, wherever that is."""

from pathlib import Path

from pydantic import SecretStr

from compose.codec import EmbeddedCodec
from compose.layout import Memory
from runtime.settings import Settings
from security.keyring import Keyring


def test_the_web_interface_is_named_as_browsers_name_it(tmp_path: Path) -> None:
    """Also at the port of http, which they leave out."""
    settings = Settings(home=tmp_path, keyring_json=SecretStr(Keyring.generate().to_json()))
    places = {"CROUPIER_METRICS_HOST": "127.0.0.1", "CROUPIER_METRICS_PORT": "1"}
    memory = Memory(tmp_path / "memory.json")
    try:
        codec = EmbeddedCodec(settings, memory)
        program = codec.program(places, ui="http://127.0.0.1:80")
    finally:
        memory.close()
    origins = program.settings["CROUPIER_CODEC_ORIGINS"]
    assert origins == "http://127.0.0.1,http://localhost"
    assert len(Settings(codec_origins=tuple(origins.split(","))).codec_origins) == 2
