"""The process that stays outside the sandbox and connects sockets for those inside, where that is harmless.

Worker processes of one program talk over UNIX sockets (torch hands tensors on that way), but so does the machine: a
container daemon or a session bus would do anything for whoever asks.  A filter cannot see where a call would lead.  So
the kernel puts each ``connect`` before this process, which makes it in the program's stead if the socket lies in a
folder that the program may write to, and refuses every other.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

from . import system

_RECEIVE, _SEND, _STILL_VALID, _PUT = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103
_PIDFD_OPEN, _PIDFD_GETFD = 434, 438
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_LONGEST_ADDRESS = 128


def split(folders: list[str], at_end: Callable[[], None] | None = None) -> socket.socket:
    """Fork.  The child returns, with what to hand its listener to; the parent stays, and ends as the child does.

    ``folders``: where sockets may be connected to.  ``at_end``: what the parent does when the child has ended.
    """
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    child = os.fork()
    if child:
        try:
            theirs.close()
            _stay(child, ours, tuple(os.path.join(os.path.realpath(folder), "") for folder in folders), at_end)
        finally:
            os._exit(70)
    ours.close()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(70)
    return theirs


def hand_over(listener: int, channel: socket.socket) -> None:
    """Give the gate its listener."""
    channel.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]).tobytes())])
    system.close(listener)


def _stay(
    child: int, channel: socket.socket, folders: tuple[str, ...], at_end: Callable[[], None] | None = None
) -> None:
    listener = _listener(channel)
    channel.close()
    if listener is not None:
        _watch(child, listener, folders)
    status = os.waitpid(child, 0)[1]
    if at_end is not None:
        at_end()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


def _listener(channel: socket.socket) -> int | None:
    """What the child sends, or nothing where it ends before or needs no gate."""
    with contextlib.suppress(OSError):
        _, control, _, _ = channel.recvmsg(1, socket.CMSG_LEN(4))
        for level, kind, data in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                return int(array.array("i", data)[0])
    return None


def _watch(child: int, listener: int, folders: tuple[str, ...]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    ended = libc.syscall(_PIDFD_OPEN, child, 0)
    if ended < 0:
        return  # the listener closes with this process; until then calls wait
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if ended in ready:
            return
        if ready.get(listener, 0) & ~select.POLLIN:
            poll.unregister(listener)
            continue
        notice = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, notice)
        except OSError:  # whoever called is gone
            continue
        # A full queue makes a call wait: not all others with it.
        threading.Thread(target=_answer, args=(libc, listener, notice, folders), daemon=True).start()


def _answer(libc: Any, listener: int, notice: bytearray, folders: tuple[str, ...]) -> None:
    call, thread, _, _, _, _, descriptor, address, length, *_ = _NOTICE.unpack(notice)
    try:
        _connect(libc, listener, call, thread, descriptor, address, length, folders)
        error = 0
    except OSError as refused:
        error = refused.errno or errno.EACCES
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, _SEND, bytearray(_ANSWER.pack(call, 0, -error, 0)))


def _connect(
    libc: Any,
    listener: int,
    call: int,
    thread: int,
    descriptor: int,
    address: int,
    length: int,
    folders: tuple[str, ...],
) -> None:
    if not 2 < length <= _LONGEST_ADDRESS:
        raise OSError(errno.EACCES, "no such address")
    memory = system.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(memory, length, address)
    finally:
        system.close(memory)
    path = data[2:].split(b"\0")[0]
    if struct.unpack_from("=H", data)[0] != socket.AF_UNIX or not path:
        raise OSError(errno.EACCES, "no socket in the file system")
    where = os.path.join(os.fsencode(os.readlink(f"/proc/{thread}/cwd")), path)
    # From here on it is the file itself that is looked at and connected to: names may change under us.
    file = system.open(where, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.readlink(f"/proc/self/fd/{file}").startswith(folders):
            raise OSError(errno.EACCES, "not a socket of this program")
        here = f"/proc/self/fd/{file}"
        try:
            theirs = _socket_of(libc, thread, descriptor)
        except PermissionError:  # containers forbid pidfd_getfd
            _replace(listener, call, descriptor, here)
            return
        with theirs:
            fcntl.ioctl(listener, _STILL_VALID, struct.pack("=Q", call))  # else these were another process' things
            theirs.connect(here)
    finally:
        system.close(file)


def _replace(listener: int, call: int, descriptor: int, path: str) -> None:
    """Put a socket of ours, connected, in the place of one that cannot be got at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ours:
        ours.connect(path)
        put = struct.pack("=QIIII", call, 1, ours.fileno(), descriptor & 0xFFFFFFFF, os.O_CLOEXEC)
        fcntl.ioctl(listener, _PUT, put)


def _socket_of(libc: Any, thread: int, descriptor: int) -> socket.socket:
    """The very socket of a process inside."""
    status = system.open(f"/proc/{thread}/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = system.read(status, 1 << 14)
    finally:
        system.close(status)
    process = next(int(line.split()[1]) for line in text.splitlines() if line.startswith(b"Tgid:"))
    handle = libc.syscall(_PIDFD_OPEN, process, 0)
    if handle < 0:
        raise OSError(ctypes.get_errno(), "gone")
    try:
        copy = libc.syscall(_PIDFD_GETFD, handle, ctypes.c_int(descriptor & 0xFFFFFFFF), 0)
    finally:
        system.close(handle)
    if copy < 0:
        raise OSError(ctypes.get_errno(), "cannot be reached")
    return socket.socket(fileno=copy)
