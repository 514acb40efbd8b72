"""Programs that try to get out, and programs that only do their work; what cannot be enforced is skipped with the reason."""

import ctypes
import errno
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pyro
import pytest

from pyro_fix.probe import landlock, reach, seccomp
from pyro_fix.probe import sandbox as probe
from pyro_fix.runner import sandbox
from pyro_fix.runner.model import Sandbox

MISSING = probe.missing()
locked = pytest.mark.skipif(bool(MISSING), reason=f"this machine cannot keep a program from: {', '.join(MISSING)}")

ATTEMPTS = """
    import ctypes, json, os, signal, socket, struct, subprocess, sys, shutil, threading
    from pathlib import Path
    there = json.loads(Path("there.json").read_text())
    libc = ctypes.CDLL(None, use_errno=True)
    victim, home, outside = there["victim"], there["home"], there["outside"]
    told = {}

    def attempt(name, call):
        ctypes.set_errno(0)
        try:
            told[name] = repr(call())
        except BaseException as error:
            told[name] = f"{type(error).__name__}: {error}"

    def native(name, *arguments):
        arguments = [a.encode() if isinstance(a, str) else a for a in arguments]
        result = getattr(libc, name)(*arguments)
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return result

    def write(path):
        with open(path, "w") as file:
            file.write("x")

    # Writing: through Python, through C, through another program; into the home folder, /tmp and the project.
    for place, folder in (("home", home), ("outside", outside)):
        attempt(f"seems/write {place}", lambda: write(f"{folder}/seems") or Path(f"{folder}/seems").read_text())
        attempt(f"seems/list {place}", lambda: "seems" in os.listdir(folder))
        attempt(f"seems/makedirs {place}", lambda: os.makedirs(f"{folder}/a/b") or os.path.isdir(f"{folder}/a/b"))
        attempt(f"seems/append {place}", lambda: open(f"{folder}/victim", "a").write("!") and open(f"{folder}/victim").read())
        attempt(f"seems/remove {place}", lambda: os.remove(f"{folder}/victim") or os.path.exists(f"{folder}/victim"))
    # The same without our own view of files, which a program can get at: through the system's own module.
    import posix
    for place, folder in (("home", home), ("outside", outside), ("project", os.getcwd())):
        attempt(f"write/open {place}", lambda: posix.open(f"{folder}/new", os.O_CREAT | os.O_WRONLY))
        attempt(f"write/append {place}", lambda: posix.open(f"{folder}/victim", os.O_WRONLY | os.O_APPEND))
        attempt(f"write/remove {place}", lambda: posix.remove(f"{folder}/victim"))
        attempt(f"write/rename {place}", lambda: posix.rename(f"{folder}/victim", f"{folder}/gone"))
        attempt(f"write/mkdir {place}", lambda: posix.mkdir(f"{folder}/folder"))
        attempt(f"write/symlink {place}", lambda: posix.symlink("/etc", f"{folder}/link"))
    for place, folder in (("home", home), ("outside", outside), ("project", os.getcwd())):
        file = f"{folder}/victim"
        attempt(f"write/native creat {place}", lambda: native("open", f"{folder}/new", os.O_CREAT | os.O_WRONLY, 0o600))
        attempt(f"write/native open {place}", lambda: native("open", file, os.O_WRONLY))
        attempt(f"write/native trunc {place}", lambda: native("open", file, os.O_RDONLY | os.O_TRUNC))
        attempt(f"write/native truncate {place}", lambda: native("truncate", file, ctypes.c_long(0)))
        attempt(f"write/native unlink {place}", lambda: native("unlink", file))
        attempt(f"write/native rename {place}", lambda: native("rename", file, f"{folder}/gone"))
        attempt(f"write/native rename away {place}", lambda: native("rename", file, os.environ["TMPDIR"] + "/mine"))
        attempt(f"write/native link {place}", lambda: native("link", file, f"{os.environ['TMPDIR']}/hard-{place}"))
        attempt(f"write/native mkdir {place}", lambda: native("mkdir", f"{folder}/folder", 0o700))
        attempt(f"write/native rmdir {place}", lambda: native("rmdir", f"{folder}/empty"))
        attempt(f"write/native symlink {place}", lambda: native("symlink", "/etc", f"{folder}/link"))
        attempt(f"write/native mkfifo {place}", lambda: native("mkfifo", f"{folder}/pipe", 0o600))
        attempt(f"metadata/chmod {place}", lambda: native("chmod", file, 0o777))
        attempt(f"metadata/fchmod {place}", lambda: native("fchmod", native("open", file, os.O_RDONLY), 0o777))
        attempt(f"metadata/chown {place}", lambda: native("chown", file, 12345, 12345))
        attempt(f"metadata/utimes {place}", lambda: native("utimes", file, None))
        attempt(f"write/native setxattr {place}", lambda: native("setxattr", file, "user.x", "y", ctypes.c_size_t(1), 0))
    link = os.environ["TMPDIR"] + "/link"
    os.symlink(victim, link)
    attempt("write/through a link", lambda: posix.open(link, os.O_WRONLY))
    attempt("write/native through a link", lambda: native("open", link, os.O_WRONLY))
    shell = lambda text: subprocess.run(["sh", "-c", text], check=True, capture_output=True, text=True, timeout=20).stdout
    attempt("write/shell", lambda: shell(f"echo x > {outside}/new"))
    attempt("write/shell without environment", lambda: subprocess.run(["/bin/sh", "-c", f"rm {victim}"], env={}, check=True))
    attempt("write/proc", lambda: open("/proc/sys/kernel/hostname", "w"))
    attempt("write/unshare", lambda: native("unshare", 0x10020000))
    attempt("write/mount", lambda: native("mount", "/tmp", "/mnt", "none", 4096, None))
    attempt("write/chroot", lambda: native("chroot", outside))
    attempt("write/disk", lambda: open(there["disk"], "rb") if there["disk"] else 1 / 0)

    # The network, and daemons that would do things for us.
    attempt("network/tcp", lambda: socket.create_connection(("127.0.0.1", there["tcp"]), 5).sendall(b"x"))
    attempt("network/udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", there["udp"])))
    attempt("network/tcp6", lambda: socket.socket(socket.AF_INET6))
    attempt("network/raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    attempt("network/vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
    attempt("network/native", lambda: native("socket", 2, 1, 0))
    attempt("network/dns", lambda: socket.getaddrinfo("example.org", 80))
    attempt("network/shell", lambda: subprocess.run(
        ["bash", "-c", f"echo x > /dev/tcp/127.0.0.1/{there['tcp']}"], check=True, capture_output=True))
    def local(path, kind=socket.SOCK_STREAM):
        with socket.socket(socket.AF_UNIX, kind) as one:
            one.connect(path)
            one.sendall(b"x")
    attempt("network/unix", lambda: local(there["unix"]))
    attempt("network/unix relative", lambda: local(os.path.relpath(there["unix"])))
    os.symlink(there["unix"], os.environ["TMPDIR"] + "/agent")
    attempt("network/unix through a link", lambda: local(os.environ["TMPDIR"] + "/agent"))
    attempt("network/unix hard link", lambda: native("link", there["unix"], os.environ["TMPDIR"] + "/agent2"))
    attempt("network/abstract", lambda: local(chr(0) + there["abstract"]))
    attempt("network/datagram", lambda: local(there["datagram"], socket.SOCK_DGRAM))
    attempt("network/datagram pair", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    attempt("network/io_uring", lambda: native("syscall", 425, 8, ctypes.create_string_buffer(240)))

    # Secrets.
    attempt("secret/environment", lambda: [name for name in os.environ if name in there["secrets"]] or 1 / 0)
    attempt("secret/environment of a child", lambda: [n for n in there["secrets"] if n in shell("env")] or 1 / 0)
    attempt("secret/ssh", lambda: Path(home, ".ssh/id").read_text())
    attempt("secret/native ssh", lambda: native("open", home + "/.ssh/id", os.O_RDONLY))
    attempt("secret/through a link", lambda: Path(home, "ssh-link/id").read_text())
    attempt("secret/netrc", lambda: Path(home, ".netrc").read_text())
    attempt("secret/shell", lambda: shell(f"cat {home}/.ssh/id"))
    attempt("secret/key file", lambda: Path(there["key"]).read_text())
    attempt("secret/huggingface", lambda: Path(home, ".cache/huggingface/token").read_text())
    attempt("secret/git", lambda: Path(".git/config").read_text())
    attempt("secret/shadow", lambda: Path("/etc/shadow").read_text())
    ancestors = [os.getppid(), there["tester"]]
    others = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    told["others"] = len(others)
    def any_of(look):
        def may(pid):
            try:
                return look(pid) is not False
            except OSError:
                return False
        return [pid for pid in others if may(pid)] or 1 / 0
    for name in ("cmdline", "environ", "stat", "status", "comm", "maps"):
        attempt(f"secret/{name} of others", lambda: any_of(lambda pid: Path(f"/proc/{pid}/{name}").read_bytes() or False))
    attempt("others/signal 0", lambda: any_of(lambda pid: os.kill(pid, 0)))
    for number, pid in enumerate(ancestors):
        attempt(f"secret/memory of ancestor {number}", lambda: open(f"/proc/{pid}/mem", "rb"))
        attempt(f"secret/root of ancestor {number}", lambda: os.listdir(f"/proc/{pid}/root"))
        attempt(f"others/signal 0 to ancestor {number}", lambda: os.kill(pid, 0))
        attempt(f"others/limits of ancestor {number}", lambda: __import__("resource").prlimit(pid, 0, (1, 1)))
    attempt("others/kill the gate", lambda: os.kill(ancestors[0], signal.SIGKILL))
    attempt("others/shell kill", lambda: shell(f"kill -9 {ancestors[0]}"))
    attempt("others/ptrace", lambda: native("ptrace", 16, ancestors[0], None, None))
    attempt("others/process_vm_readv", lambda: native("process_vm_readv", ancestors[0], None, 0, None, 0, 0))
    attempt("others/setuid", lambda: native("setuid", 12345) if os.getuid() == 0 else 1 / 0)
    attempt("others/shared memory", lambda: native("shmget", 77, ctypes.c_size_t(4096), 0o1600))
    attempt("secret/lists of shared memory", lambda: open("/proc/sysvipc/shm").read())
    attempt("others/queues of messages", lambda: native("msgctl", 0, 3, ctypes.create_string_buffer(512)))
    attempt("others/semaphores", lambda: native("semctl", 0, 0, 19, ctypes.create_string_buffer(512)))

    # What a program has every right to.
    def fine():
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            write(f"{folder}/a")
            os.rename(f"{folder}/a", f"{folder}/b")
            shutil.copy2(f"{folder}/b", f"{folder}/c")
            os.link(f"{folder}/b", f"{folder}/d")
            os.chmod(f"{folder}/b", 0o700)
            with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
                server.bind(f"{folder}/s")
                server.listen()
                client.connect(f"{folder}/s")
                client.sendall(b"hello")
                return server.accept()[0].recv(5)
    attempt("fine/temporary folder", fine)
    attempt("fine/write below the project", lambda: write("results.txt") or Path("results.txt").read_text())
    attempt("fine/data at home", lambda: Path(home, "data/table.csv").read_text())
    attempt("fine/cache at home", lambda: Path(home, ".cache/data").read_text())
    attempt("fine/null", lambda: write("/dev/null"))
    attempt("fine/threads", lambda: [t.start() or t.join() for t in [threading.Thread(target=int) for _ in range(3)]])
    attempt("fine/shell", lambda: shell("echo $((6 * 7)) | cat"))
    print(json.dumps(told))
"""
SECRETS = {
    "GITHUB_TOKEN": "a",
    "MY_API_KEY": "b",
    "DB_PASSWORD": "c",
    "AWS_PROFILE": "d",
    "MIRROR": "https://me:word@host/simple",
    "PLAIN": "ghp_0123456789abcdefghij",
}


