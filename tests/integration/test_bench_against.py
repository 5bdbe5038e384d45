"""Another commit for the benchmark: found by git, checked out, started, ended, and nothing is left of it.

The commits are of a small repository of these tests' own, whose ./croupier stands in for ours, so that
starting one takes no minute. With --full our own HEAD is measured against itself.
"""

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.commits import Checkout, NoCommit, Repository, prepare
from bench.stacks import remove_data, remove_leftovers, running_stack
from cli.bench import against as bench_against
from compose.layout import Layout
from compose.problems import Died, StackProblem
from compose.stack import take_lock
from runtime.settings import PROJECT_ROOT, Settings
from tests.support.conditions import HANG_S, until

# What the environment variable STAND_IN asks of it, else it does as it should.
STAND_IN = """
import json, os, shutil, signal, socket, subprocess, sys, time
from pathlib import Path

asked, root = os.environ.get("STAND_IN", ""), Path(__file__).parent

def remember(*processes):
    with open(os.environ["STAND_IN_PIDS"], "a") as file:
        file.write("".join(f"{pid}\\n" for pid in processes))

if sys.argv[1] == "--help":
    if asked == "no environment":
        sys.exit(5)
    if asked == "an environment that hangs":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        remember(os.getpid(), child.pid)
        child.wait()
    (root / ".venv").mkdir(exist_ok=True)
elif sys.argv[1] == "up":
    home = Path(os.environ["CROUPIER_HOME"])
    (home / "data").mkdir(parents=True)
    if asked == "no start":
        print("no port is free")
        sys.exit(3)
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    remember(os.getpid(), worker.pid)
    listener = socket.create_server(("127.0.0.1", 0))
    def end(*_):
        worker.terminate()
        worker.wait()
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    stack = {"base_url": f"http://127.0.0.1:{listener.getsockname()[1]}"}
    if asked != "no key":
        stack |= {"operator_id": "demo", "operator_key": "crk_demo"}
    if asked != "a start that hangs":
        (home / "new").write_text(json.dumps(stack))
        (home / "new").rename(home / "stack.json")
    while True:  # it hangs up on every caller
        listener.accept()[0].close()
elif sys.argv[1:] == ["reset", "--yes"]:
    shutil.rmtree(Path(os.environ["CROUPIER_HOME"]) / "data")
"""
# The command with another project than the one it is part of. A shell's background job ignores SIGINT, and so
# would this, when the tests run in one.
COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from cli.bench import against as bench_against
from runtime.settings import Settings
bench_against.PROJECT_ROOT = Path(sys.argv[1])
choices = bench_against.Choices("HEAD", 1, True, None)
sys.exit(bench_against.run(Settings(home=Path(sys.argv[2])), choices))
"""


@dataclass(frozen=True)
class Project:
    """A repository with two commits and a tag; the first has no ./croupier."""

    root: Path
    home: Path
    pids: Path

    def git(self, *arguments: str) -> str:
        return git(self.root, *arguments)

    def worktrees(self) -> list[str]:
        """The ids of those beside the main one."""
        listing = self.git("worktree", "list", "--porcelain").split("\n\n")
        return [each.splitlines()[1].removeprefix("HEAD ") for each in listing[1:] if each.strip()]

    @property
    def folder(self) -> Path:
        return self.home / "bench" / "against"

    def started(self) -> list[psutil.Process]:
        """What the stand-in started and is still there; a container's first process may leave zombies."""
        pids = self.pids.read_text().split() if self.pids.exists() else []
        return [process for pid in pids if (process := alive(int(pid))) is not None]

    def run(self) -> int:
        choices = bench_against.Choices("HEAD", 1, True, None)
        return bench_against.run(Settings(home=self.home), choices)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    if shutil.which("git") is None:
        pytest.skip("git is not installed; only `bench --against` needs it: apt-get install git")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("STAND_IN_PIDS", str(tmp_path / "pids"))
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=trunk")
    (root / ".gitignore").write_text(".venv/\n")
    commit(root, "Begin")
    python, program = shlex.quote(sys.executable), root / "croupier"
    program.write_text(f'#!/bin/sh\nexec {python} "$(dirname "$0")/stand_in.py" "$@"\n')
    program.chmod(0o755)
    (root / "stand_in.py").write_text(STAND_IN)
    commit(root, "Stand in")
    git(root, "tag", "v1")
    (root / "new").write_text("in the last commit alone\n")
    commit(root, "Add a file")
    made = Project(root, tmp_path / "home", tmp_path / "pids")
    monkeypatch.setattr(bench_against, "PROJECT_ROOT", root)
    yield made
    for process in made.started():
        process.kill()


