"""The measuring tools of ``bench/``, without the peers."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(autouse=True)
def bench_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    yield
    for name in ("measure", "scan", "startup"):
        sys.modules.pop(name, None)


BUSY = "import time\nwhile time.process_time() < 0.4: pass"


def test_cpu_seconds_count_grandchildren_and_not_waiting(tmp_path):
    measure = importlib.import_module("measure")
    parent = f"import subprocess, sys, time; time.sleep(0.8); subprocess.run([sys.executable, '-c', {BUSY!r}])"
    cost = measure.run([sys.executable, "-S", "-c", parent], tmp_path)
    assert 0.4 <= cost.cpu < 1.0
    assert cost.wall > 1.1


def test_peak_memory_is_in_megabytes(tmp_path):
    measure = importlib.import_module("measure")
    small = measure.run([sys.executable, "-S", "-c", "pass"], tmp_path).rss
    grown = measure.run([sys.executable, "-S", "-c", f"b'x' * {int(small + 100) << 20}"], tmp_path).rss
    assert small + 90 < grown < small + 200


def test_one_run_is_not_charged_for_another(tmp_path):
    measure = importlib.import_module("measure")
    measure.run([sys.executable, "-S", "-c", BUSY], tmp_path)
    assert measure.run([sys.executable, "-S", "-c", "pass"], tmp_path).cpu < 0.2


@pytest.mark.parametrize(
    "program", ["import sys; sys.stderr.write('no such rule\\n'); sys.exit(2)", "raise SystemError('no such rule')"]
)
def test_a_command_that_fails_is_an_error_of_one_line(tmp_path, program):
    measure = importlib.import_module("measure")
    with pytest.raises(measure.BenchmarkError, match="no such rule") as raised:
        measure.run([sys.executable, "-c", program], tmp_path)
    assert "\n" not in str(raised.value)


def test_findings_are_no_failure(tmp_path):
    measure = importlib.import_module("measure")
    assert measure.run([sys.executable, "-c", "print('F401'); raise SystemExit(1)"], tmp_path).stdout == "F401\n"


def test_the_table_and_the_verdicts_use_medians():
    scan, measure = importlib.import_module("scan"), importlib.import_module("measure")

    def costs(*cpu):
        return [measure.Cost(seconds, seconds, 10.0, "", "") for seconds in cpu]

    measured = {
        "pyro-fix": costs(1.0, 2.0, 90.0),
        "ruff, default rules": costs(0.3),
        "fixit lint": costs(41.0),
        "torchfix": costs(30.0),
    }
    assert "| pyro-fix | 3 | 2.00 | 2.00 | 10 | 1.00 |" in scan.table(measured)
    assert "| fixit lint | 1 | 41.00 | 41.00 | 10 | 20.50 |" in scan.table(measured)
    assert {sentence.partition(":")[0] for met, sentence in scan.verdicts(measured) if met} == {"met"}
    missed = [sentence for met, sentence in scan.verdicts(measured) if not met]
    assert missed == [
        "MISSED: at least 20x faster than torchfix: 15.0x faster",
        "MISSED: within 6x of ruff, default rules: 6.7x slower",
    ]


def test_a_peer_that_cannot_be_installed_is_named(tmp_path, monkeypatch):
    scan = importlib.import_module("scan")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(scan.BenchmarkError, match=r"^ruff==0\.0\.0 cannot be installed: .*ruff==0\.0\.0"):
        scan.install("ruff==0.0.0", tmp_path)
    assert not list(tmp_path.glob("*/installed"))


def test_the_tree_is_the_installed_packages(tmp_path):
    pytest.importorskip("pyro")
    scan = importlib.import_module("scan")
    scan.build_tree(tmp_path)
    assert (tmp_path / "pyro/infer/svi.py").is_file()
    assert (tmp_path / "torch/distributions/normal.py").is_file()
    assert not (tmp_path / "torch/optim").exists()
    assert len(scan.python_files(tmp_path)) > 300


def test_modules_of_an_importtime_report():
    startup = importlib.import_module("startup")
    code = "import json.decoder, sys; sys.stderr.write('import time is no row\\n')"
    report = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True).stderr
    assert {"json", "json.decoder"} <= startup.modules(report)
    assert "row" not in startup.modules(report)


def test_scan_from_the_command_line_to_the_table(monkeypatch, capsys, tmp_path):
    pytest.importorskip("pyro")
    scan = importlib.import_module("scan")
    count = "import pathlib, sys; print(len(list(pathlib.Path(sys.argv[1]).rglob('*.py'))))"
    own = scan.Tool("pyro-fix", "", lambda binaries, tree: [sys.executable, "-S", "-c", count, tree])
    monkeypatch.setattr(scan, "PYRO_FIX", own)
    assert scan.main(["--peers", "--repeat", "2", "--cache", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("tree: ")
    assert "| pyro-fix | 2 | " in shown.out
    assert list(tmp_path.iterdir()) == []

    own = scan.Tool("pyro-fix", "", lambda binaries, tree: [sys.executable, "-c", "import no_such_module"])
    monkeypatch.setattr(scan, "PYRO_FIX", own)
    assert scan.main(["--peers", "--cache", str(tmp_path)]) == 2
    assert "no_such_module" in capsys.readouterr().err.splitlines()[-1]