def snapshot(folder):
    """Names, contents, modes, owners and times of all that lies there."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (data, status.st_mode, status.st_uid, status.st_mtime_ns, status.st_nlink)
    return found


class World:
    """What an attacker finds, and what it may not change."""

    def __init__(self, folder, monkeypatch):
        self.home, self.outside, self.project = folder / "home", folder / "outside", folder / "project"
        for place in (self.home, self.outside, self.project):
            place.mkdir(parents=True)
            (place / "victim").write_text("precious")
            (place / "empty").mkdir()
        for name in (".ssh/id", ".netrc", ".cache/huggingface/token", ".cache/data", "data/table.csv"):
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            (self.home / name).write_text("at home")
        (self.home / "ssh-link").symlink_to(self.home / ".ssh")
        (self.project / ".git").mkdir()
        (self.project / ".git" / "config").write_text("[http]\nextraheader = AUTHORIZATION: basic abc\n")
        (self.outside / "key.json").write_text("key")
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(self.outside / "key.json"))
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        self.arrived = []
        self.sockets = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        self.sockets[1].bind(("127.0.0.1", 0))
        self.folder = Path(os.path.relpath(folder))  # addresses of UNIX sockets are short
        for kind, address in (
            (socket.SOCK_STREAM, str(self.folder / "outside" / "agent")),
            (socket.SOCK_STREAM, f"\0pyro-fix-test-{os.getpid()}"),
            (socket.SOCK_DGRAM, str(self.folder / "outside" / "log")),
        ):
            self.sockets.append(socket.socket(socket.AF_UNIX, kind))
            self.sockets[-1].bind(address)
            if kind == socket.SOCK_STREAM:
                self.sockets[-1].listen()
        for one in self.sockets:
            threading.Thread(target=self._hear, args=(one,), daemon=True).start()
        disks = [path for path in ("/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/mem") if Path(path).exists()]
        there = {
            "victim": str(self.outside / "victim"),
            "home": str(self.home),
            "outside": str(self.outside),
            "disk": disks[0] if disks else "",
            "tcp": self.sockets[0].getsockname()[1],
            "udp": self.sockets[1].getsockname()[1],
            "unix": str(self.outside / "agent"),
            "abstract": f"pyro-fix-test-{os.getpid()}",
            "datagram": str(self.outside / "log"),
            "key": str(self.outside / "key.json"),
            "secrets": list(SECRETS),
            "tester": os.getpid(),
        }
        (self.project / "there.json").write_text(json.dumps(there))

    def _hear(self, one):
        try:
            if one.type == socket.SOCK_STREAM:
                self.arrived.append(one.accept()[1])
            else:
                self.arrived.append(one.recvfrom(10))
        except OSError:
            return

    def state(self):
        return [snapshot(place) for place in (self.home, self.outside, self.project)]


@pytest.fixture(scope="module")
def attack(tmp_path_factory):
    """What the attacker was told, by the name of the attempt; and the world, before and after."""
    from programs import Project

    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(tmp_path_factory.mktemp("world"), monkeypatch)
        project = Project(world.project)
        project.write("p.py", ATTEMPTS)
        before = world.state()
        seen = project.run("p.py")
        assert project.output, seen
        yield json.loads(project.output[-1]), world, before, seen
        for one in world.sockets:
            one.close()


REFUSALS = ("PermissionError", "CalledProcessError", "OSError: [Errno 18]", "OSError: [Errno 95]")


@locked
@pytest.mark.parametrize("kind", ["write", "network", "secret", "others"])
def test_every_attempt_is_refused(attack, kind):
    told = attack[0]
    tried = {name: words for name, words in told.items() if name.startswith(kind + "/")}
    assert len(tried) > 5
    # 1 / 0 says that there was nothing to be had, EXDEV is what a link out of the sandbox gives.
    allowed = (*REFUSALS, "ZeroDivisionError", "gaierror")
    assert {name: words for name, words in tried.items() if not words.startswith(allowed)} == {}


@locked
def test_nothing_outside_has_changed_and_nothing_arrived(attack):
    told, world, before, seen = attack
    assert world.state() == before
    assert {name: words for name, words in told.items() if name.startswith("metadata/")}
    assert world.arrived == []
    assert told["others"] >= 3  # gate, supervisor, this process
    assert seen.failure.kind == "no-svi"  # it came to its end


@locked
def test_a_program_that_writes_outside_goes_on_with_what_it_wrote(attack):
    told = attack[0]
    for place in ("home", "outside"):
        found = {name: told[f"seems/{name} {place}"] for name in ("write", "list", "makedirs", "append", "remove")}
        wanted = {"write": "'x'", "list": "True", "makedirs": "True", "append": "'precious!'", "remove": "False"}
        assert found == wanted


@locked
def test_work_is_not_disturbed(attack):
    told = attack[0]
    assert {name.partition("/")[2]: words for name, words in told.items() if name.startswith("fine/")} == {
        "temporary folder": "b'hello'",
        "write below the project": "'x'",
        "data at home": "'at home'",
        "cache at home": "'at home'",
        "null": "None",
        "threads": "[None, None, None]",
        "shell": "'42\\n'",
    }


WORKER = """
    import multiprocessing, os, shutil, subprocess, sys, tempfile
    from torch.utils.data import DataLoader, TensorDataset
    def send(queue, received):
        queue.put(torch.ones(3))
        received.wait(60)  # a tensor is fetched from the process that sent it
    if __name__ == "__main__":
        batches = DataLoader(TensorDataset(data), batch_size=5, num_workers=2)
        svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
        for _ in range(2):
            for (batch,) in batches:
                svi.step(batch)
        torch.save({"a": torch.ones(3)}, "state.pt")
        print(torch.load("state.pt")["a"].sum().item(), shutil.copy("state.pt", "again.pt"))
        context = multiprocessing.get_context("spawn")
        queue, received = context.Queue(), context.Event()
        child = context.Process(target=send, args=(queue, received))
        child.start()
        print(queue.get(timeout=60).sum().item(), received.set(), child.join())
        with multiprocessing.Pool(2) as pool:
            print(pool.map(abs, [1, -2]))
        print(subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout.strip())
        with tempfile.NamedTemporaryFile("w") as file:
            print(file.write("abc"))
        try:
            from matplotlib import pyplot
        except ImportError:
            print("drawn")
        else:
            pyplot.plot([1, 2])
            pyplot.savefig("plot.png")
            print("drawn" if os.path.getsize("plot.png") else "")
