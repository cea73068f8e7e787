"""Commands on an instance over SSH, with a real `sshd` on loopback."""

from __future__ import annotations

import shlex
import socket
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from exasol_ci_setup import Instance, Scope
from exasol_ci_setup.constructs.runtime import Login
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import (
    HostKeyChangedError,
    InputError,
    SSHError,
    SSHKeyUnusableError,
    SSHRefusedError,
    SSHUnreachableError,
    TimedOutError,
)
from exasol_ci_setup.programs.actions.instances import run_commands
from tests.instances import PlacedInstance
from tests.ports import free_port
from tests.sshd.server import Server

pytestmark = pytest.mark.sshd


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def known_hosts(tmp_path: Path) -> Path:
    return tmp_path / "state" / "exasol-ci-setup" / "known_hosts" / "team"


def instance(key: Path, *, address: str = "127.0.0.1", number: str = "i-0123456789abcdef0") -> Instance:
    box = PlacedInstance(
        scope=Scope(name="team", region="eu-central-1"), name="box", instance_type="t3.micro", path_to_key=str(key)
    )
    box.set_outputs({"InstanceId": number, "PublicIp": address})
    return box


def run(key: Path, machine: Server, command: str, **options: Any) -> Any:
    return instance(key).run_command(
        command, **{"user": machine.user, "port": machine.port, "boot_timeout": 20.0, **options}
    )


def test_command_returns_output_and_status(key, machine):
    result = run(key, machine, "echo hi")

    assert result == {"command": "echo hi", "stdout": "hi\n", "stderr": "", "exit_status": 0}
    assert list(result) == ["command", "stdout", "stderr", "exit_status"]


def test_failed_command_returns_status_and_raises_nothing(key, machine):
    result = run(key, machine, "echo no >&2; exit 3")

    assert (result["stdout"], result["stderr"], result["exit_status"]) == ("", "no\n", 3)


def test_commands_run_sequentially_over_one_connection(key, machine, tmp_path):
    file = shlex.quote(str(tmp_path / "trace"))
    commands = [f"echo $SSH_CONNECTION >> {file}", "exit 4", f"cat {file}; echo $SSH_CONNECTION"]

    results = list(instance(key).run_commands(commands, user=machine.user, port=machine.port))

    assert [result["command"] for result in results] == commands
    assert [result["exit_status"] for result in results] == [0, 4, 0]
    first, last = results[2]["stdout"].splitlines()
    assert first == last


def test_next_command_starts_when_its_result_is_requested(key, machine, tmp_path):
    file = tmp_path / "second"
    results = instance(key).run_commands(
        ["true", f"touch {shlex.quote(str(file))}"], user=machine.user, port=machine.port
    )

    assert next(results)["exit_status"] == 0
    assert not file.exists()
    assert next(results)["exit_status"] == 0
    assert file.exists()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_user_and_host_keys_of_each_type_are_accepted(make_key, make_server, kind):
    key = make_key(kind)
    machine = make_server(key, host_key=kind)

    assert run(key, machine, "echo hi")["stdout"] == "hi\n"
    # The second connection verifies the pinned host key.
    assert run(key, machine, "echo hi")["stdout"] == "hi\n"


def test_five_megabytes_on_both_outputs_are_complete(key, machine):
    command = "head -c 5000000 /dev/zero | tr '\\0' o & head -c 5000000 /dev/zero | tr '\\0' e >&2; wait"

    result = run(key, machine, command, timeout=60)

    assert result["stdout"] == "o" * 5_000_000
    assert result["stderr"] == "e" * 5_000_000


def test_invalid_utf8_is_escaped(key, machine):
    result = run(key, machine, "printf 'a\\377b \\303\\244'")

    assert result["stdout"] == "a\\xffb ä"


def test_stdin_of_command_is_empty(key, machine):
    assert run(key, machine, "cat; echo read", timeout=20)["stdout"] == "read\n"


def test_command_reaches_shell_unchanged(key, machine):
    command = "printf '%s\\n' \"a  b\" '$HOME' ; printf 'ü\\n'"

    assert run(key, machine, command)["stdout"] == "a  b\n$HOME\nü\n"


def test_command_ended_by_signal_has_status_minus_one(key, machine):
    result = run(key, machine, "echo before; kill -9 $$")

    assert (result["stdout"], result["exit_status"]) == ("before\n", -1)


def test_command_longer_than_timeout_raises_timed_out(key, machine):
    with pytest.raises(TimedOutError) as caught:
        run(key, machine, "PASSWORD=secret sleep 60", timeout=0.5)

    assert caught.value.exit_code == 7
    assert caught.value.message == (
        f"the command on {machine.user}@127.0.0.1:{machine.port} took longer than 0.5 s: 'PASSWORD…'"
    )


