"""A seccomp filter made by hand: which system calls a process and all that it starts may not make.

It sees numbers and registers, not what pointers lead to: it can forbid sockets of a family, not an address.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterable

#: The machine's name -> its number in a filter, and the column of ``_NUMBERS``.
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

#: These change whose file it is, who may read it, and when it was written, and landlock does not know them.  They are
#: answered with "done" and do nothing: ``shutil.copy`` sets modes, and should not fail for that.
_UNDONE = """chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -, lchown 94 -, fchown 93 55,
 fchownat 260 54, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88"""
#: What many file systems do not have.
_UNSUPPORTED = """setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, setxattrat 463 463, removexattr 197 14,
 lremovexattr 198 15, fremovexattr 199 16, removexattrat 466 466, file_setattr 469 469"""
#: Other processes, mounts, the machine, objects that outlive their maker, and ways round this filter.
_FORBIDDEN = """ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440,
 kcmp 312 272, pidfd_getfd 438 438, mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, move_mount 429 429,
 open_tree 428 428, open_tree_attr 467 467, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433,
 mount_setattr 442 442, unshare 272 97, setns 308 268, swapon 167 224, swapoff 168 225, reboot 169 142,
 sethostname 170 161, setdomainname 171 162, iopl 172 -, ioperm 173 -, init_module 175 105, finit_module 313 273,
 delete_module 176 106, kexec_load 246 104, kexec_file_load 320 294, quotactl 179 60, quotactl_fd 443 443, acct 163 89,
 settimeofday 164 170, clock_settime 227 112, clock_adjtime 305 266, adjtimex 159 171, bpf 321 280,
 perf_event_open 298 241, userfaultfd 323 282, keyctl 250 219, add_key 248 217, request_key 249 218,
 io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427, open_by_handle_at 304 265,
 lookup_dcookie 212 18, syslog 103 116, vhangup 153 58, fanotify_init 300 262, shmget 29 194, shmat 30 196,
 shmctl 31 195, msgget 68 186, msgsnd 69 189, msgrcv 70 188, msgctl 71 187, semget 64 190, semop 65 193, semctl 66 191,
 semtimedop 220 192, mq_open 240 180, mq_unlink 241 181"""
_JUDGED = """socket 41 198, socketpair 53 199, connect 42 203, ioctl 16 29, prlimit64 302 261, clone 56 220,
 clone3 435 435, open 2 -, openat 257 56, openat2 437 437, truncate 76 45, setpriority 141 140, ioprio_set 251 30,
 sched_setparam 142 118, sched_setscheduler 144 119, sched_setaffinity 203 122, sched_setattr 314 274"""

#: Kinds of requests (their second byte) that change files and folders opened for reading: attributes, versions, keys,
#: subvolumes.
_FILE_REQUESTS = (0x5800, 0x6600, 0x7600, 0x9400)
#: Put characters into a terminal.
_TERMINAL_REQUESTS = (0x5412, 0x541C)
_NEW_NAMESPACES = 0x7E020000

#: The kind of target that is all processes of a user.
_OF_A_USER = {"setpriority": 2, "ioprio_set": 3}

_UNIX, _NETLINK, _STREAM, _SEQPACKET = 1, 16, 1, 5
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _ASK, _ERROR = 0x7FFF0000, 0x7FC00000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def known() -> bool:
    """Whether there is a filter for this machine."""
    return os.uname().machine in _MACHINES and sys.maxsize > 2**32


def enter(*, network: bool, truncate: bool, gate: bool) -> int | None:
    """Put the filter in force for this thread and all that it starts; raises :class:`OSError`.

    Needs no-new-privileges.  ``network``: leave sockets alone; ``truncate``: landlock does not know truncation here;
    ``gate``: have each ``connect`` judged by whoever holds the listener, which is returned, instead of refusing it.
    """
    code = _code(network, truncate, gate)
    data = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(data, len(data))
    program = _Program(len(code), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
    # SECCOMP_SET_MODE_FILTER; SECCOMP_FILTER_FLAG_NEW_LISTENER
    result = libc.syscall(number, 1, 8 if gate else 0, ctypes.byref(program))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result if gate else None


def _code(network: bool, truncate: bool, gate: bool) -> list[tuple[int, int, int, int]]:
    machine, column = _MACHINES[os.uname().machine]
    judged = _numbers(_JUDGED, column)
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, machine), _error(errno.EPERM), (_LOAD, 0, 0, 0)]
    if column == 0:  # the x32 calls have other numbers
        code += [(_AT_LEAST, 0, 1, 0x40000000), _error(errno.ENOSYS)]
    for text, error in ((_UNDONE, 0), (_UNSUPPORTED, errno.EOPNOTSUPP), (_FORBIDDEN, errno.EPERM)):
        for number in _numbers(text, column).values():
            code += [(_EQUAL, 0, 1, number), _error(error)]
    blocks = {
        "ioctl": [
            *(_argument(1), (_AND, 0, 0, 0xFF00), *_if_any(_FILE_REQUESTS, errno.ENOTTY)),
            *(_argument(1), *_if_any(_TERMINAL_REQUESTS, errno.EPERM), _allow()),
        ],
        # Another process' limits; asking for them is free.
        "prlimit64": [
            *(_argument(2), (_EQUAL, 0, 3, 0), (_LOAD, 0, 0, 16 + 8 * 2 + 4), (_EQUAL, 0, 1, 0), _allow()),
            *(_argument(0), (_EQUAL, 0, 1, 0), _allow(), _error(errno.EPERM)),
        ],
        "clone": [_argument(0), (_AND, 0, 0, _NEW_NAMESPACES), (_EQUAL, 0, 1, 0), _allow(), _error(errno.EPERM)],
        # Its flags are behind a pointer; the C library takes clone instead.
        "clone3": [_error(errno.ENOSYS)],
    }
    # How other processes get on: who watches a program must not have to wait for it.  Answered with "done", as above.
    for name in ("setpriority", "ioprio_set"):
        blocks[name] = [
            _argument(1),
            (_EQUAL, 0, 3, 0),
            _argument(0),
            (_EQUAL, 1, 0, _OF_A_USER[name]),
            _allow(),
            _error(0),
        ]
    for name in ("sched_setparam", "sched_setscheduler", "sched_setaffinity", "sched_setattr"):
        blocks[name] = [_argument(0), (_EQUAL, 0, 1, 0), _allow(), _error(0)]
    if not network:
        # Of UNIX sockets those that are connected: a datagram can be sent to any address.
        local = [_argument(1), (_AND, 0, 0, 0xF), (_EQUAL, 1, 0, _STREAM), (_EQUAL, 0, 1, _SEQPACKET), _allow()]
        netlink = [_argument(2), (_EQUAL, 0, 1, 0), _allow()]  # routes and addresses, as getaddrinfo asks for them
        blocks["socket"] = blocks["socketpair"] = [
            _argument(0),
            (_EQUAL, 0, len(local) + 1, _UNIX),
            *local,
            _error(errno.EACCES),
            (_EQUAL, 0, len(netlink), _NETLINK),
            *netlink,
            _error(errno.EACCES),
        ]
        # To whom cannot be seen here; ``gate.py`` says why it matters.
        blocks["connect"] = [(_RETURN, 0, 0, _ASK) if gate else _error(errno.EACCES)]
    if truncate:
        blocks["truncate"] = [_error(errno.EACCES)]
        blocks["openat2"] = [_error(errno.ENOSYS)]
        for name, place in (("open", 1), ("openat", 2)):
            reading = [_argument(place), (_AND, 0, 0, os.O_ACCMODE | os.O_TRUNC), (_EQUAL, 0, 1, os.O_TRUNC)]
            blocks[name] = [*reading, _error(errno.EACCES), _allow()]
    for name, block in blocks.items():
        if name in judged:
            code += [(_EQUAL, 0, len(block), judged[name]), *block]
    return [*code, _allow()]


def _numbers(text: str, column: int) -> dict[str, int]:
    rows = [entry.split() for entry in text.split(",")]
    return {row[0]: int(row[1 + column]) for row in rows if row[1 + column] != "-"}


def _argument(place: int) -> tuple[int, int, int, int]:
    """Load the lower half of an argument: both machines keep it first."""
    return (_LOAD, 0, 0, 16 + 8 * place)


def _allow() -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _ALLOW)


def _error(number: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _ERROR | number)


def _if_any(values: Iterable[int], error: int) -> list[tuple[int, int, int, int]]:
    return [instruction for value in values for instruction in ((_EQUAL, 0, 1, value), _error(error))]
