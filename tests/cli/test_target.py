"""What `supervise run`, `tree` and `explain` are asked to work on, and what they say of what they can't.

Tested: `MODULE:TREE`, `path/to/file.py:TREE` and `--factory`; whatever may be there instead, each with its cure and status 2;
that an error of the user's own code is told with its lines, and with none of ours; and that what isn't there is one line.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervise.cli import target
from supervise.cli.main import main
from supervise.cli.target import WrongTarget, load

from .command import Command

ROOT = Path(__file__).parents[2]
FACTORIES = "tests.cli.factories"
TREE = "from supervise import Supervisor\nTREE = Supervisor('app')\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)) or name in ("shop", "ns"):
            del sys.modules[name]


def write(folder: Path, **files: str) -> None:
    """`shop__web="…"` is shop/web.py."""
    for name, text in files.items():
        path = folder.joinpath(*name.replace("__init", "__INIT").split("__")).with_suffix(".py")
        path = path.with_name(path.name.replace("INIT", "__init__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def refused(text: str, *, factory: bool = False) -> WrongTarget:
    with pytest.raises(WrongTarget) as wrong:
        load(text, factory)
    assert str(wrong.value).startswith(repr(text))
    assert "\n" not in str(wrong.value)
    return wrong.value


# -- a module --------------------------------------------------------------------------------------------------------------


NO_TARGETS = ["app", "app:", ":TREE", "", ":", "app:TREE()", "app:7", "app:TREE.", "C:/app.py", "C:\\app.py"]


@pytest.mark.parametrize("text", NO_TARGETS)
def test_what_is_no_target_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(WrongTarget, match=r"isn't MODULE:TREE: give a module or a file, and .* in it, e\.g\. .*:TREE"):
        load(text)


def test_a_call_is_no_name_and_factory_is_the_cure() -> None:
    with pytest.raises(WrongTarget, match=r"or app:make --factory for what that function returns"):
        load("app:make()")


def test_a_module_is_looked_for_in_the_working_directory_first(here: Path) -> None:
    write(here, app=TREE, shop__init="", shop__web=TREE, ns__web=TREE)
    for text in ("app:TREE", "shop.web:TREE", "ns.web:TREE"):
        assert load(text).name == "app"
    assert sys.path[0] == str(here)


def test_a_module_that_is_not_there_is_one_line_with_the_nearest(here: Path) -> None:
    write(here, app=TREE, shop__init="", shop__web=TREE, src__market__init="")
    for text, said in {
        "ap:TREE": f"there is no module 'ap' in {here}, or among what is installed: did you mean app:TREE?",
        "App:TREE": "did you mean app:TREE?",
        "zzz:TREE": "go to where it is, or install it; here there are 'app', 'shop'",
        "shop.wep:TREE": "there is no module 'shop.wep' in the package 'shop': did you mean shop.web:TREE?",
        "shpo.web:TREE": "did you mean shop.web:TREE?",
        "shop.zzz:TREE": "there is 'web'",
        "app.web:TREE": "there is no module 'app.web': 'app' is a module, and no package",
        "market:TREE": "it is in src/: install the project (pip install -e .), or set PYTHONPATH=src",
        ".app:TREE": "'.app' isn't the whole name of a module",
        "shop..web:TREE": "'shop..web' isn't the whole name of a module",
    }.items():
        wrong = refused(text)
        assert said in str(wrong)
        assert wrong.traceback == ""
    (here / "empty").mkdir()
    os.chdir(here / "empty")
    assert "go to where it is, or install it; here there is none" in str(refused("zzz:TREE"))


def test_a_working_directory_that_is_gone_is_no_place_for_a_file(here: Path) -> None:
    (here / "gone").mkdir()
    os.chdir(here / "gone")
    (here / "gone").rmdir()
    assert "the working directory is gone" in str(refused("app.py:TREE"))
    assert "there is no module 'zzz'" in str(refused("zzz:TREE"))
    write(here, app=TREE)
    assert load(f"{here}/app.py:TREE").name == "app"


def test_what_a_module_raises_is_told_with_its_own_lines_alone(here: Path) -> None:
    write(here, app="import below\n", below="def f():\n    raise OSError('no disk')\n\nf()\n")
    wrong = refused("app:TREE")
    assert "module 'app' can't be imported (OSError: no disk): mend what it raises" in str(wrong)
    lines = wrong.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{here}/app.py", line 1, in <module>'
    assert lines[-1] == "OSError: no disk"
    assert f'  File "{here}/below.py", line 2, in f' in lines
    assert "importlib" not in wrong.traceback
    assert str(ROOT / "supervise") not in wrong.traceback


def test_a_module_that_the_module_lacks_is_an_error_of_its_own(here: Path) -> None:
    write(here, app="import no_such_module\n")
    wrong = refused("app:TREE")
    assert "'app' can't be imported (ModuleNotFoundError: No module named 'no_such_module')" in str(wrong)
    assert f'"{here}/app.py", line 1' in wrong.traceback


def test_a_syntax_error_is_shown_at_its_place(here: Path) -> None:
    write(here, app="TREE = (\n")
    wrong = refused("app:TREE")
    assert f'File "{here}/app.py", line 1' in wrong.traceback
    assert "SyntaxError: '(' was never closed" in wrong.traceback


def test_the_causes_of_an_error_are_told_too(here: Path) -> None:
    write(here, app="try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise OSError('no disk') from error\n")
    wrong = refused("app:TREE")
    assert "ZeroDivisionError: division by zero" in wrong.traceback
    assert "The above exception was the direct cause" in wrong.traceback


def test_a_hostile_error_is_told_as_far_as_it_can_be(here: Path) -> None:
    write(
        here,
        app="class Rude(BaseException):\n"
        "    def __str__(self): raise SystemExit\n"
        "    @property\n"
        "    def __cause__(self): raise RuntimeError\n"
        "raise Rude\n",
    )
    wrong = refused("app:TREE")
    assert f'"{here}/app.py", line 5' in wrong.traceback
    assert "Rude" in str(wrong)


@pytest.mark.parametrize("end", ["SystemExit(3)", "KeyboardInterrupt", "BaseExceptionGroup('', [KeyboardInterrupt()])"])
@pytest.mark.parametrize("text", ["app:TREE", "app.py:TREE"])
def test_what_ends_a_program_passes_up(here: Path, end: str, text: str) -> None:
    write(here, app=f"raise {end}\n")
    with pytest.raises((SystemExit, KeyboardInterrupt, BaseExceptionGroup)):
        load(text)
    assert "app" not in sys.modules


# -- a file ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["relative", "dotted", "absolute", "link"])
def test_a_file_is_a_module_of_its_name_and_its_neighbours_can_be_imported(here: Path, how: str) -> None:
    write(
        here,
        my__app="import dataclasses, pickle, neighbour\n"
        "@dataclasses.dataclass\nclass Point:\n    x: int = 1\n"
        "assert pickle.loads(pickle.dumps(Point())) == Point()\n"
        "assert __name__ != '__main__'\n"
        "from supervise import Supervisor\nTREE = Supervisor(neighbour.NAME)\n",
        my__neighbour="import app\nNAME = 'app-tree'\n",
    )
    text = {"relative": "my/app.py", "dotted": "./my/../my/app.py", "absolute": f"{here}/my/app.py", "link": "link/app.py"}[how]
    (here / "link").symlink_to(here / "my")
    assert load(f"{text}:TREE").name == "app-tree"
    assert sys.path[0] == os.path.realpath(here / "my")
    module = sys.modules["app"]
    assert os.path.samefile(str(module.__file__), here / "my" / "app.py")
    assert load(f"{text}:TREE") is module.TREE  # which isn't imported twice


def test_a_bare_name_of_a_file_will_do(here: Path) -> None:
    write(here, app=TREE)
    assert load("app.py:TREE").name == "app"


@pytest.mark.parametrize(
    ("file", "name"),
    [("logging.py", "logging_py"), ("__main__.py", "__main___py"), ("my.app.py", "my_app"), ("my-app.py", "my-app")],
)
def test_a_file_takes_no_other_module_s_name(here: Path, file: str, name: str) -> None:
    there = {key: sys.modules[key] for key in ("logging", "__main__")}
    (here / file).write_text(TREE, encoding="utf-8")
    assert load(f"{file}:TREE").name == "app"
    assert str(sys.modules[name].__file__) == str(here / file)
    assert {key: sys.modules[key] for key in there} == there


def test_a_file_beside_a_package_of_its_name_is_the_one_that_was_asked_for(here: Path) -> None:
    write(here, app=TREE, app__init="", app__part="NAME = 'part'")
    (here / "app.py").write_text(f"import app.part\n{TREE}", encoding="utf-8")
    assert load("app.py:TREE").name == "app"
    assert sys.modules["app_py"].__file__ == str(here / "app.py")


def test_what_is_no_file_is_one_line_that_says_what_is_there(here: Path) -> None:
    write(here, src__app=TREE, src__web=TREE, shop__init="", shop__app=TREE)
    (here / "notes.txt").write_text("", encoding="utf-8")
    (here / "empty").mkdir()
    os.mkfifo(here / "fifo.py")
    (here / "loop.py").symlink_to("loop.py")
    for text, said in {
        "src/ap.py:TREE": f"there is no file 'ap.py' in {here}/src: did you mean src/app.py:TREE?",
        "src/zzz.py:TREE": f"there is no file 'zzz.py' in {here}/src: there are 'app.py', 'web.py'",
        "src/app:TREE": "there is no file 'src/app': did you mean src/app.py:TREE?",
        "empty/app.py:TREE": "there are no Python files",
        "scr/app.py:TREE": "there is no folder 'scr' here",
        "notes.txt/app.py:TREE": "there is no folder 'notes.txt' here",
        "src/:TREE": "'src/' is a folder: name a file in it; there are 'app.py', 'web.py'",
        "./shop:TREE": "name a file in it; there are '__init__.py', 'app.py'; or the package, as shop:TREE",
        "notes.txt:TREE": "'notes.txt' is no Python file: the name of one ends in .py",
        "./notes.txt:TREE": "'./notes.txt' is no Python file",
        "fifo.py:TREE": "'fifo.py' is no Python file",
        "loop.py:TREE": "'loop.py' can't be read (Too many levels of symbolic links)",
        "C:\\src\\app.py:TREE": "there is no file",
    }.items():
        wrong = refused(text)
        assert said in str(wrong), text
        assert wrong.traceback == ""


def test_what_is_no_python_inside_is_told_as_an_import(here: Path) -> None:
    (here / "app.py").write_bytes(b"\x7fELF\x00\x00")
    wrong = refused("app.py:TREE")
    assert "the file can't be imported" in str(wrong)
    assert "app" not in sys.modules


@pytest.mark.parametrize("line", ["from .web import NAME", "from shop.inner.web import NAME"])
def test_a_part_of_a_package_is_to_be_named_as_that(here: Path, line: str) -> None:
    write(here, shop__init="", shop__inner__init=line, shop__inner__app=line, shop__inner__web="NAME = 1")
    wrong = refused("shop/inner/app.py:TREE")
    assert str(wrong).endswith("it is a part of the package 'shop', so name it as that: shop.inner.app:TREE")
    assert f'"{here}/shop/inner/app.py", line 1' in wrong.traceback
    assert "so name it as that: shop.inner:TREE" in str(refused("shop/inner/__init__.py:TREE"))
    os.chdir(here / "shop" / "inner")
    assert str(refused("app.py:TREE")).endswith(f"so name it as that: shop.inner.app:TREE, in {here}")


def test_an_error_of_another_kind_has_nothing_to_do_with_a_package(here: Path) -> None:
    write(here, shop__init="", shop__app="1 / 0", shop__web=TREE)
    assert str(refused("shop/app.py:TREE")).endswith("(ZeroDivisionError: division by zero): mend what it raises")
    assert load("shop/web.py:TREE").name == "app"


def test_a_finder_that_raises_keeps_no_file_from_being_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a finder")

    write(here, app=TREE)
    with monkeypatch.context() as patched:
        patched.setattr(importlib.util, "find_spec", broken)
        assert target._name_for(str(here / "app.py")) == "app"
        assert target._name_for(str(here / "logging.py")) == "logging_py"


# -- what is named there -----------------------------------------------------------------------------------------------------


def test_a_name_that_is_not_there_is_answered_with_the_nearest_and_all_trees(here: Path) -> None:
    write(
        here,
        app=f"{TREE}OTHER = Supervisor('b')\nclass Box:\n    INNER = TREE\n",
        bare="def build(): ...\nNUMBER = 7\n",
        lazy="def __getattr__(name):\n    raise OSError(name)\n",
    )
    assert load("app:Box.INNER").name == "app"
    for text, said in {
        "app:TREEE": "module 'app' has no 'TREEE': did you mean 'TREE'? its trees are 'TREE', 'OTHER'",
        "app:tree": "did you mean 'TREE'?",
        "app:zzz": "module 'app' has no 'zzz'; its trees are 'TREE', 'OTHER'",
        "app.py:zzz": "the file has no 'zzz'; its trees are 'TREE', 'OTHER'",
        "app:Box.INER": "there is no 'INER' in it: did you mean 'INNER'? its tree is 'INNER'",
        "app:TREE.zzz": "there is no 'zzz' in it: name a Supervisor",
        "bare:Build": "module 'bare' has no 'Build': did you mean 'build'?",
        "bare:TREE": "module 'bare' has no 'TREE': name a Supervisor that it defines, or, with --factory, a function",
        "bare:NUMBER": "that is of type int: name a Supervisor or DynamicSupervisor",
        "lazy:TREE": "'TREE' can't be read (OSError: TREE): mend what raises it",
    }.items():
        assert said in str(refused(text)), text
    assert "did you mean 'build'?" in str(refused("bare:biuld", factory=True))
    assert f'"{here}/lazy.py", line 2' in refused("lazy:TREE").traceback


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("make", "that is a function: name a Supervisor or DynamicSupervisor; if it returns one, --factory calls it"),
        ("Settings", "that is a class: name"),
        ("called", "that is of type Callable: name"),
        ("LOUD", "that is a child: name the Supervisor that it is in"),
    ],
)
def test_what_makes_a_tree_is_none(name: str, said: str) -> None:
    assert said in str(refused(f"{FACTORIES}:{name}"))


@pytest.mark.parametrize(
    ("name", "tree"),
    [
        ("make", "made"),
        ("partly", "partly"),
        ("called", "called"),
        ("Settings.tree", "of-settings"),
        ("unsignable", "unsignable"),
    ],
)
def test_a_factory_is_called_without_arguments(name: str, tree: str) -> None:
    assert load(f"{FACTORIES}:{name}", factory=True).name == tree


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ready", "that is a tree already: leave out --factory"),
        ("NUMBER", "that is of type int, and can't be called: name a function that returns a Supervisor"),
        ("needs", "is called without arguments (missing a required argument: 'port'): give them defaults"),
        ("later", "that is a coroutine function, and no event loop runs yet: make it a plain function"),
        ("coroutine", "that is a coroutine function"),
        ("later_all_the_same", "the factory returned something of type coroutine: return a Supervisor"),
        ("nothing", "the factory returned None: return a Supervisor or DynamicSupervisor"),
        ("number", "the factory returned something of type int: return a Supervisor"),
        ("broken", "the factory raised ZeroDivisionError: division by zero: mend it"),
        ("invalid", "the factory raised InvalidSpec: child 'a/b': name='a/b' is not valid"),
        ("mak", "did you mean 'make'?"),
    ],
)
def test_what_is_no_factory_of_a_tree_is_refused(name: str, said: str) -> None:
    wrong = refused(f"{FACTORIES}:{name}", factory=True)
    assert said in str(wrong)
    if name in ("broken", "invalid"):
        assert f'File "{ROOT}/tests/cli/factories.py", line' in wrong.traceback.splitlines()[1]
    else:
        assert wrong.traceback == ""


@pytest.mark.parametrize(("name", "end"), [("leaves", SystemExit), ("interrupted", KeyboardInterrupt)])
def test_what_ends_a_program_passes_up_from_a_factory(name: str, end: type[BaseException]) -> None:
    with pytest.raises(end):
        load(f"{FACTORIES}:{name}", factory=True)


# -- the commands ------------------------------------------------------------------------------------------------------------


def test_tree_and_explain_take_files_and_factories(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, app=TREE)
    assert main(["tree", "app.py:TREE"]) == 0
    assert main(["tree", f"{FACTORIES}:make", "--factory"]) == 0
    assert capsys.readouterr().out.startswith("app  [one_for_one, 3 in 5 s]\n1 supervisor, 0 actors\nmade  [")
    assert main(["explain", f"{FACTORIES}:make", "a", "--factory"]) == 0
    assert "made: a #1 ended: crashed; permanent -> restart 1 of 3" in capsys.readouterr().out
    assert main(["explain", f"{FACTORIES}:make", "--factory", "b"]) == 2
    assert main(["explain", "tests.cli.trees:POLICIES", "wrkers/1"]) == 2
    assert "'wrkers/1' here; did you mean 'workers'? 'shop' has 'db', 'workers', 'sessions'" in capsys.readouterr().err


def test_the_traceback_stands_before_the_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, app="1 / 0\n")
    for command in (["tree"], ["explain"]):
        assert main([*command, "app:TREE", *(["a"] if command == ["explain"] else [])]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.splitlines()[0] == "Traceback (most recent call last):"
        assert said.err.splitlines()[-2] == "ZeroDivisionError: division by zero"
        assert said.err.splitlines()[-1].startswith("supervise: 'app:TREE': module 'app' can't be imported")


def test_a_process_that_is_spawned_finds_what_a_file_defines(tmp_path: Path) -> None:
    write(
        tmp_path,
        my_app="import multiprocessing\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from supervise import Supervisor, child, current\n"
        "class Point:\n    x = 7\n"
        "def answer(point):\n    return point.x\n"
        "class Actor:\n"
        "    async def __aenter__(self):\n"
        "        with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:\n"
        "            print('answer', pool.submit(answer, Point()).result(), flush=True)\n"
        "        current().stop_tree('done')\n"
        "        return self\n"
        "    async def __aexit__(self, *_): ...\n"
        "def make():\n    return Supervisor('app', child(Actor))\n",
    )
    with Command(f"{tmp_path}/my_app.py:make", "--factory", program=("-m", "supervise")) as command:
        command.status()
        assert "answer 7\n" in command.said, command.said


def test_the_command_and_the_package_are_the_same() -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}"}
    for program in ("supervise", "supervise.cli.main"):
        done = subprocess.run(
            [sys.executable, "-m", program, "tree", "tests/cli/trees.py:ORDERLY"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("1 supervisor, 2 actors\n")
