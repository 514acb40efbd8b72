import pytest

from pyro_fix.runner.model import Target
from pyro_fix.runner.target import parse


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub dir").mkdir()
    for name in ("train.py", "sub dir/x.py", "notes.txt"):
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "kind", "name", "args", "flags", "shown"),
    [
        ("train.py", "script", "train.py", (), (), "python train.py"),
        ("./train.py --n 3", "script", "./train.py", ("--n", "3"), (), "python ./train.py --n 3"),
        ("python train.py 'a b'", "script", "train.py", ("a b",), (), "python train.py 'a b'"),
        ("python 'sub dir/x.py' -m x", "script", "sub dir/x.py", ("-m", "x"), (), "python 'sub dir/x.py' -m x"),
        (
            "python3.11 -O -W error train.py",
            "script",
            "train.py",
            (),
            ("-O", "-W", "error"),
            "python -O -W error train.py",
        ),
        (
            "python -Werror -X dev train.py",
            "script",
            "train.py",
            (),
            ("-Werror", "-X", "dev"),
            "python -Werror -X dev train.py",
        ),
        ("/usr/bin/python3 -m pkg.mod --x", "module", "pkg.mod", ("--x",), (), "python -m pkg.mod --x"),
        ("python -mpkg a", "module", "pkg", ("a",), (), "python -m pkg a"),
        ("pytest tests -k svi", "pytest", "", ("tests", "-k", "svi"), (), "pytest tests -k svi"),
        ("python -m pytest -x", "pytest", "", ("-x",), (), "pytest -x"),
        ("pytest train.py::test_y -q", "pytest", "", ("train.py::test_y", "-q"), (), "pytest train.py::test_y -q"),
        ("python -O -m pytest -x", "pytest", "", ("-x",), ("-O",), "python -O -m pytest -x"),
    ],
)
def test_what_is_understood(folder, command, kind, name, args, flags, shown):
    target = parse(command, folder)
    assert target == Target(kind, name, args, folder, "--run", flags)
    assert target.command == shown


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("", "needs a command"),
        ("   ", "needs a command"),
        ("python", "names no program"),
        ("python -O", "names no program"),
        ("python -c 'print(1)'", "option -c cannot be used"),
        ("python -I train.py", "option -I cannot be used"),
        ("python -m", "needs a module's name"),
        ("python -m not/a/module", "is no module's name"),
        ("python missing.py", "there is no file missing.py"),
        ("missing.py", "there is no file missing.py"),
        ("pytest -q missing.py::test_y", "there is no file missing.py"),
        ("python notes.txt", "is no Python file"),
        ("python train.py 'open", "No closing quotation"),
        ("make train", "not understood"),
        ("cd x && python train.py", "not understood"),
        ("bash -c train.py", "not understood"),
        ("python 'sub dir'", "there is no file"),
    ],
)
def test_what_is_not(folder, command, word):
    with pytest.raises(ValueError) as caught:
        parse(command, folder)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_none(folder):
    with pytest.raises(ValueError, match="is no folder"):
        parse("train.py", folder / "none")
