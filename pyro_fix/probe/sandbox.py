"""Lock this process, and all that it starts, in: before anything of the user's runs, and for good.

Linux alone has what it takes: landlock for files, TCP and signals, seccomp for the rest, and limits.  None of it needs
rights or a package.  What cannot be had is told and not hidden.  ``docs/verification.md`` has the table.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from . import landlock, reach, seccomp

FILES = "writing outside its own folder, and reading secrets"
SIGNALS = "signals to other processes"
NETWORK = "the network"
LIMITS = "memory and the number of processes"
#: Worker processes share tensors and semaphores here.
SHARED = "/dev/shm"
#: How the word on what is missing begins.
NOT_KEPT = "the sandbox does not keep it from"
#: How the note on what it may have refused begins; verify looks for it.
MAY_BE = "the sandbox may be why"
#: Root may go past permissions of files, as before; landlock says what may be written all the same.
_KEPT_CAPABILITIES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def missing() -> list[str]:
    """What this machine cannot keep a program from."""
    if not sys.platform.startswith("linux"):
        return [FILES, NETWORK, SIGNALS, LIMITS]
    found = []
    spoken = landlock.version()
    if not spoken:
        found.append(FILES)
    # PR_GET_SECCOMP fails where there is no such thing.
    if not seccomp.known() or ctypes.CDLL(None).prctl(21, 0, 0, 0, 0) < 0:
        found.append(NETWORK)
    if spoken < landlock.SCOPES_SINCE:
        found.append(SIGNALS)
    return found


def enter(policy: dict[str, Any], at_end: Callable[[], None] | None = None) -> list[str]:
    """Put all of it in force that this machine has; returns what is missing, with the reason where one is known.

    ``policy``: ``writable`` (folders), ``readable`` (as the user gave them), ``own`` (folders of the program),
    ``hidden``, ``others`` (folders of other runs), ``withheld`` (the project's own secrets), ``network``, ``memory``
    and ``disk`` (bytes), ``processes``, ``forks`` (whether runs are forked from it).
    ``at_end`` is called outside, when what this process becomes has ended.
    """
    if not sys.platform.startswith("linux"):
        return missing()
    from . import gate  # it needs what Windows does not have

    found = missing()
    _limit(policy)
    # The child has one thread, which landlock and seccomp need; this process stays outside and is the child's gate.
    channel = gate.split(policy["writable"], at_end)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS: nothing that is started gets more rights than we have
    if FILES not in found:
        try:
            _lock_files(policy)
        except OSError as error:
            found.append(f"{FILES} ({error})")
    with contextlib.suppress(OSError, AttributeError):
        _drop_capabilities(libc)
    if NETWORK not in found:
        try:
            listener = _lock_calls(policy["network"])
            if listener is not None:
                gate.hand_over(listener, channel)
        except OSError as error:
            found.append(f"{NETWORK} ({error})")
    channel.close()
    return found


def narrow(policy: dict[str, Any], missing: list[str]) -> list[str]:
    """The same in a fork of a process that has entered a wider policy, whose filter and gate hold for it as well.

    ``missing`` is what that one lacked; returns what is missing now.
    """
    _limit(policy)
    if not any(words.startswith(FILES) for words in missing):
        try:
            _lock_files(policy)
        except OSError as error:
            return [*missing, f"{FILES} ({error})"]
    return missing


def words(missing: list[str]) -> str:
    """What is missing, as it is told of a run."""
    return f"{NOT_KEPT} {', '.join(missing)}"


def _lock_calls(network: bool) -> int | None:
    truncate = landlock.version() < 3
    if not network:
        # Not with a kernel before 5.5, or with a filter round this one that has such a listener already.
        with contextlib.suppress(OSError):
            return seccomp.enter(network=False, truncate=truncate, gate=True)
    return seccomp.enter(network=network, truncate=truncate, gate=False)


def _lock_files(policy: dict[str, Any]) -> None:
    rules = landlock.Ruleset(network=policy["network"])
    rules.allow(["/"], landlock.READ_DIR)  # names are no secrets, and programs walk up and down
    hidden = [*policy["hidden"], *policy["others"], *policy["withheld"]]
    seen = reach.readable([*policy["own"], *policy["writable"]], hidden, others=policy["forks"])
    rules.allow(seen, landlock.READ)
    rules.allow(policy["readable"], landlock.READ)
    rules.allow(policy["writable"], landlock.WRITE)
    rules.allow([SHARED], landlock.SHARE)
    rules.allow(reach.devices(), landlock.DEVICE)
    rules.enter()


def _limit(policy: dict[str, Any]) -> None:
    import resource

    def lower(what: int, most: int) -> None:
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))

    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, policy["disk"])
    # CUDA reserves address space as it likes; the supervisor counts what is used of it.
    if not os.path.exists("/dev/nvidiactl"):
        lower(resource.RLIMIT_DATA, policy["memory"])


def _drop_capabilities(libc: Any) -> None:
    for number in range(64):
        if not _KEPT_CAPABILITIES >> number & 1:
            libc.prctl(24, number, 0, 0, 0)  # PR_CAPBSET_DROP
    libc.prctl(47, 4, 0, 0, 0)  # PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()
    libc.capget(header, held)
    kept = (ctypes.c_uint32 * 6)(held[0] & _KEPT_CAPABILITIES, held[1] & _KEPT_CAPABILITIES)
    libc.capset(header, kept)


def explain(error: BaseException | None, policy: dict[str, Any] | None) -> str:
    """What the sandbox has to do with an exception; empty where that is nothing."""
    if policy is None:
        return ""
    seen: list[BaseException] = []
    while error is not None and error not in seen and len(seen) < 20:
        seen.append(error)
        inner = getattr(error, "reason", None)  # urllib's
        for cause in (error, inner):
            if isinstance(cause, BaseException) and _refused(cause):
                return _words(cause, policy)
        error = error.__cause__ or error.__context__
    return ""


def _refused(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, (PermissionError, socket.gaierror)) or any(
        words in text for words in ("Permission denied", "Operation not permitted", "name resolution", "unable to open")
    )


def _words(error: BaseException, policy: dict[str, Any]) -> str:
    path = getattr(error, "filename", None)
    if isinstance(path, str) and path:
        return (
            f"{MAY_BE} ({path}): a program writes below its own scratch folder alone, and reads no secrets; --writable"
            " and --readable allow more, --no-sandbox everything"
        )
    allowed = "" if policy["network"] else "--network allows sockets, "
    return f"{MAY_BE}: {allowed}--no-sandbox allows everything"
