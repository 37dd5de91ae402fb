"""Which modules have changed, who is affected, and how they are imported anew, all or none.

Tested: dependencies come first, also in a circle; relative imports, packages, `from x import y`, names in a package; what isn't
affected stays, and is seen in a package that is new; a module that raises, has a syntax error, or exits: all the old ones are
back, in `sys.modules` and in the packages, and the next good save works; the same text again; a change of the same size in the
same second; a file that is gone, or new; what a function imports, what is for type checkers, what was imported by a string; a
file of another program, of a tool's folder, of the library.
"""

from __future__ import annotations

import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any

import pytest

from supervise.cli.reload.folders import Folders
from supervise.cli.reload.generation import NotImported
from supervise.cli.reload.program import Program

from .files import Files, anew, short


@pytest.fixture(autouse=True)
def log() -> Any:
    """Which modules were run to their end, in order."""
    module = sys.modules["reload_log"] = types.ModuleType("reload_log")
    module.__dict__["log"] = []
    yield module.__dict__["log"]
    del sys.modules["reload_log"]


def says(name: str) -> str:
    return f"import reload_log; reload_log.log.append({name!r})\n"


def affected(program: Program) -> list[str]:
    return short(program.affected(program.changes()))


def test_who_imports_what_has_changed_is_imported_anew_after_it(files: Files, log: list[str]) -> None:
    files.write(
        __init__="",
        base=says("base"),
        other=says("other"),
        orders="from .base import *\n" + says("orders"),
        app="from $.orders import *\nfrom . import other\n" + says("app"),
    )
    files.load("app")
    program, before = files.program(), {name: files.there(name) for name in ("base", "other", "orders", "app", "")}
    files.write(base="NEW = 1\n" + says("base"))
    log.clear()
    generation = anew(program)
    assert log == ["base", "orders", "app"]
    assert sorted(short(generation.new)) == ["app", "base", "orders"]
    assert {name for name, module in before.items() if files.there(name) is module} == {"other", ""}
    assert not hasattr(before["base"], "NEW")  # nothing is written into what runs
    assert files.there("app").NEW == 1
    assert files.there("").base is files.there("base")


def test_a_circle_is_entered_where_it_was_entered_before(files: Files, log: list[str]) -> None:
    files.write(
        __init__="",
        first="FIRST = 1\nfrom . import second\n" + says("first"),
        second="from .first import FIRST\nSECOND = FIRST\n" + says("second"),
        app="from .first import FIRST\nfrom .second import SECOND\n" + says("app"),
    )
    files.load("app")
    program = files.program()
    files.write(second="from .first import FIRST\nSECOND = FIRST + 1\n" + says("second"))
    log.clear()
    anew(program)
    assert log == ["second", "first", "app"]  # to begin with `second` would raise ImportError
    assert (files.there("app").SECOND, files.there("first").second) == (2, files.there("second"))
    files.write(first="FIRST = 5\nfrom . import second\n" + says("first"))
    anew(program)
    assert (files.there("app").FIRST, files.there("app").SECOND) == (5, 6)


@pytest.mark.parametrize(
    "line",
    [
        "from $.orders import PRICE",
        "from .orders import PRICE",
        "from . import orders; PRICE = orders.PRICE",
        "from $ import orders; PRICE = orders.PRICE",
        "import $.orders; PRICE = $.orders.PRICE",
        "import $.orders as o; PRICE = o.PRICE",
        "try:\n    from .orders import PRICE\nexcept ImportError:\n    raise",
        "class A:\n    from .orders import PRICE\nPRICE = A.PRICE",
        "from importlib import import_module\nm = import_module('$.orders')\nPRICE = m.PRICE",
        "from importlib import import_module\nPlain = import_module('$.orders').Plain\nPRICE = Plain.PRICE",
    ],
)
def test_all_ways_to_import_are_seen(files: Files, line: str) -> None:
    files.write(__init__="", orders="PRICE = 1\nclass Plain:\n    PRICE = 1\n", app=line)
    files.load("app")
    program = files.program()
    files.write(orders="PRICE = 2\nclass Plain:\n    PRICE = 2\n")
    assert affected(program) == ["app", "orders"]
    anew(program)
    assert files.there("app").PRICE == 2