def alive(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    done = subprocess.run(("git", *who, *arguments), cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(root: Path, message: str) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", message)


class TestNames:
    @pytest.mark.parametrize("name", ["v1", "HEAD~1", "trunk~1", "HEAD^{/Stand}"])
    def test_are_all_that_git_knows(self, project: Project, name: str) -> None:
        expected = project.git("rev-parse", "v1^{commit}")
        assert Repository(project.root).resolve(name) == expected
        assert Repository(project.root).resolve(expected[:8]) == expected

    @pytest.mark.parametrize("name", ["no-such", "0" * 40, "HEAD~9", "HEAD:croupier", "--all", ""])
    def test_that_are_no_commit_are_refused_by_name(self, project: Project, name: str) -> None:
        with pytest.raises(NoCommit, match=name or "''"):
            Repository(project.root).resolve(name)

    def test_need_more_than_a_shallow_clone_has(self, project: Project, tmp_path: Path) -> None:
        git(tmp_path, "clone", "--quiet", "--depth=1", project.root.as_uri(), "shallow")
        with pytest.raises(NoCommit, match="--unshallow"):
            Repository(tmp_path / "shallow").resolve("HEAD~1")

    def test_are_not_looked_for_outside_of_a_checkout(self, project: Project, tmp_path: Path) -> None:
        with pytest.raises(NoCommit, match="no git checkout"):
            Repository(tmp_path)

    def test_are_not_looked_for_in_a_repository_around(self, project: Project) -> None:
        (copy := project.root / "copy").mkdir()
        with pytest.raises(NoCommit, match="no git checkout"):
            Repository(copy)

    def test_need_git(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(NoCommit, match="apt-get install git"):
            Repository(tmp_path)


class TestCheckout:
    def test_has_the_files_of_the_commit_and_is_on_no_branch(self, project: Project) -> None:
        theirs = check_out(project, "v1")
        assert theirs.commit == project.git("rev-parse", "v1")
        assert (theirs.root / "croupier").exists()
        assert not (theirs.root / "new").exists()
        assert git(theirs.root, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
        assert project.worktrees() == [theirs.commit]
        assert project.git("status", "--porcelain") == ""

    def test_ours_says_whether_it_is_as_committed(self, project: Project) -> None:
        head = project.git("rev-parse", "HEAD")
        assert Repository(project.root).ours() == Checkout(project.root, head)
        (project.root / "new").write_text("changed\n")
        assert Repository(project.root).ours() == Checkout(project.root, head, changed=True)

    def test_serves_the_next_run_too(self, project: Project) -> None:
        (check_out(project, "v1").root / ".venv").mkdir()
        assert (check_out(project, "v1").root / ".venv").exists()

    def test_goes_when_another_commit_is_asked_for(self, project: Project) -> None:
        first, second = check_out(project, "v1"), check_out(project, "HEAD")
        assert not first.root.exists()
        assert project.worktrees() == [second.commit]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda theirs: (theirs.root / "stand_in.py").write_text("changed"),
            lambda theirs: git(theirs.root, "checkout", "--quiet", "HEAD~1"),
            lambda theirs: (theirs.root / ".git").unlink(),
            lambda theirs: shutil.rmtree(theirs.root),
            lambda theirs: git(theirs.root, "worktree", "lock", "--reason=initializing", str(theirs.root)),
        ],
        ids=["changed", "moved on", "half made", "deleted", "locked"],
    )
    def test_is_made_anew_when_it_is_not_whole(
        self, project: Project, damage: Callable[[Checkout], object]
    ) -> None:
        theirs = check_out(project, "v1")
        damage(theirs)
        if theirs.root.exists():
            (theirs.root / "half").touch()
        again = check_out(project, "v1")
        assert again.root == theirs.root
        assert (again.root / "stand_in.py").read_text() == STAND_IN
        assert project.worktrees() == [again.commit]
        another = check_out(project, "HEAD")
        assert project.worktrees() == [another.commit]

    def test_is_refused_without_a_command_to_start(self, project: Project) -> None:
        with pytest.raises(NoCommit, match=r"has no \./croupier"):
            check_out(project, "HEAD~2")
        assert project.worktrees() == []
        assert list(project.folder.iterdir()) == []

    def test_leaves_other_folders_alone(self, project: Project) -> None:
        (project.folder / "homes").mkdir(parents=True)
        (project.folder / "notes-that-are-longer-than-the-id-of-a-commit").mkdir()
        check_out(project, "v1")
        assert len(list(project.folder.iterdir())) == 3


class TestEnvironment:
    def test_is_made_by_the_commits_own_command(self, project: Project) -> None:
        theirs = check_out(project, "v1")
        prepare(theirs)
        assert (theirs.root / ".venv").is_dir()

    def test_that_cannot_be_made_is_said_and_can_be_tried_again(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = check_out(project, "v1")
        monkeypatch.setenv("STAND_IN", "no environment")
        with pytest.raises(NoCommit, match=r"made no environment \(exit code 5\)"):
            prepare(theirs)
        monkeypatch.delenv("STAND_IN")
        prepare(check_out(project, "v1"))

    def test_needs_a_command_that_can_be_run(self, project: Project) -> None:
        theirs = check_out(project, "v1")
        (theirs.root / "croupier").chmod(0o644)
        with pytest.raises(NoCommit, match="cannot be started"):
            prepare(theirs)


class TestStack:
    async def test_is_up_within_the_block_and_gone_after_it(self, project: Project) -> None:
        layout, theirs = layout_of(project), check_out(project, "v1")
        home = layout.home / "homes" / "theirs"
        async with running_stack(theirs, layout, name="theirs", home=home) as stack:
            assert stack.info["operator_key"] == "crk_demo"
            found = stack.families()
            assert found["program"] == [int(project.pids.read_text().split()[0])]
            assert len(project.started()) == 2
        await nobody_is_left(project)
        await remove_data(theirs, layout, name="theirs", home=home)
        assert not home.exists()

    @pytest.mark.parametrize(
        ("asked", "error", "says"),
        [
            ("no start", Died, r"(?s)ended with exit code 3.*no port is free"),
            ("no key", StackProblem, "has no operator_id, operator_key"),
        ],
        ids=["it ends", "it says too little"],
    )
    async def test_that_cannot_be_used_says_why(
        self,
        project: Project,
        monkeypatch: pytest.MonkeyPatch,
        asked: str,
        error: type[Exception],
        says: str,
    ) -> None:
        monkeypatch.setenv("STAND_IN", asked)
        layout, theirs = layout_of(project), check_out(project, "v1")
        with pytest.raises(error, match=says):
            async with running_stack(theirs, layout, name="theirs", home=project.home / "theirs"):
                pass
        await nobody_is_left(project)

    async def test_that_ends_meanwhile_is_noticed(self, project: Project) -> None:
        layout, theirs = layout_of(project), check_out(project, "v1")
        async with running_stack(theirs, layout, name="theirs", home=project.home / "theirs") as stack:
            stack.up.handle.terminate()
            await stack.up.wait()
            with pytest.raises(Died, match="theirs ended with exit code 0"):
                stack.families()

    async def test_that_was_left_behind_is_removed(self, project: Project) -> None:
        layout, theirs = layout_of(project), check_out(project, "v1")
        home = layout.home / "homes" / "theirs"
        async with running_stack(theirs, layout, name="theirs", home=home):
            pass
        (home / "memory.json").write_text("{}")
        remove_leftovers(home.parent)
        assert list(home.parent.iterdir()) == []


class TestCommand:
    def test_that_cannot_measure_exits_with_2_and_ends_all_three_stacks(
        self, project: Project, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert project.run() == 2
        assert "ours seats no players" in capfd.readouterr().err
        asyncio.run(nobody_is_left(project))

    def test_refuses_to_run_beside_itself(self, project: Project, capfd: pytest.CaptureFixture[str]) -> None:
        with take_lock(layout_of(project)):
            assert project.run() == 2
        assert "another run against a commit" in capfd.readouterr().err

    @pytest.mark.parametrize("asked", ["an environment that hangs", "a start that hangs"])
    async def test_that_is_interrupted_leaves_nothing_and_the_next_one_runs(
        self, project: Project, asked: str
    ) -> None:
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", COMMAND, str(project.root), str(project.home)),
            env={**os.environ, "STAND_IN": asked},
            cwd=PROJECT_ROOT,
            start_new_session=True,
        )
        try:

            async def has_started() -> bool:
                assert command.returncode is None
                return project.pids.exists() and len(project.pids.read_text().split()) == 2

            await until(has_started)
            os.killpg(command.pid, signal.SIGINT)  # as a terminal does: everybody of its group gets it
            assert await asyncio.wait_for(command.wait(), HANG_S) == 130
        finally:
            if command.returncode is None:
                command.kill()
                await command.wait()
        await nobody_is_left(project)
        assert project.worktrees() == [project.git("rev-parse", "HEAD")]
        assert await asyncio.to_thread(project.run) == 2, "it comes as far as the players"
        assert (project.folder / "logs" / "ours.log").exists()

    @pytest.mark.timeout(3_600)  # an environment and three stacks, on a machine that may be busy
    def test_measures_head_against_itself(self, full: bool) -> None:
        if not full:
            pytest.skip("makes an environment and starts three stacks twice, which takes minutes: --full")
        if shutil.which("git") is None or not (PROJECT_ROOT / ".git").exists():
            pytest.skip("has no commit to measure: needs git, and a clone instead of a copy without history")
        home = PROJECT_ROOT / ".local" / f"tests-against-{os.getpid()}"
        found = home / "found.json"
        home.mkdir(parents=True)
        choices = bench_against.Choices("HEAD", 1, True, found, starts=2)
        assert bench_against.run(Settings(home=home), choices) == 0
        read = json.loads(found.read_text())
        assert [each["failures"] + each["unanswered"] for each in read["cells"]] == [0] * 12
        assert {len(each["ours_theirs"]["ratios"]) for each in read["comparisons"]} == {2}
        for cell in read["cells"]:
            assert cell["cpu_s"]["program"] > 0
            assert {"temporal", "postgres", "rabbitmq", "relay", "statistics", "others"} <= set(cell["cpu_s"])
        assert list((home / "bench" / "against" / "homes").iterdir()) == []
        git(
            PROJECT_ROOT,
            "worktree",
            "remove",
            "--force",
            str(home / "bench/against" / read["theirs"]["commit"]),
        )
        shutil.rmtree(home)


def check_out(project: Project, name: str) -> Checkout:
    repository = Repository(project.root)
    return repository.check_out(repository.resolve(name), project.folder)


def layout_of(project: Project) -> Layout:
    layout = Layout(project.folder)
    layout.create()
    return layout


async def nobody_is_left(project: Project) -> None:
    async def none() -> bool:
        return not project.started()

    await until(none)