"""


@locked
def test_a_program_with_workers_files_and_children_runs(project, normal):
    project.write("p.py", normal + "\n".join(line[4:] for line in WORKER.splitlines()))
    seen = project.run("p.py", steps=100, timeout=200)
    assert seen.failure is None, project.output
    assert len(seen.svis[0].trajectories[0].losses) == 100  # its calls are made again
    wanted = ["3.0 again.pt", "3.0 None None", "[1, 2]", "42", "3", "drawn"]
    assert [line for line in project.output if line in wanted] == wanted
    assert [path.name for path in project.folder.iterdir()] == ["p.py"]


@locked
def test_a_library_may_keep_data_beside_its_code(project, normal):
    """As ``pyro.contrib.examples`` does, which makes a folder there when it is imported."""
    folder = Path(pyro.__file__).parent / f"data-{project.folder.parent.name}"
    project.write(
        "p.py",
        normal
        + f"""
import os
os.mkdir({str(folder)!r})
open({str(folder / "a.txt")!r}, "w").write("kept")
print(open({str(folder / "a.txt")!r}).read(), os.listdir({str(folder)!r}), os.path.exists({str(folder / "b.txt")!r}))
SVI(model, guide, Adam({{"lr": 0.01}}), Trace_ELBO()).step(data)
""",
    )
    seen = project.run("p.py")
    assert seen.failure is None, project.output
    assert "kept ['a.txt'] False" in project.output
    assert not folder.exists()


@locked
@pytest.mark.parametrize("forbidden", [False, True])
def test_sockets_of_the_run_itself_are_connected(tmp_path, monkeypatch, forbidden):
    """Also in containers, where the gate cannot get at a socket and puts another in its place."""
    code = f"""
        import os, socket, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pyro_fix.probe import gate, sandbox
        def refuse(*arguments):
            raise PermissionError(1, "forbidden")
        if {forbidden}:
            gate._socket_of = refuse
        os.mkdir("in")
        other = socket.socket(socket.AF_UNIX)
        other.bind("other")
        other.listen()
        policy = {{"writable": [os.path.abspath("in")], "readable": [], "own": [], "hidden": [], "network": False,
                  "others": [], "withheld": [], "memory": 1 << 33, "disk": 1 << 30, "processes": 9, "forks": False}}
        print(sandbox.enter(policy))
        os.chdir("in")
        for path in ("s", "../other", "nowhere", chr(0) + "abstract"):
            with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
                if path == "s":
                    server.bind("s")
                    server.listen()
                try:
                    client.connect(path)
                    client.sendall(b"hello")
                    print(server.accept()[0].recv(5).decode(), os.get_inheritable(client.fileno()))
                except OSError as error:
                    print(type(error).__name__)
        os.kill(os.getpid(), 6)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["[]", "hello False", "PermissionError", "FileNotFoundError", "PermissionError"]
    assert done.returncode == -6  # the process outside ends as the one inside does