def test_command_with_closed_outputs_raises_timed_out(key, machine):
    with pytest.raises(TimedOutError):
        run(key, machine, "exec >&- 2>&-; sleep 60", timeout=0.5)


def test_broken_connection_is_reported(key, machine):
    with pytest.raises(SSHError, match="broke while a command ran"):
        # The parent of the shell is the process of the server for this connection.
        run(key, machine, "kill -9 $PPID; sleep 20", timeout=30)


def test_timeout_of_zero_is_rejected(key, machine):
    with pytest.raises(InputError, match="timeout 0 is invalid"):
        run(key, machine, "true", timeout=0)


def test_wrong_key_is_rejected_with_hint(machine, make_key):
    other = make_key(name="other")

    with pytest.raises(SSHRefusedError) as caught:
        run(other, machine, "true")

    assert (caught.value.exit_code, caught.value.code) == (1, "ssh-refused")
    assert str(other) in caught.value.message
    assert machine.user in caught.value.message
    assert "ubuntu" in caught.value.hint


def test_unknown_user_is_rejected(key, machine):
    with pytest.raises(SSHRefusedError, match="'unknown-user'"):
        run(key, machine, "true", user="unknown-user")


def test_machine_that_needs_more_than_key_is_reported(key, make_server):
    machine = make_server(
        key, AuthenticationMethods="publickey,keyboard-interactive", KbdInteractiveAuthentication="yes"
    )

    with pytest.raises(SSHRefusedError, match=r"needs more than a key from user .*: keyboard-interactive"):
        run(key, machine, "true")


def test_encrypted_key_needs_passphrase(make_key, make_server, monkeypatch):
    key = make_key("ed25519", passphrase="correct horse")
    machine = make_server(key)

    with pytest.raises(SSHKeyUnusableError, match="is encrypted and its passphrase is missing") as caught:
        run(key, machine, "true")
    assert "EXASOL_CI_SETUP_KEY_PASSPHRASE" in caught.value.hint

    monkeypatch.setenv("EXASOL_CI_SETUP_KEY_PASSPHRASE", "wrong")
    with pytest.raises(SSHKeyUnusableError, match="does not decrypt the key"):
        run(key, machine, "true")

    monkeypatch.setenv("EXASOL_CI_SETUP_KEY_PASSPHRASE", "correct horse")
    assert run(key, machine, "echo hi")["stdout"] == "hi\n"


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.usefixtures("agent")
def test_key_in_agent_is_not_read_from_file(make_key, make_server, kind):
    # The agent holds other keys first; a server closes the connection after a few wrong keys.
    for number in range(8):
        subprocess.run(["ssh-add", "-q", make_key(name=f"other{number}")], check=True)
    key = make_key(kind)
    subprocess.run(["ssh-add", "-q", key], check=True)
    key.unlink()

    assert run(key, make_server(key), "echo hi")["stdout"] == "hi\n"


# Paramiko does not close a socket that could not connect.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_unreachable_agent_is_ignored(key, machine, monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "agent"))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))

    assert run(key, machine, "echo hi")["stdout"] == "hi\n"


def test_host_key_is_pinned_once_per_scope(key, machine, known_hosts):
    run(key, machine, "true")
    before = known_hosts.read_bytes()
    run(key, machine, "true")

    assert known_hosts.read_bytes() == before
    assert before.startswith(b"i-0123456789abcdef0 ssh-ed25519 ")
    assert stat.S_IMODE(known_hosts.stat().st_mode) == 0o600


