"""The program's view of the file system: patched sources in their places, and nothing written below the project.

Python functions that open, make, move and remove files are replaced.  A read of an overlaid source finds the patched
text; what the program writes below its project (in a sandbox: anywhere) lands in a scratch folder, where its later
reads find it.  Native code that opens files by itself is not seen (``torch.save`` is, in ``quiet.py``): keeping a
hostile program in is the sandbox's task, this one keeps an ordinary program going that writes where it must not.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import functools
import io
import os
import pathlib
import shutil
import stat
import sys
import sysconfig
import threading
import tokenize
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from .journal import REACHED, Journal
from .marked import Marked

_open, _os_open, _stat, _lstat, _mkdir = builtins.open, os.open, os.stat, os.lstat, os.mkdir
_remove, _rmdir, _rename, _listdir, _scandir = os.remove, os.rmdir, os.rename, os.listdir, os.scandir
_chdir, _rmtree, _access, _truncate, _symlink = os.chdir, shutil.rmtree, os.access, os.truncate, os.symlink
#: The recorder's files in the scratch folder.
_OURS = ("journal.jsonl", "spec.json")
_T = TypeVar("_T")
#: What is told once of a file that seems not to be there.
WITHHELD = "the sandbox may be why ({path} seems not to be there): it holds secrets; --readable {path} opens it"
#: No files to write to, whatever they look like.
_DEVICES = tuple(os.path.join(folder, "") for folder in ("/dev", "/proc", "/sys"))
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Libraries:
    """Tells the user's own files from the standard library and from installed packages."""

    def __init__(self) -> None:
        """Ask this interpreter where its libraries are."""
        folders = {sysconfig.get_paths().get(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        if sys.prefix != sys.base_prefix:
            folders.add(sys.prefix)
        self._folders = tuple(
            {os.path.join(form, "") for folder in folders if folder for form in (folder, os.path.realpath(folder))}
        )
        self._probe = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")

    def owns(self, path: str) -> bool:
        """Whether the absolute ``path`` belongs to a library (or to the probe)."""
        if path.startswith(self._folders) or path.startswith(self._probe):
            return True
        return f"{os.sep}site-packages{os.sep}" in path or f"{os.sep}dist-packages{os.sep}" in path


class View:
    """What the program sees of the files below its project."""

    def __init__(
        self,
        overlay: dict[str, str],
        roots: Iterable[str],
        scratch: str,
        journal: Journal,
        *,
        kept: Iterable[str] = (),
        free: Iterable[str] = (),
        withheld: Iterable[str] = (),
        shared: bool = False,
        everywhere: bool = False,
    ) -> None:
        """``overlay``: real path of a source -> file with the text to show; ``roots``: the project's folders.

        ``kept``: folders that the recorder fills, and no part of the project.  ``free``: folders that the program may
        write to all the same.  ``withheld``: real paths of files that seem not to be there: most programs know what to
        do then, and few what to do with a file that they may not read.  ``shared``: other processes may have written
        already.
        ``everywhere``: nothing else can be written to, below the roots or not.
        """
        self.overlay = overlay
        self.libraries = Libraries()
        self._suffixes = tuple({os.path.splitext(path)[1] for path in overlay}) or ("\0",)
        self._roots = tuple(os.path.join(root, "") for root in roots)
        self._scratch = os.path.join(os.path.realpath(scratch), "")
        self._ours = (self._scratch, *(os.path.join(os.path.realpath(folder), "") for folder in kept))
        self._free = (*self._ours, *(os.path.join(os.path.realpath(folder), "") for folder in free))
        self._everywhere = everywhere
        self._withheld = frozenset(withheld)
        self._missed: set[str] = set()
        self._minded: set[str] = set()
        self._layers = [os.path.join(self._scratch, "written")]
        self.touched = shared
        self._removed: set[str] = set()
        self._journal = journal
        self._loaded: set[str] = set()
        self._made: set[str] = set()
        """What the program wrote before it read it: it depends on nothing that was there."""
        self.noting = True
        """Whether reads are the program's own doing."""

    # ------------------------------------------------------------------ questions

    def in_project(self, path: str) -> bool:
        """Whether the absolute ``path`` lies below the project and is no library."""
        return (
            os.path.join(path, "").startswith(self._roots)
            and not os.path.basename(path).startswith("<")  # code that has no file
            and not os.path.join(path, "").startswith(self._ours)
            and not self.libraries.owns(path)
        )

    def redirects(self, path: str) -> bool:
        """Whether what is written to the absolute ``path`` lands in the scratch folder."""
        if os.path.join(path, "").startswith(self._free):
            return False
        # Libraries too: some keep their data beside their code, as ``pyro.contrib.examples`` does.
        return not os.path.join(path, "").startswith(_DEVICES) if self._everywhere else self.in_project(path)

    def note(self, path: str) -> None:
        """Report a file of the project that the program depends on."""
        if path in self._loaded or path in self._made:
            return
        if self.noting and not (self.libraries.owns(path) and path not in self.overlay):
            self._loaded.add(path)
            self._journal.write("loaded", path=path)

    def shown(self, path: str) -> str | None:
        """The file that holds the overlaid text of the source at ``path``, if it has one."""
        return self.overlay.get(os.path.realpath(path)) if path.endswith(self._suffixes) else None

    def _mind(self, path: str) -> None:
        """The recorder's own files are none of the program's business."""
        folder, name = os.path.split(path)
        if folder == self._scratch[:-1] and name.startswith(_OURS) and name not in self._minded:
            self._minded.add(name)
            self._journal.write("note", text=f"{REACHED}: it opened {name}")

    def branch(self, name: str) -> None:
        """From here on (in a forked replica) write to a layer of its own; earlier layers stay readable."""
        self._layers.insert(0, os.path.join(self._scratch, "written-" + name))

    def reading(self, path: str) -> str | None:
        """Where a read of ``path`` has to go instead, if anywhere."""
        shown = self.shown(path)
        absolute = os.path.abspath(path)
        self._mind(absolute)
        if self._withholds(path):
            return self._nowhere()
        if self.touched and self.redirects(absolute):
            written = self._written(os.path.realpath(path))
            if written is not None:
                return written
            if self._is_removed(os.path.realpath(path)):
                return self._nowhere()
        if self.in_project(absolute) and os.path.isfile(absolute):
            self.note(os.path.realpath(path))
        return shown

    def writing(self, path: str, *, keeps: bool, makes: bool) -> str | None:
        """Where a write to ``path`` has to go instead; None outside the project and where it must fail anyway.

        ``keeps``: the old content stays (append, update); ``makes``: a missing file is made.
        """
        real = os.path.realpath(path)
        self._mind(real)
        if not self.redirects(real):
            self._writes(real, keeps)
            return None
        current = self.existing(real)
        if current is not None and not stat.S_ISREG(_stat(current).st_mode):
            return None
        if current is None and not (makes and self._folder(os.path.dirname(real))):
            return self._nowhere()
        if current == real and real in self._withheld:
            current = None
            if not makes:
                return self._nowhere()
        target = self._layers[0] + real
        _make_folders(os.path.dirname(target))
        if keeps and current is not None and current != target:
            _copy(self.shown(real) or current, target)
        self._removed.discard(real)
        self.touched = True
        return target

    def _writes(self, real: str, keeps: bool) -> None:
        """A write that lands where it is meant to: what was there before counts if it is read, or added to."""
        if keeps and self.in_project(real) and os.path.isfile(real):
            self.note(real)
        else:
            self._made.add(real)

    def existing(self, real: str) -> str | None:
        """The file or folder that the program has at ``real``: what it wrote itself, or the user's own."""
        written = self._written(real)
        if written is not None:
            return written
        return None if self._is_removed(real) or not _exists(real) else real

    def _written(self, real: str) -> str | None:
        if self.touched:
            for layer in self._layers:
                if _exists(layer + real):
                    return layer + real
                if real in self._removed:
                    return None
        return None

    def _is_removed(self, real: str) -> bool:
        if not self._removed:
            return False
        if real in self._removed:
            return True
        return any(real.startswith(gone + os.sep) for gone in self._removed)

    def _folder(self, real: str) -> bool:
        found = self.existing(real)
        return found is not None and stat.S_ISDIR(_stat(found).st_mode)

    def _nowhere(self) -> str:
        return os.path.join(self._scratch, "no-such-folder", "no-such-file")

    # ------------------------------------------------------------------ changes

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        """``os.mkdir``."""
        real = self._mine(path, dir_fd)
        if real is None:
            return _mkdir(path, mode, dir_fd=dir_fd)
        if self.existing(real) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if not self._folder(os.path.dirname(real)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        _make_folders(self._layers[0] + real)
        self.touched = True
        return None

    def remove(self, path: Any, *, dir_fd: int | None = None) -> None:
        """``os.remove``, ``os.unlink`` and ``os.rmdir``: the user's own files only seem to go."""
        real = self._mine(path, dir_fd)
        if real is None:
            return _remove(path, dir_fd=dir_fd)
        found = self.existing(real)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if found.startswith(self._layers[0]):
            _rmdir(found) if os.path.isdir(found) else _remove(found)
        self._removed.add(real)
        self.touched = True
        return None

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        """``os.rmdir``."""
        if self._mine(path, dir_fd) is None:
            return _rmdir(path, dir_fd=dir_fd)
        return self.remove(path)

    def rmtree(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """``shutil.rmtree``."""
        real = self._mine(path, kwargs.get("dir_fd"))
        if real is None or self.existing(real) is None:
            return _rmtree(path, *args, **kwargs)
        for layer in self._layers[:1]:
            _rmtree(layer + real, ignore_errors=True)
        self._removed.add(real)
        self.touched = True
        return None

    def rename(self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        """``os.rename`` and ``os.replace``."""
        old, new = self._mine(src, src_dir_fd), self._mine(dst, dst_dir_fd)
        if old is None and new is None:
            return _rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        found = os.fspath(src) if old is None else self.existing(old)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), src)
        target = os.fspath(dst) if new is None else self._layers[0] + new
        if new is not None:
            _make_folders(os.path.dirname(target))
            self._removed.discard(new)
        if old is None or found.startswith(self._layers[0]):
            _rename(found, target)
        elif os.path.isdir(found):
            shutil.copytree(found, target)
        else:
            _copy(self.shown(found) or found, target)
        if old is not None:
            self._removed.add(old)
        self.touched = True
        return None

    def truncate(self, path: Any, length: int) -> None:
        """``os.truncate``."""
        name = _name(path)
        target = None if name is None else self.writing(name, keeps=True, makes=False)
        return _truncate(path if target is None else target, length)

    def symlink(self, src: Any, dst: Any, target_is_directory: bool = False, *, dir_fd: int | None = None) -> None:
        """``os.symlink``."""
        real = self._mine(dst, dir_fd)
        if real is None:
            return _symlink(src, dst, target_is_directory, dir_fd=dir_fd)
        if self.existing(real) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), src, None, dst)
        # What the link means is meant where the program sees it, not where it is kept.
        meant = os.path.join(os.path.dirname(real), os.fsdecode(src))
        target = self._layers[0] + real
        _make_folders(os.path.dirname(target))
        _symlink(self.existing(os.path.realpath(meant)) or meant, target)
        self.touched = True
        return None

    def changing(self, real_function: Callable[..., Any]) -> Callable[..., Any]:
        """``os.utime`` and its like: they change what the program wrote, and leave the user's own files alone."""

        def change(path: Any, *args: Any, **kwargs: Any) -> Any:
            real = None if kwargs.get("dir_fd") is not None else self._mine(path, None)
            if real is None:
                return real_function(path, *args, **kwargs)
            found = self.existing(real)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            return None if found == real else real_function(found, *args, **kwargs)

        return change

    def _mine(self, path: Any, dir_fd: int | None) -> str | None:
        name = None if dir_fd is not None else _name(path)
        if name is None:
            return None
        # The last part is not followed: a link is removed or renamed itself.
        folder, last = os.path.split(os.path.abspath(name))
        real = os.path.join(os.path.realpath(folder), last)
        return real if self.redirects(real) else None

    # ------------------------------------------------------------------ looks

    @property
    def watches(self) -> bool:
        """Whether a look at a file can find something else than what is there."""
        return self.touched or bool(self._withheld)

    def _withholds(self, path: str) -> bool:
        if not self._withheld:
            return False
        real = os.path.realpath(path)
        if real not in self._withheld or self._written(real) is not None:
            return False
        if real not in self._missed:
            self._missed.add(real)
            self._journal.write("note", text=WITHHELD.format(path=path))
        return True

    def looking(self, path: Any) -> Any:
        """What ``os.stat`` and its like have to look at instead of ``path``."""
        name = _name(path) if self.watches else None
        if name is not None and self._withholds(name):
            return self._nowhere()
        if not self.touched or name is None or not self.redirects(os.path.abspath(name)):
            return path
        real = os.path.realpath(name)
        written = self._written(real)
        if written is not None:
            return written
        return self._nowhere() if self._is_removed(real) else path

    def names(self, path: Any) -> list[Any] | None:
        """The names in the folder ``path`` where the program changed it; else None."""
        name = _name("." if path is None else path)
        if not self.touched or name is None or not self.redirects(os.path.join(os.path.realpath(name), "x")):
            return None
        real = os.path.realpath(name)
        if self.existing(real) is None:
            return None
        found: dict[str, None] = {}
        for folder in (real, *(layer + real for layer in self._layers)):
            if os.path.isdir(folder) and not (folder is real and self._is_removed(real)):
                found.update(dict.fromkeys(_listdir(folder)))
        return [entry for entry in found if self.existing(os.path.join(real, entry)) is not None]


def _name(path: Any) -> str | None:
    if isinstance(path, int):
        return None
    try:
        return os.fsdecode(path)
    except (TypeError, ValueError):
        return None


def _exists(path: str) -> bool:
    try:
        _lstat(path)
    except (OSError, ValueError):
        return False
    return True


def _make_folders(path: str) -> None:
    if not _exists(path):
        _make_folders(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            _mkdir(path)


def _copy(source: str, target: str) -> None:
    with _open(source, "rb") as reader, _open(target, "wb") as writer:
        shutil.copyfileobj(reader, writer)


class _Entry:
    """``os.DirEntry`` of a folder that has more than one layer."""

    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self.path = os.path.join(folder, name)

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return os.path.isdir(self.path) and (follow_symlinks or not self.is_symlink())

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return os.path.isfile(self.path) and (follow_symlinks or not self.is_symlink())

    def is_symlink(self) -> bool:
        return os.path.islink(self.path)

    def is_junction(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat(self.path, follow_symlinks=follow_symlinks)

    def inode(self) -> int:
        return self.stat(follow_symlinks=False).st_ino


class _Entries:
    """What ``os.scandir`` returns, for a folder that has more than one layer."""

    def __init__(self, entries: Iterator[_Entry]) -> None:
        self._entries = entries

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> _Entry:
        return next(self._entries)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


def install(view: View) -> None:
    """Replace the functions through which Python code reaches files."""
    busy = threading.local()

    def outermost(real: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
        """``ours``, and ``real`` for the calls that ours makes in turn."""

        @functools.wraps(real)
        def call(*args: Any, **kwargs: Any) -> Any:
            if getattr(busy, "now", False):
                return real(*args, **kwargs)
            busy.now = True
            try:
                return ours(*args, **kwargs)
            finally:
                busy.now = False

        return call

    def open_file(file: Any, mode: Any = "r", *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, Marked):  # would be taken for a descriptor's number
            file = os.fspath(file)  # type: ignore[call-overload]
        name = _name(file) if isinstance(mode, str) else None
        target = None
        if name is not None:
            writes = "w" in mode or "a" in mode or "x" in mode or "+" in mode
            target = _writing(name, mode) if writes else view.reading(name)
        if target is None:
            return _open(file, mode, *args, **kwargs)
        found = target
        # By way of an opener the file keeps the name that the program gave it.
        kwargs["opener"] = lambda _, flags: _raising(file, lambda: _os_open(found, flags, 0o666))
        return _open(file, mode, *args[:5], **kwargs)

    open_guarded = outermost(_open, open_file)

    @functools.wraps(_open)
    def opened(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("opener") is not None or (len(args) > 7 and args[7] is not None):
            return _open(*args, **kwargs)  # the opener calls ``os.open``
        return open_guarded(*args, **kwargs)

    def _writing(name: str, mode: str) -> str | None:
        existing = view.existing(os.path.realpath(name)) if "x" in mode else None
        if existing is not None:
            return existing  # where opening it fails, as it must
        return view.writing(name, keeps="a" in mode or "r" in mode, makes="r" not in mode)

    def open_code(path: Any) -> Any:
        shown = view.shown(path)
        if view.in_project(os.path.abspath(path)):
            view.note(os.path.realpath(path))
        return _open_code(path) if shown is None else _open(shown, "rb")

    def os_open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        name = _name(path) if dir_fd is None else None
        target = None
        if name is not None and not flags & getattr(os, "O_DIRECTORY", 0):
            if flags & _WRITING:
                target = view.existing(os.path.realpath(name)) if flags & os.O_EXCL else None
                if target is None:
                    target = view.writing(name, keeps=not flags & os.O_TRUNC, makes=bool(flags & os.O_CREAT))
            else:
                target = view.reading(name)
        if target is None:
            return _os_open(path, flags, mode, dir_fd=dir_fd)
        found = target
        return _raising(path, lambda: _os_open(found, flags, mode))

    def look(real: Callable[..., Any]) -> Callable[..., Any]:
        def looking(path: Any, *args: Any, **kwargs: Any) -> Any:
            if not view.watches or kwargs.get("dir_fd") is not None:
                return real(path, *args, **kwargs)
            return _raising(path, lambda: real(view.looking(path), *args, **kwargs))

        return looking

    def listdir(path: Any = ".") -> Any:
        names = view.names(path)
        if names is None:
            return _listdir(path)
        return [os.fsencode(name) for name in names] if isinstance(path, bytes) else names

    def scandir(path: Any = ".") -> Any:
        names = None if isinstance(path, bytes) else view.names(path)
        if names is None:
            return _scandir(path)
        folder = os.fspath("." if path is None else path)
        return _Entries(iter([_Entry(folder, name) for name in names]))

    def chdir(path: Any) -> None:
        name = _name(path)
        if name is not None and not os.path.isdir(os.path.realpath(name)):
            path = view.looking(path)
        _chdir(path)

    _open_code = io.open_code
    builtins.open = io.open = opened
    io.open_code = outermost(_open_code, open_code)
    # ``tokenize`` (and with it ``linecache`` and ``inspect``) kept the function that it found when it was imported.
    tokenize._builtin_open = opened  # type: ignore[attr-defined]
    replaced: dict[str, Any] = {
        "open": os_open,
        "stat": look(_stat),
        "lstat": look(_lstat),
        "access": look(_access),
        "mkdir": view.mkdir,
        "remove": view.remove,
        "unlink": view.remove,
        "rmdir": view.rmdir,
        "rename": view.rename,
        "replace": view.rename,
        "listdir": listdir,
        "scandir": scandir,
        "chdir": chdir,
        "truncate": view.truncate,
        "symlink": view.symlink,
        "utime": view.changing(os.utime),
        "chmod": view.changing(os.chmod),
    }
    kept = {name: getattr(os, name) for name in replaced}
    for name in replaced:
        replaced[name] = function = outermost(kept[name], replaced[name])
        # Modules ask ``os.supports_dir_fd`` and its like about the very function objects.
        for group in (os.supports_dir_fd, os.supports_follow_symlinks, os.supports_fd, os.supports_effective_ids):
            if kept[name] in group:
                group.add(function)
        setattr(os, name, function)
    shutil.rmtree = outermost(_rmtree, view.rmtree)  # type: ignore[assignment]
    accessor = getattr(pathlib, "_NormalAccessor", None)  # until Python 3.10 it keeps functions of its own
    if accessor is not None:
        for name in replaced:
            if getattr(accessor, name, None) is kept[name]:
                setattr(accessor, name, staticmethod(replaced[name]))
        if getattr(accessor, "open", None) is not None and sys.version_info >= (3, 10):
            accessor.open = staticmethod(opened)


def _raising(path: Any, call: Callable[[], _T]) -> _T:
    """Call, and let an error name the user's own path."""
    try:
        return call()
    except OSError as error:
        if error.filename is not None:
            error.filename = path
        raise