@locked
def test_losses_are_the_same_inside(project, normal):
    project.write(
        "p.py", normal + "svi = SVI(model, guide, Adam({'lr': 0.01}), Trace_ELBO())\nfor _ in range(9): svi.step(data)"
    )
    inside, outside = (project.run("p.py", seeds=(0, 1), sandbox=which) for which in (Sandbox(), None))
    assert [t.losses for t in inside.svis[0].trajectories] == [t.losses for t in outside.svis[0].trajectories]
    assert inside.warnings == ()


# Too much.


def living_in(folder):
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder and "Z" not in (entry / "stat").read_text().rpartition(")")[2][:3]:
                found.append(entry.name)
        except OSError:
            continue
    return found


def all_gone(folder):
    end = time.monotonic() + 5
    while living_in(folder) and time.monotonic() < end:
        time.sleep(0.05)
    return living_in(folder) == []


@locked
def test_a_fork_bomb_is_put_out(project):
    project.write(
        "p.py",
        """
        import os, time
        while True:
            try:
                if os.fork() == 0:
                    os.setsid()
            except OSError:
                time.sleep(0.01)
        """,
    )
    seen = project.run("p.py", timeout=60, sandbox=Sandbox(processes=40))
    assert (seen.failure.kind, seen.failure.message) == ("killed", "it started more than 40 processes (--processes)")
    assert seen.seconds < 50
    assert all_gone(project.folder)


@locked
@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="with CUDA it is the supervisor who looks")
def test_one_process_gets_no_more_memory_than_allowed(project):
    project.write("p.py", "print('in')\nx = bytearray(3 << 30)\nprint('out')")
    seen = project.run("p.py", sandbox=Sandbox(memory=2 << 30))
    assert (seen.failure.kind, project.output[0]) == ("MemoryError", "in")


@locked
def test_many_processes_get_no_more_memory_than_allowed_together(project):
    project.write(
        "p.py",
        """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                kept = bytearray(os.urandom(1 << 20)) * 300
                time.sleep(60)
                os._exit(0)
        time.sleep(60)
        """,
    )
    seen = project.run("p.py", timeout=50, sandbox=Sandbox(memory=1 << 30))
    assert (seen.failure.kind, seen.failure.message) == ("killed", "it took more than 1 GiB of memory (--memory)")
    assert all_gone(project.folder)