def test_openssh_accepts_pinned_keys(key, machine, known_hosts):
    run(key, machine, "true")
    options = {
        "UserKnownHostsFile": str(known_hosts),
        "HostKeyAlias": "i-0123456789abcdef0",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
    }

    ran = subprocess.run(
        [
            *("ssh", "-F", "none", "-i", str(key), "-p", str(machine.port)),
            *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
            *(f"{machine.user}@127.0.0.1", "echo hi"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.stdout, ran.returncode) == ("hi\n", 0), ran.stderr


def test_changed_host_key_is_rejected_before_authentication(key, machine, known_hosts):
    run(key, machine, "true")
    before = known_hosts.read_bytes()
    machine.new_host_key()

    with pytest.raises(HostKeyChangedError) as caught:
        run(key, machine, "true")

    assert caught.value.exit_code == 1
    assert caught.value.message.count("SHA256:") == 2
    assert f"ssh-keygen -R 'i-0123456789abcdef0' -f '{known_hosts}'" in caught.value.hint
    assert known_hosts.read_bytes() == before
    assert machine.log.count("Accepted publickey") == 1


def test_other_instance_at_same_address_has_own_key(key, machine, known_hosts):
    run(key, machine, "true")
    machine.new_host_key()

    [result] = instance(key, number="i-0fedcba9876543210").run_commands(
        ["echo hi"], user=machine.user, port=machine.port
    )

    assert result["stdout"] == "hi\n"
    assert len(known_hosts.read_text(encoding="utf-8").splitlines()) == 2


def test_connection_is_retried_while_machine_boots(key, machine, clock):
    machine.stop()
    clock.at(31, machine.start)

    [result] = run_commands(
        instance(key),
        ["echo hi"],
        Login(user=machine.user, port=machine.port, timeout=None, boot_timeout=60, jump=None),
        clock=clock,
    )

    assert result["stdout"] == "hi\n"
    assert 31 <= clock.elapsed < 40


def test_connection_closed_during_boot_is_retried(key, machine, clock):
    machine.stop()
    with socket.create_server(("127.0.0.1", machine.port)) as listening:
        closed = threading.Event()

        def close_connection() -> None:
            listening.accept()[0].close()
            closed.set()

        thread = threading.Thread(target=close_connection)
        thread.start()

        def boot() -> None:
            assert closed.is_set()
            listening.close()
            machine.start()

        clock.at(1, boot)
        results = list(
            run_commands(
                instance(key),
                ["echo hi"],
                Login(user=machine.user, port=machine.port, timeout=None, boot_timeout=60, jump=None),
                clock=clock,
            )
        )
        thread.join()

    assert results[0]["stdout"] == "hi\n"


def test_machine_without_server_is_unreachable_after_timeout(key, clock):
    port = free_port()

    with pytest.raises(SSHUnreachableError) as caught:
        list(
            run_commands(
                instance(key),
                ["true"],
                Login(user="u", port=port, timeout=None, boot_timeout=300, jump=None),
                clock=clock,
            )
        )

    assert caught.value.exit_code == 1
    assert f"u@127.0.0.1:{port} did not answer for 300 s: Connection refused" in caught.value.message
    assert "security group" in caught.value.hint
    assert 300 <= clock.elapsed < 305


def test_silent_machine_times_out(key):
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        pytest.raises(TimedOutError, match="did not answer for 1 s"),
    ):
        list(
            run_commands(
                instance(key),
                ["true"],
                Login(user="u", port=listening.getsockname()[1], timeout=None, boot_timeout=1, jump=None),
                clock=SystemClock(),
            )
        )


def test_unknown_host_name_is_not_retried(key, clock):
    with pytest.raises(SSHUnreachableError, match="cannot be resolved"):
        list(
            run_commands(
                instance(key, address="unknown.invalid"),
                ["true"],
                Login(user="u", port=22, timeout=None, boot_timeout=300, jump=None),
                clock=clock,
            )
        )


def test_command_runs_through_jump_host_and_pins_its_key(key, machine, make_server, known_hosts):
    jump = make_server(key)

    result = run(key, machine, "echo $SSH_CONNECTION", jump=f"{jump.user}@127.0.0.1:{jump.port}")

    assert result["exit_status"] == 0
    names = [line.split()[0] for line in known_hosts.read_text(encoding="utf-8").splitlines()]
    assert names == [f"[127.0.0.1]:{jump.port}", "i-0123456789abcdef0"]
    assert "Accepted publickey" in jump.log


def test_command_runs_through_two_jump_hosts(key, machine, make_server):
    first, second = make_server(key), make_server(key)

    result = run(key, machine, "echo hi", jump=f"127.0.0.1:{first.port},127.0.0.1:{second.port}")

    assert result["stdout"] == "hi\n"
    assert "Accepted publickey" in first.log
    assert "Accepted publickey" in second.log


def test_connection_through_jump_host_is_retried_during_boot(key, machine, make_server, clock):
    jump = make_server(key)
    machine.stop()
    clock.at(5, machine.start)

    [result] = run_commands(
        instance(key),
        ["echo hi"],
        Login(user=machine.user, port=machine.port, timeout=None, boot_timeout=60, jump=f"127.0.0.1:{jump.port}"),
        clock=clock,
    )

    assert result["stdout"] == "hi\n"


def test_jump_host_without_forwarding_is_reported(key, machine, make_server):
    jump = make_server(key, AllowTcpForwarding="no")

    with pytest.raises(SSHError, match="the jump host does not connect to") as caught:
        run(key, machine, "true", jump=f"127.0.0.1:{jump.port}")

    assert "AllowTcpForwarding" in caught.value.hint