def test_what_a_function_imports_and_what_is_for_type_checkers_affects_nobody(files: Files) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .orders import PRICE\n"
    text += "def f():\n    from .orders import PRICE\n    return PRICE\n"
    files.write(__init__="", orders="PRICE = 1", app=text)
    app = files.load("app")
    assert app.f() == 1
    program = files.program()
    files.write(orders="PRICE = 2")
    assert affected(program) == ["orders"]
    anew(program)
    assert (files.there("app"), app.f()) == (app, 2)


def test_a_package_that_is_new_has_the_modules_below_it_that_are_not(files: Files) -> None:
    files.write(__init__="from . import orders, rooms\nfrom .rooms import SIZE\n", orders="PRICE = 1", rooms="SIZE = 3")
    files.load("orders")
    program, rooms, package = files.program(), files.there("rooms"), files.there("")
    files.write(orders="PRICE = 2")
    assert affected(program) == ["", "orders"]
    anew(program)
    assert files.there("") is not package
    assert (files.there("").rooms, files.there("").orders.PRICE, files.there("").SIZE) == (rooms, 2, 3)


def test_a_package_uses_what_is_below_it_while_it_runs(files: Files) -> None:
    files.write(__init__="", rooms="SIZE = 3", app="import $.rooms\n")
    files.load("app")
    program = files.program()
    files.write(__init__="import $.rooms\nSIZE = $.rooms.SIZE\n")
    anew(program)
    assert files.there("").SIZE == 3


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1/0", ZeroDivisionError),
        ("def f(:", SyntaxError),
        ("import sys; sys.exit(3)", SystemExit),
        ("from .nowhere import x", ModuleNotFoundError),
        ("x = '\0'", (SyntaxError, ValueError)),
    ],
)
def test_if_one_raises_all_the_old_ones_are_back(files: Files, text: str, error: Any) -> None:
    files.write(__init__="", base="BASE = 1", fresh="", orders="from .base import BASE", app="from . import orders, base")
    files.load("app")
    program = files.program()
    before = {name: files.there(name) for name in ("", "base", "orders", "app")}
    files.write(base="BASE = 2\nfrom . import fresh", orders=f"from .base import BASE\n{text}")
    for _ in range(2):  # it goes on being broken
        with pytest.raises(NotImported) as raised:
            anew(program)
        assert isinstance(raised.value.error, error)
        assert raised.value.file == os.path.join(files.package, "orders.py")
        assert {name: files.there(name) for name in before} == before
        assert (before[""].orders, before[""].base) == (before["orders"], before["base"])
        assert f"{files.package}.fresh" not in sys.modules
        assert not hasattr(before[""], "fresh")
        assert before["base"].BASE == 1
    files.write(orders="from .base import BASE\nMORE = 1")
    anew(program)
    assert (files.there("app").orders.MORE, files.there("app").base.BASE, files.there("orders").BASE) == (1, 2, 2)
    assert not program.changes()
    assert not sys.meta_path[0].__class__.__module__.startswith("supervise.cli")


def test_the_module_that_raises_may_be_the_first_one(files: Files) -> None:
    files.write(__init__="", orders="PRICE = 1")
    files.load("orders")
    program = files.program()
    for text in ("def f(:", "1 / 0"):
        files.write(orders=text)
        with pytest.raises(NotImported) as raised:
            anew(program)
        lines = [frame.name for frame in traceback.extract_tb(raised.value.error.__traceback__)]
        assert lines == ([] if text == "def f(:" else ["<module>"])


def test_it_is_said_who_raised_and_not_who_was_changed(files: Files) -> None:
    files.write(__init__="", orders="PRICE = 1", app="from .orders import PRICE")
    files.load("app")
    program = files.program()
    files.write(orders="COST = 1")
    with pytest.raises(NotImported) as raised:
        anew(program)
    assert raised.value.file.endswith("app.py")
    assert "cannot import name 'PRICE'" in str(raised.value.error)