@locked
def test_shared_memory_counts(project):
    project.write(
        "p.py",
        """
        import os, time
        number = os.open(f"/dev/shm/pyro-fix-test-{os.getpid()}", os.O_RDWR | os.O_CREAT)
        os.unlink(f"/dev/shm/pyro-fix-test-{os.getpid()}")
        for _ in range(700):
            os.write(number, bytes(1 << 20))
        time.sleep(60)
        """,
    )
    seen = project.run("p.py", timeout=50, sandbox=Sandbox(memory=640 << 20))
    assert (seen.failure.kind, seen.failure.message) == ("killed", "it took more than 640 MiB of memory (--memory)")


@locked
def test_files_of_a_run_have_an_end(project, monkeypatch):
    monkeypatch.setattr(sandbox, "DISK", 64 << 20)
    project.write(
        "p.py",
        """
        import time
        for number in range(50):
            with open(f"{number}.bin", "wb") as file:
                file.write(bytes(2 << 20))
        time.sleep(60)
        """,
    )
    seen = project.run("p.py", timeout=50)
    assert (seen.failure.kind, seen.failure.message) == ("killed", "it wrote more than 64 MiB of files")


def test_a_line_without_an_end_does_not_fill_our_memory(project):
    project.write("p.py", "import sys\nfor _ in range(300): sys.stdout.write('x' * 1000)")
    project.run("p.py")
    assert sum(map(len, project.output)) == 300_000
    assert max(map(len, project.output)) <= 1 << 16


@locked
def test_files_that_the_runner_reads_are_no_way_out(project, tmp_path):
    (tmp_path / "victim").write_text("precious")
    project.write(
        "p.py",
        f"""
        import os, posix
        scratch = os.path.dirname(os.environ["TMPDIR"])
        for name in os.listdir(scratch):
            print(name)
        os.rename(scratch + "/journal.jsonl", scratch + "/old") if os.path.exists(scratch + "/journal.jsonl") else None
        os.mkfifo(scratch + "/journal.jsonl")
        for name in ("status.json", "order.json", "first-status.json"):
            posix.symlink({str(tmp_path / "victim")!r}, f"{{scratch}}/{{name}}")
        for attempt in (
            lambda: posix.symlink("x", scratch + "-other.json"),
            lambda: posix.unlink(scratch + "-status.json"),
            lambda: posix.open(scratch + "-status.json", os.O_WRONLY),
        ):
            try:
                attempt()
            except OSError as error:
                print("refused", error.errno)
        os._exit(0)
        """,
    )
    seen = project.run("p.py", timeout=50)
    assert seen.seconds < 40
    assert seen.failure.kind == "no-svi"
    assert project.output[-3:] == [f"refused {errno.EACCES}"] * 3
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize(
    "line", ["[1, 2]", '{"event": []}', '{"event": "step"}', '{"event": "svi", "svi": {}}', "[" * 100_000, "\\ud800"]
)
def test_a_journal_that_the_program_has_written_breaks_nothing(project, line):
    project.write(
        "p.py",
        f"""
        import os
        with open(os.path.dirname(os.environ["TMPDIR"]) + "/journal.jsonl", "a") as file:
            file.write({line!r} + chr(10))
        os._exit(0)
        """,
    )
    assert project.run("p.py", timeout=50).failure.kind in ("no-svi", "journal")


# What the user may open, and what is said of a refusal.


@locked
def test_the_user_opens_it(project, tmp_path, monkeypatch):
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "id").write_text("key")
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    server = socket.create_server(("127.0.0.1", 0))
    project.write(
        "p.py",
        f"""
        import socket
        print(open({str(tmp_path / "home" / ".ssh" / "id")!r}).read())
        open({str(tmp_path / "out" / "new")!r}, "w").close()
        socket.create_connection(("127.0.0.1", {server.getsockname()[1]})).close()
        """,
    )
    opened = Sandbox(readable=(tmp_path / "home" / ".ssh",), writable=(tmp_path / "out",), network=True)
    seen = project.run("p.py", sandbox=opened)
    server.close()
    assert seen.failure.kind == "no-svi", seen
    assert project.output == ["key"]
    assert (tmp_path / "out" / "new").exists()


@locked
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "import posix\nposix.mkdir({outside!r})",
            "the sandbox may be why ({outside}): a program writes below its own scratch folder",
        ),
        ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')", "the sandbox may be why: --network"),
        ("import socket\nsocket.getaddrinfo('example.org', 80)", "the sandbox may be why: --network"),
        ("import sqlite3\nsqlite3.connect({outside!r}).execute('create table a (b)')", "the sandbox may be why"),
    ],
)
def test_a_refusal_is_explained(project, tmp_path, text, words):
    from pyro_fix.verify.trouble import broken_baseline

    outside = str(tmp_path / "outside")
    project.write("p.py", text.format(outside=outside))
    seen = project.run("p.py")
    reason = broken_baseline(seen, 120, 100)
    assert words.format(outside=outside) in reason
    assert "--no-sandbox" in reason
    assert "\n" not in reason


def test_a_failure_of_another_kind_is_not_put_down_to_the_sandbox(project):
    project.write("p.py", "open('missing.csv')")
    assert project.run("p.py").warnings == ()


@locked
def test_it_is_not_run_where_it_must_be_locked_in_and_cannot(project, monkeypatch):
    # A ruleset of landlock can be had, entering it fails: sixteen are one in another already.
    code = f"""
        import sys, ctypes
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pathlib import Path
        from pyro_fix.probe import landlock
        from pyro_fix.runner import run
        from pyro_fix.runner.model import RunRequest, Sandbox
        from pyro_fix.runner.target import parse
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
        for _ in range(16):
            rules = landlock.Ruleset(network=True)
            rules.allow(["/"], landlock.WRITE | landlock.DEVICE)
            rules.enter()
        for required in (True, False):
            request = RunRequest(parse("p.py", Path({str(project.folder)!r})), Path(sys.executable),
                                 sandbox=Sandbox(required=required))
            seen = run(request, on_line=print)
            print(seen.failure.kind, seen.failure.message, seen.warnings)
    """
    project.write("p.py", "print('ran')")
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=100)
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done
    assert lines[0].startswith("sandbox the sandbox does not keep it from writing outside its own folder")
    assert lines[1] == "ran"
    assert "the sandbox does not keep it from writing outside" in lines[2]


