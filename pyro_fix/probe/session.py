"""One recorded run of the user's program, from the first seed to the last line of the journal."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import threading
import traceback
import warnings
from typing import Any

from . import devices, program, replicas, sandbox, seeds, version
from .overlay import Overlay


def script(path: str, args: list[str]) -> None:
    """Run one script with its overlay and nothing else."""
    program.script(_overlay(), path, args)


def run(lacking: list[str], *, forked: bool) -> None:
    """Run what the runner asks for, and leave the process.

    ``lacking``: what the sandbox round this process could not enforce.  ``forked``: it is one for many runs.
    """
    replicas.die_with_parent()
    overlay = _overlay()
    spec = overlay.spec
    if spec["sandbox"] is not None and not _locked_in(spec["sandbox"], overlay, lacking, forked):
        replicas.leave(1)
    target = spec["target"]
    # Modules beside the user's program may hide others', as they would without us.
    place = os.path.dirname(os.path.realpath(target["name"])) if target["kind"] == "script" else os.getcwd()
    sys.path.insert(0, place)
    try:
        recorder = _recorder(spec, overlay)
    finally:
        sys.path.remove(place)
    if recorder is None:
        replicas.leave(1)
    sys.path.extend(target["path"])
    seeds.align("program", spec["preseed"])
    status = 0
    try:
        status = _program(spec, overlay, recorder)
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        _again(recorder)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if status and not recorder.stepped and not recorder.ending.ended:
            said = "" if isinstance(error.code, int) else f": {error.code}"
            failure = {**recorder.places.failure(error), "message": f"exit status {status}{said}"}
            if isinstance(error.__context__, ModuleNotFoundError):  # it says no more than that
                failure = recorder.places.failure(error.__context__)
            overlay.journal.write("broke", **failure)
            _explain(error, spec, overlay)
        _again(recorder)
    except BaseException as error:
        status = 1
        if recorder.steps.told(error):
            overlay.journal.write("uncaught", seed=recorder.replicas.seed)
        else:
            # After steps that were skipped the program may well miss what they would have brought.
            kind = "note" if recorder.cut_short else "broke"
            told = overlay.ledger.excuse(error) or recorder.places.failure(error)
            overlay.journal.write(kind, text=f"after its steps: {error!r}"[:500], **told)
        _explain(error, spec, overlay)
        _show(error)
    recorder.ending.close("program")
    recorder.ending.leave(status)


def _locked_in(policy: dict[str, Any], overlay: Overlay, lacking: list[str], forked: bool) -> bool:
    """See to the sandbox; False where the program must not run without one."""
    if not sys.platform.startswith("linux"):
        lacking = sandbox.missing()
    elif forked:
        lacking = sandbox.narrow(policy, lacking)
    if not lacking:
        return True
    if policy["required"]:
        overlay.journal.write("broke", kind="sandbox", message=sandbox.words(lacking), where="")
        return False
    overlay.journal.write("note", text=sandbox.words(lacking))
    return True


def _explain(error: BaseException, spec: dict[str, Any], overlay: Overlay) -> None:
    words = sandbox.explain(error, spec["sandbox"])
    if words:
        overlay.journal.write("note", text=words)


def _overlay() -> Overlay:
    overlay: Overlay = sys.modules[__package__].overlay_of_run
    return overlay


def _recorder(spec: dict[str, Any], overlay: Overlay) -> Any:
    """Import torch and Pyro, and patch them; None (and a word in the journal) where that is not possible."""
    journal = overlay.journal
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pyro
            import torch

            torch.set_num_threads(1)
            with contextlib.suppress(RuntimeError):  # too late: something has used them
                torch.set_num_interop_threads(1)
            from .record import Recorder
    except Exception as error:
        journal.write("broke", kind="no-pyro", message=f"torch and Pyro cannot be imported: {error}", where="")
        _show(error)
        return None
    # With a second thread ever used, a forked replica would hang in its first parallel operation.
    torch.set_num_threads = torch.set_num_interop_threads = lambda count: None  # type: ignore[assignment]
    seeds.tame_numpy()
    if spec["device"] not in ("auto", "cpu"):
        lacking = devices.missing(spec["device"])
        if lacking:
            journal.write("broke", kind="no-device", message=lacking, where="")
            return None
        devices.enter(spec["device"])
    journal.write("start", python=platform.python_version(), torch=torch.__version__, pyro=pyro.__version__)
    version.disguise(pyro, journal, spec["any_version"])
    recorder = Recorder(spec, overlay)
    recorder.install()
    if spec["cpu_for_cuda"]:
        from . import nocuda

        recorder.quietly(nocuda.enter, journal, recorder.places)
    return recorder


def _program(spec: dict[str, Any], overlay: Overlay, recorder: Any) -> int:
    target = spec["target"]
    if target["kind"] == "script":
        program.script(overlay, target["name"], target["args"])
    elif target["kind"] == "module":
        program.module(target["name"], target["args"])
    else:
        status = program.pytest(target["args"], spec["scratch"], _Plugin(recorder, spec))
        if status and not recorder.stepped:
            overlay.journal.write("pytest", status=status)
        return status
    return 0


class _Plugin:
    """Listens to pytest: what its tests raise does not reach us otherwise."""

    def __init__(self, recorder: Any, spec: dict[str, Any]) -> None:
        self._recorder = recorder
        self._spec = spec
        recorder.ending.stop_program = self._stop

    def _stop(self) -> None:
        import pytest

        # The session ends, and its fixtures are torn down.
        pytest.exit("enough steps", returncode=0)

    def pytest_exception_interact(self, node: Any, call: Any, report: Any) -> None:
        error: Any = getattr(getattr(call, "excinfo", None), "value", None)
        if type(error).__name__ == "CollectError" and error.__cause__ is not None:
            error = error.__cause__  # what importing the test file raised
        # Once steps were made, a test may fail for want of those that were not.
        if error is not None and self._recorder.steps.told(error):
            self._recorder.journal.write("uncaught", seed=self._recorder.replicas.seed)
        elif error is not None and not self._recorder.stepped:
            told = self._recorder.overlay.ledger.excuse(error) or self._recorder.places.failure(error)
            self._recorder.journal.write("broke", **told)
            _explain(error, self._spec, self._recorder.overlay)

    def pytest_warning_recorded(self, warning_message: Any, when: str, nodeid: str, location: Any) -> None:
        self._recorder.warned(warning_message.message, warning_message.category, warning_message.filename)


def _again(recorder: Any) -> None:
    if not (recorder.ending.ended or recorder.spec["to_the_end"]):
        try:
            recorder.ending.again()
        except Exception as error:  # recorded as its step's failure
            recorder.journal.write("uncaught", seed=recorder.replicas.seed)
            _show(error)


def _show(error: BaseException) -> None:
    """Print the traceback as Python would, without the probe's frames on top."""
    trace = error.__traceback__
    here = os.path.dirname(os.path.abspath(__file__))
    while trace is not None and os.path.dirname(os.path.abspath(trace.tb_frame.f_code.co_filename)) == here:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)