def test_the_same_text_again_is_no_change_and_one_of_the_same_size_in_the_same_second_is(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    files.write(__init__="", orders="PRICE = 1")
    files.load("orders")
    program = files.program()
    stat = files.file("orders").stat()
    files.write(orders="PRICE = 1")
    assert not program.changes()
    files.write(orders="PRICE = 2")
    os.utime(files.file("orders"), ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert short(program.changes().sources) == ["orders"]
    anew(program)
    assert files.there("orders").PRICE == 2


def test_a_file_that_vanishes_changes_nothing_until_somebody_else_changes(files: Files) -> None:
    files.write(__init__="", orders="PRICE = 1", app="from . import orders")
    files.load("app")
    program = files.program()
    files.file("orders").unlink()
    changes = program.changes()
    assert not changes
    files.write(orders="PRICE = 2")  # an editor had it away for a moment
    anew(program)
    assert files.there("app").orders.PRICE == 2
    files.file("orders").unlink()
    files.write(app="from . import orders\nMORE = 1")
    with pytest.raises(NotImported, match=r"app\.py"):
        anew(program)
    assert files.there("app").orders is files.there("orders")
    files.write(app="MORE = 1")
    anew(program)
    assert f"{files.package}.orders" not in sys.modules
    assert not hasattr(files.there(""), "orders")


def test_a_file_that_may_be_younger_than_its_import_has_changed(files: Files) -> None:
    files.write(__init__="", orders="PRICE = 1")
    files.load("orders")
    assert short(Program(files.folders, begun=0.0).changes().sources) == ["", "orders"]
    assert not Program(files.folders).changes()


def test_a_module_under_two_names_is_one(files: Files) -> None:
    files.write(__init__="", orders="PRICE = 1")
    sys.modules[f"{files.package}.alias"] = files.load("orders")
    program = files.program()
    files.write(orders="PRICE = 2")
    anew(program)
    assert files.there("alias") is files.there("orders")
    assert files.there("orders").PRICE == 2


def test_a_new_generation_can_itself_be_replaced_again_and_again(files: Files) -> None:
    files.write(__init__="", orders="PRICE = 0", app="from .orders import PRICE")
    files.load("app")
    program = files.program()
    for price in range(1, 5):
        files.write(orders=f"PRICE = {price}")
        anew(program)
        assert price == files.there("app").PRICE


def test_a_namespace_package_has_no_file_and_what_is_in_it_has(files: Files) -> None:
    files.write(rooms__big="SIZE = 1", app="from .rooms.big import SIZE")
    files.load("app")
    program = files.program()
    files.write(rooms__big="SIZE = 2")
    anew(program)
    assert files.there("app").SIZE == 2


def test_what_is_of_others_is_left_alone(tmp_path: Path) -> None:
    folders = Folders(str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pyvenv.cfg").touch()
    others = [".venv/lib/x.py", "venv/x.py", "a/__pycache__/x.py", ".git/x.py", "a/node_modules/b/x.py", "mine/lib/x.py"]
    for file in others:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        assert not folders.holds(str(tmp_path / file)), file
    assert folders.holds(str(tmp_path / "a" / "x.py"))
    assert not folders.holds(str(tmp_path.parent / "x.py"))
    assert [os.path.relpath(folder, tmp_path) for folder in folders.walk()] == [".", "a"]
    assert folders.shown(str(tmp_path / "a" / "x.py")) == os.path.join("a", "x.py")


def test_the_library_itself_is_nobodys_program() -> None:
    import supervise

    root = Path(supervise.__file__).parents[1]
    assert not Folders(str(root)).holds(supervise.__file__)
    assert not Folders(str(root)).holds(str(root / "strategies" / "supervise_strategies" / "work.py"))


def test_what_was_imported_late_is_entered_after_what_was_imported_first(files: Files) -> None:
    first = "FIRST = 1\nfrom . import second\n"
    second = "from .first import FIRST\n"
    files.write(__init__="", first=first, second=second, late="from .second import FIRST\n", app="from . import first\n")
    files.load("app")
    files.load("late")
    program = files.program()
    files.write(second=second + "MORE = 1\n")
    assert affected(program) == ["app", "late", "first", "second"]
    anew(program)
    assert files.there("first").second.MORE == 1