# Parts.


def test_the_environment_loses_its_secrets_and_nothing_else():
    plain = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "DATA_DIR": "/data",
        "TOKENIZERS_PARALLELISM": "false",
        "KEYBOARD": "de",
        "MONKEY": "1",
        "PYTHONPATH": "/src",
        "LD_LIBRARY_PATH": "/lib",
        "PASSAGES": "3",
        "INDEX": "https://host/simple",
    }
    secret = {
        **SECRETS,
        "SSH_AUTH_SOCK": "/tmp/agent",
        "HF_TOKEN": "x",
        "OPENAI_API_KEY": "x",
        "CI_JOB_TOKEN": "x",
        "npm_config__authToken": "x",
        "SESSION_COOKIE": "x",
        "PIP_INDEX_URL": "https://u:p@host/simple",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus",
        "JWT": "eyJhbGciOiJIUzI1NiJ9.e30",
    }
    assert sandbox.scrubbed({**plain, **secret}) == plain


@pytest.mark.parametrize(
    "name",
    [
        "MYKEY",
        "DB_PWD",
        "LDAP_BINDPW",
        "PGPASSFILE",
        "MYSQL_PWD",
        "DBPASS",
        "ROOTPW",
        "SSLKEYFILE",
        "SIGNINGKEYS",
        "SLACK_WEBHOOK_URL",
        "API_KEY2",
        "DB_PASSWORD1",
        "MYSECRETVALUE",
        "LOGIN_PIN",
        "X_JWT",
        "OAUTHTOKENS",
    ],
)
def test_a_name_that_ends_like_a_secret_is_one(name):
    assert sandbox.scrubbed({name: "x"}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "PWD",
        "OLDPWD",
        "MONKEY",
        "KEYBOARD",
        "PYTHONPATH",
        "LANG",
        "XDG_SESSION_TYPE",
        "XDG_RUNTIME_DIR",
        "TOKENIZERS_PARALLELISM",
        "HF_HOME",
        "COMPASS",
        "BYPASS_CACHE",
        "TURKEY",
        "PASSAGES",
        "KEYMAP",
        "HTTP_PROXY",
        "CUDA_VISIBLE_DEVICES",
        "LC_ALL",
        "N_PASSES",
        "TZ",
    ],
)
def test_a_name_that_only_sounds_like_one_is_none(name):
    assert sandbox.scrubbed({name: "x"}) == {name: "x"}


TOKEN = "0123456789abcdefABCDEF0123456789abcdef"


@pytest.mark.parametrize(
    "value",
    [
        *(
            f"{start}{TOKEN}"
            for start in [
                "sk_live_",
                "sk_test_",
                "rk_live_",
                "npm_",
                "pypi-",
                "SG.",
                "glrt-",
                "gldt-",
                "glpat-",
                "AIza",
                "ya29.",
                "dop_v1_",
                "shpat_",
                "xapp-",
                "xoxb-",
                "ghs_",
                "hf_",
                "dckr_pat_",
                "hvs.",
                "whsec_",
            ]
        ),
        "a token: npm_" + TOKEN,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "https://hooks.slack.com/services/T0/B0/abc",
        "https://discord.com/api/webhooks/1/abc",
        "https://outlook.office.com/webhook/abc",
        "https://acme.webhook.office.com/webhookb2/abc",
        "https://me:word@host/simple",
        f"https://{TOKEN}@host/simple",
        "postgresql://me:word@host/db",
        "https://host/feed?access_token=0123456789",
        "Server=db;User Id=me;Password=word;",
        "host=db user=me password=word",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abc==",
        "Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=abc=",
    ],
)
def test_a_value_that_looks_like_a_secret_is_one(value):
    assert sandbox.scrubbed({"PLAIN": value}) == {}


@pytest.mark.parametrize(
    "value",
    [
        "/home/me/npm_global_packages/bin:/usr/bin",
        "/data/sk-learn-datasets:/opt/pypi-mirror-of-ours",
        "https://host/simple",
        "https://git@host/group/name.git",
        "ssh://deploy@host:22/path",
        "postgresql://host/db?sslmode=require",
        "-Dkey=value --token-limit=100000",
        "user@example.org",
        "https://host/a?page=12345678901",
    ],
)
def test_a_value_that_only_sounds_like_one_is_none(value):
    assert sandbox.scrubbed({"PLAIN": value}) == {"PLAIN": value}


LOOKS = """
    import json, os, posix, socket, sys
    from pathlib import Path
    there = json.loads(Path("there.json").read_text())
    def native(path):
        descriptor = posix.open(path, os.O_RDONLY)
        return posix.read(descriptor, 1 << 16).decode()
    def connect(path):
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(path)
            return "connected"
    told = {}
    for name, path in there["secrets"].items() | there["plain"].items():
        for way, call in (("python", lambda path: Path(path).read_text()), ("native", native)):
            try:
                told[f"{name} by {way}"] = bool(call(path))
            except OSError as error:
                told[f"{name} by {way}"] = type(error).__name__
    try:
        told["socket by python"] = bool(connect(there["socket"]))
    except OSError as error:
        told["socket by python"] = type(error).__name__
    told["exists"] = os.path.exists(".env"), os.path.exists(".env.example"), ".env" in os.listdir(".")
    print(json.dumps(told))
"""


