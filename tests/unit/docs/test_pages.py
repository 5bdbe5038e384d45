"""Every page is short, begins with its answer, and names only what there is."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from api.app import described
from certification.cases.table import CASES
from cli.main import app
from cli.testing.run import CHECKS
from runtime.settings import NO_SETTINGS, OF_A_FILE, PREFIX, SECRETS, Settings
from verification.invariants.table import INVARIANTS

ROOT: Final = Path(__file__).parents[3]
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted(DOCS.rglob("*.md"))
# Records of decisions stand as they were written; the reference has the code's own words.
RECORDS: Final = [page for page in PAGES if page.parent.name == "decisions"]
PROSE: Final = [page for page in PAGES if page not in RECORDS and page.parent.name != "reference"]
# Pages that are found by the table of another page.
OTHER_INDEXES: Final = {
    DOCS / "decisions": DOCS / "decisions" / "README.md",
    DOCS / "sre" / "runbooks": DOCS / "sre" / "watch.md",
}
# It names folders as they are meant, and a test below compares them.
ARCHITECTURE: Final = DOCS / "design" / "architecture.md"
OUTSIDE: Final = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
WORDS_LIMIT: Final = 1_500
# Names of the project's own that the field does not use. This page has what to say instead.
WORDS: Final = DOCS / "design" / "words.md"
HOUSE_WORDS: Final = (
    *("nudge", "stranger", "strangers", "in one go", "patiently", "waiting room", "the door", "drives on"),
    *(
        "driven on",
        "start anew",
        "started anew",
        "starts anew",
        "begin anew",
        "play money",
        "asker",
        "buries",
    ),
)
VARIABLES: Final = {
    *NO_SETTINGS,
    *(f"{PREFIX}{name.upper()}" for name in Settings.model_fields),
    *(f"{PREFIX}{name.upper()}{OF_A_FILE}" for name in SECRETS),
}
COMMANDS: Final[Any] = typer.main.get_command(app)
# Folders whose files the pages name; what is not there is a page that was not read again.
FOLDERS: Final = (
    *("activities", "api", "bench", "cli", "clients", "compose", "contracts", "events", "games"),
    *("operator_wallet", "runtime", "security", "storage", "tests", "wallet", "workers", "workflows"),
)
PACKAGES: Final = (*FOLDERS, "hosting", "outbound", "timeline", "overview", "verification", "certification")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", _without_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def code_of(text: str) -> list[str]:
    """What stands in backticks or in a block."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", _without_blocks(text))
    return [*spans, *indented, *(line for block in blocks for line in block.splitlines())]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
class TestEveryPage:
    def test_is_read_in_under_five_minutes(self, page: Path) -> None:
        assert len(page.read_text(encoding="utf-8").split()) < WORDS_LIMIT

    def test_has_one_title_and_then_its_answer(self, page: Path) -> None:
        lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line]
        if lines[0].startswith("<!--"):
            lines = lines[1:]
        assert lines[0].startswith("# ")
        assert re.match(r"[A-Z`*]", lines[1]), lines[1]

    def test_links_to_what_is_there(self, page: Path) -> None:
        assert broken_links(page) == []

    def test_is_in_the_index_once(self, page: Path) -> None:
        index = OTHER_INDEXES.get(page.parent, DOCS / "README.md")
        link = f"({page.relative_to(index.parent)})"
        assert page.name == "README.md" or index.read_text(encoding="utf-8").count(link) == 1

    def test_names_settings_that_there_are(self, page: Path) -> None:
        named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", page.read_text(encoding="utf-8")))
        assert named <= VARIABLES

    def test_names_commands_and_options_that_there_are(self, page: Path) -> None:
        for code in code_of(page.read_text(encoding="utf-8")):
            for call in re.findall(r"\./croupier +([^|#;&<>()]*)", code):
                assert problem_of(call.split()) is None, call


@pytest.mark.parametrize("page", [page for page in PROSE if page != WORDS], ids=name_of)
def test_a_page_says_it_in_the_fields_words(page: Path) -> None:
    text = re.sub(r"\[[^\]]*\]\((decisions/)?\d{4}-[^)]*\)", "", page.read_text(encoding="utf-8")).lower()
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", _without_blocks(text))
    assert [word for word in HOUSE_WORDS if re.search(rf"\b{word}\b", prose)] == []