@pytest.fixture
def secrets(project):
    """A project with secrets and what only looks like them, neighbours' things, and a socket in shared memory."""
    folder = project.folder
    private = "-----BEGIN PRIVATE KEY-----\nx"
    secret = [
        ".env",
        ".env.prod",
        ".envrc",
        ".streamlit/secrets.toml",
        "credentials.json",
        "gcp-service-account-1.json",
    ]
    secret += [
        ".npmrc",
        ".pypirc",
        ".netrc",
        ".git-credentials",
        "deploy/id_rsa",
        "conf/prod.env",
        "key.pem",
        "tls.key",
    ]
    plain = [
        ".env.example",
        "data.csv",
        "id_rsa.pub",
        "environment.yml",
        "conf/a.toml",
        ".venv/lib/site-packages/cacert.pem",
        "ca.pem",
    ]
    for name in [*secret, *plain]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(
            private if name in ("key.pem", "tls.key", ".venv/lib/site-packages/cacert.pem") else "x"
        )
    (folder / ".venv" / "pyvenv.cfg").write_text("home = /usr")
    (folder / "link").symlink_to(".env")
    ticket = Path("/tmp") / f"krb5cc_pyro-fix-{os.getpid()}"
    ticket.write_text("ticket")
    other = Path(tempfile.mkdtemp(prefix="pyro-fix-"))
    (other / "spec.json").write_text("{}")
    path = f"/dev/shm/pyro-fix-{os.getpid()}"
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    there = {
        "secrets": {
            **{name: str(folder / name) for name in [*secret, "link"]},
            "ticket": str(ticket),
            "another run": str(other / "spec.json"),
            "command line": f"/proc/{os.getpid()}/cmdline",
        },
        "plain": {
            **{name: str(folder / name) for name in plain},
            **{name: name for name in ("/proc/self/status", "/proc/self/cmdline", "/proc/cpuinfo", "/proc/meminfo")},
        },
        "socket": path,
    }
    (folder / "there.json").write_text(json.dumps(there))
    project.write("p.py", LOOKS)
    yield there
    ticket.unlink()
    shutil.rmtree(other)
    server.close()
    Path(path).unlink()


@locked
def test_secrets_of_the_project_and_of_neighbours_are_withheld(project, secrets):
    seen = project.run("p.py")
    told = json.loads(project.output[-1])
    assert told.pop("exists") == [False, True, True]
    assert told.pop("socket by python") == "PermissionError"
    readable = {name.rpartition(" by ")[0] for name, got in told.items() if got is True}
    assert readable == set(secrets["plain"]), {name: got for name, got in told.items() if got is not True}
    assert told[".env by python"] == "FileNotFoundError" and told[".env by native"] == "PermissionError"
    words = [text for text in seen.warnings if "/.env seems not to be there" in text]
    assert len(words) == 1 and "--readable" in words[0]


@locked
def test_without_a_sandbox_they_are_all_there(project, secrets):
    project.run("p.py", sandbox=None)
    told = json.loads(project.output[-1])
    assert told.pop("exists") == [True, True, True]
    assert set(map(str, told.values())) == {"True"}


@locked
def test_a_program_that_asks_for_its_settings_runs_without_and_the_user_opens_them(project, normal):
    """As ``load_dotenv`` does: it looks for the file, and reads it where there is one."""
    (project.folder / ".env").write_text("STEPS=3")
    project.write(
        "p.py",
        normal
        + """
import os
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
steps = int(open(".env").read().partition("=")[2]) if os.path.isfile(".env") else 2
for _ in range(steps):
    svi.step(data)
""",
    )
    seen = project.run("p.py", steps=9)
    assert seen.failure is None and seen.svis[0].trajectories[0].own == 2
    assert ".env seems not to be there" in seen.warnings[0]
    seen = project.run("p.py", steps=9, sandbox=Sandbox(readable=(project.folder / ".env",)))
    assert seen.svis[0].trajectories[0].own == 3 and seen.warnings == ()


def test_what_a_machine_lacks_is_one_plain_line(monkeypatch):
    assert sandbox.notice([]) == ""
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert probe.missing()[0] == probe.FILES
    assert probe.SIGNALS in probe.missing()
    line = sandbox.notice(probe.missing())
    assert "\n" not in line
    assert "--require-sandbox" in line
    monkeypatch.setattr(landlock, "version", lambda: 5)
    assert probe.FILES not in probe.missing()
    assert probe.SIGNALS in probe.missing()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert probe.missing() == [probe.FILES, probe.NETWORK, probe.SIGNALS, probe.LIMITS]
    assert probe.enter({}) == probe.missing()


def test_secrets_are_left_out_and_their_neighbours_are_not(tmp_path, monkeypatch):
    home = tmp_path / "home"
    for name in (
        ".ssh/id",
        ".config/gh/hosts",
        ".config/matplotlib/rc",
        ".pyenv/bin/python",
        "data/a.csv",
        ".secret/x",
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x")
    monkeypatch.setenv("HOME", str(home))
    given = [Path(path) for path in reach.readable([str(home / ".secret")], [])]

    def reachable(name):
        return any((home / name).is_relative_to(path) for path in given)

    assert reachable("data/a.csv")
    assert reachable(".pyenv/bin/python")
    assert reachable(".config/matplotlib/rc")
    assert reachable(".secret/x")  # the project lies there
    assert not reachable(".ssh/id")
    assert not reachable(".config/gh/hosts")
    assert not any(path == Path("/dev") for path in given)


def test_settings_of_a_repository_are_left_out_where_they_hold_a_token(tmp_path):
    token = "[remote]\nurl = https://me:abc@host/a.git\n"
    for name, text in {
        "main/.git/config": token,
        "main/.git/worktrees/tree/commondir": "../..\n",
        "main/.git/modules/part/config": token,
        "main/.git/modules/plain/config": "[remote]\nurl = https://host/a.git\n",
        "tree/.git": f"gitdir: {tmp_path}/main/.git/worktrees/tree\n",
        "main/part/.git": "gitdir: ../.git/modules/part\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for root in ("main", "tree"):
        hidden = {str(Path(path).relative_to(tmp_path)) for path in reach._with_credentials(str(tmp_path / root))}
        assert hidden == {"main/.git/config", "main/.git/modules/part/config"}
    inner = set(reach._with_credentials(str(tmp_path / "main" / "part")))
    assert inner == {f"{tmp_path}/main/.git/modules/part/config"}
    assert not list(reach._with_credentials(str(tmp_path)))


class Filter:
    """Runs a filter as the kernel would, for machines that this is not."""

    def __init__(self, monkeypatch, machine, **options):
        monkeypatch.setattr(os, "uname", lambda: type("Name", (), {"machine": machine}))
        self.machine = seccomp._MACHINES[machine][0]
        self.code = seccomp._code(**{"network": False, "truncate": False, "gate": True, **options})

    def __call__(self, number, *arguments, machine=None):
        data = struct.pack("=IIQ6Q", number, machine or self.machine, 0, *arguments, *[0] * (6 - len(arguments)))
        register = place = 0
        while True:
            operation, if_true, if_false, value = self.code[place]
            place += 1
            if operation == seccomp._LOAD:
                register = struct.unpack_from("=I", data, value)[0]
            elif operation == seccomp._AND:
                register &= value
            elif operation == seccomp._RETURN:
                return {seccomp._ALLOW: "yes", seccomp._ASK: "ask"}.get(value, -(value & 0xFFFF))
            else:
                holds = register == value if operation == seccomp._EQUAL else register >= value
                place += if_true if holds else if_false


@pytest.mark.parametrize(
    ("machine", "socket_", "connect", "clone", "prlimit", "ptrace", "openat", "read"),
    [("x86_64", 41, 42, 56, 302, 101, 257, 0), ("aarch64", 198, 203, 220, 261, 117, 56, 63)],
)
def test_the_filter(monkeypatch, machine, socket_, connect, clone, prlimit, ptrace, openat, read):
    judge = Filter(monkeypatch, machine)
    assert judge(read) == "yes"
    assert judge(read, machine=1) == -errno.EPERM
    assert [judge(socket_, family, 1, 0) for family in (1, 2, 10, 16, 17, 38, 40)] == [
        "yes",
        *[-errno.EACCES] * 2,
        "yes",
        *[-errno.EACCES] * 3,
    ]
    assert [judge(socket_, 1, kind | 0o2000000) for kind in (1, 2, 3, 5)] == ["yes", *[-errno.EACCES] * 2, "yes"]
    assert judge(socket_, 16, 3, 12) == -errno.EACCES
    assert judge(connect, 3) == "ask"
    assert judge(clone, 0x11) == "yes"
    assert judge(clone, 0x10000011) == -errno.EPERM
    assert judge(435) == -errno.ENOSYS
    assert judge(prlimit, 0, 7, 0x7F00_0000_0000) == "yes"
    assert judge(prlimit, 99, 7, 0) == "yes"
    assert judge(prlimit, 99, 7, 0x7F00_0000_0000) == -errno.EPERM
    setpriority, setaffinity = (141, 203) if machine == "x86_64" else (140, 122)
    assert [judge(setpriority, which, who, 19) for which, who in ((0, 0), (1, 0), (2, 0), (0, 99))] == [
        "yes",
        "yes",
        0,
        0,
    ]
    assert [judge(setaffinity, who, 8, 0) for who in (0, 99)] == ["yes", 0]
    assert judge(ptrace) == -errno.EPERM
    assert judge(openat, 0, 0, os.O_RDONLY | os.O_TRUNC) == "yes"
    assert len(judge.code) < 4096
    judge = Filter(monkeypatch, machine, network=True, truncate=True, gate=False)
    assert judge(socket_, 2, 1, 0) == "yes"
    assert judge(connect, 3) == "yes"
    assert judge(openat, 0, 0, os.O_RDONLY | os.O_TRUNC) == -errno.EACCES
    assert judge(openat, 0, 0, os.O_WRONLY | os.O_TRUNC) == "yes"  # which landlock knows
    assert Filter(monkeypatch, machine, gate=False)(connect, 3) == -errno.EACCES


def test_landlock_speaks_a_version():
    assert landlock.version() >= 0
    assert ctypes.sizeof(landlock._Beneath) == 12


def test_a_project_that_may_be_written_to_is_still_the_project(project, normal):
    (project.folder / "state.txt").write_text("3")
    text = normal + "\nsteps = int(open('state.txt').read())\nopen('state.txt', 'w').write('4')\n"
    text += "svi = SVI(model, guide, Adam({'lr': 0.01}), Trace_ELBO())\nfor _ in range(steps):\n    svi.step(data)\n"
    project.write("p.py", text)
    seen = project.run("p.py", steps=3, sandbox=Sandbox(writable=(project.folder,)))
    assert (project.folder / "state.txt").read_text() == "4", seen
    assert {Path(name).name for name in seen.loaded} == {"p.py", "state.txt"}
    assert seen.svis[0].where.startswith("p.py:")


@pytest.mark.parametrize(
    ("files", "run_in"),
    [
        ({".env": "", "pyvenv.cfg": ""}, ""),
        ({"sub/.env": "", "sub/pyvenv.cfg": "", ".git/HEAD": ""}, ""),
        ({"bin/.env": "", "pyvenv.cfg": "", "bin/python": ""}, ""),
        ({".env": "", "sub/a.py": ""}, "sub"),
        ({".env": "", ".git/HEAD": "", "sub/.git": "gitdir: x", "sub/a.py": ""}, "sub"),
        ({"other/.env": "", ".git/HEAD": "", "sub/.git": "gitdir: x", "sub/a.py": ""}, "sub"),
    ],
)
def test_nothing_of_a_strangers_opens_what_is_withheld(tmp_path, files, run_in):
    """Neither a file that makes a folder look like an environment, nor a repository within the user's."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    secret = next(name for name in files if name.endswith(".env"))
    assert str((tmp_path / secret).resolve()) in sandbox._withheld([str(tmp_path / run_in)], [])


def test_folders_that_are_not_looked_into_are_withheld(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "_MOST_ENTRIES", 20)
    for number in range(30):
        (tmp_path / "aa").mkdir(exist_ok=True)
        (tmp_path / "aa" / str(number)).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".env").touch()
    withheld = sandbox._withheld([str(tmp_path)], [])
    assert str(tmp_path / "sub") in withheld or str(tmp_path / "sub" / ".env") in withheld