@pytest.mark.parametrize("page", [page for page in PROSE if page != ARCHITECTURE], ids=name_of)
def test_a_page_names_files_that_are_there(page: Path) -> None:
    pattern = re.compile(rf"(?:\./)?((?:{'|'.join(FOLDERS)})/[\w./-]*\w/?)")
    named = {
        match[1]
        for code in code_of(page.read_text(encoding="utf-8"))
        if (match := pattern.fullmatch(code.split(" ")[0]))
    }
    assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("page", OUTSIDE, ids=name_of)
def test_a_page_at_the_top_links_to_what_is_there(page: Path) -> None:
    assert broken_links(page) == []


# What pages quote of what the programs print, to be found in their code.
QUOTES: Final = {
    "sre/a-round.md": (
        "goes on as an activity",
        "activity attempt",
        "started eagerly",
        "the event was out already",
    ),
    "sre/stuck-rounds.md": (
        *("waits for attempt", "waits for the wallet of", "the workflow waits for a worker", "task failed"),
        *("nothing brings the round to its end", "no history", "Temporal no longer has the workflow"),
    ),
    "sre/keys.md": ("cannot be read", "section has no key"),
    "game/queue.md": ("its time was over", "returned to the queue too often", "reply_to names"),
    "platform/wallet-answers.md": ("incident: the wallet of",),
}


@pytest.mark.parametrize("page", QUOTES)
def test_a_page_quotes_what_the_programs_print(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    programs = [ROOT / folder for folder in PACKAGES if folder != "tests"]
    printed = "".join(
        path.read_text(encoding="utf-8") for folder in programs for path in folder.rglob("*.py")
    )
    assert [quote for quote in QUOTES[page] if quote not in text] == []
    # A text with something put in has its fixed part in the code: "started{eagerly}".
    fixed = [quote.split(" eagerly")[0] for quote in QUOTES[page]]
    assert [quote for quote in fixed if quote not in printed] == []


def test_code_cites_documents_that_are_there() -> None:
    suffixes = {".py", ".sql", ".toml", ".ts", ".md"}
    cited = {
        (name_of(path), document)
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes and "node_modules" not in path.parts
        for document in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text(encoding="utf-8"))
    }
    assert {place for place in cited if not (ROOT / place[1]).exists()} == set()


def broken_links(page: Path) -> list[str]:
    """Links within the repository that lead nowhere, and anchors that no heading has."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _without_blocks(page.read_text(encoding="utf-8"))):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


def problem_of(words: list[str]) -> str | None:
    """What is wrong with a call of ./croupier as a page prints it; None when nothing is."""
    command = COMMANDS
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if getattr(command, "commands", {}) and words and words[0].islower() and words[0].isalpha():
        return f"there is no command {words[0]}"
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    takes_any = command.name in ("test", "operator-wallet", "psql", "temporal", "rabbitmqctl")
    given = re.findall(r"(?<![\w-])--[a-z][a-z-]*", " ".join(words))
    unknown = [option for option in given if option not in known]
    return f"there is no option {unknown[0]}" if unknown and not takes_any else None


def test_the_contract_lists_every_call() -> None:
    text = (DOCS / "design" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[\w/{}-]+)`", text))
    served = {f"{verb.upper()} {path}" for path, verbs in described()["paths"].items() for verb in verbs}
    assert listed == served


def test_the_certification_cases_are_listed_and_those_of_wallets_marked() -> None:
    text = (DOCS / "design" / "money.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| .+ \| (wallet|) ?\|$", text, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 47))
    assert {int(number) for number, marked in rows if marked} == {case.number for case in CASES}
    asked = (DOCS / "platform" / "wallet-certify.md").read_text(encoding="utf-8")
    assert f"asks a wallet {len(CASES)} cases" in asked


def test_the_invariants_are_listed() -> None:
    text = (DOCS / "design" / "money.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| (I\d) \|", text, re.MULTILINE))
    assert listed == {f"I{number}" for number in range(1, 10)}
    assert {invariant.code for invariant in INVARIANTS} <= listed


def test_the_architecture_names_every_folder() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    contracts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = re.findall(r'"(\w+)"', contracts.split("root_packages = [", 1)[1].split("]", 1)[0])
    assert [package for package in packages if f"`{package}/`" not in text] == []


def test_the_hooks_run_what_ci_runs() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert [
        name for name, words in CHECKS.items() if f"entry: .venv/bin/{' '.join(words)}\n" not in hooks
    ] == []
