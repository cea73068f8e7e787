"""Commands on an instance over SSH, which here is a real `sshd` on loopback."""

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
from exasol_ci_setup.clock import SystemClock
from exasol_ci_setup.errors import (
    HostKeyChanged,
    InputError,
    SSHError,
    SSHKeyUnusable,
    SSHRefused,
    SSHUnreachable,
    TimedOut,
)
from exasol_ci_setup.ssh.instance import run_all
from tests.instances import PlacedInstance
from tests.sshd.server import Server, free_port

pytestmark = pytest.mark.sshd


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def known_hosts(tmp_path: Path) -> Path:
    return tmp_path / "state" / "exasol-ci-setup" / "known_hosts" / "team"


def instance(key: Path, *, address: str = "127.0.0.1", number: str = "i-0123456789abcdef0") -> Instance:
    made = PlacedInstance(
        scope=Scope(name="team", region="eu-central-1"), name="box", instance_type="t3.micro", path_to_key=str(key)
    )
    made.set_outputs({"InstanceId": number, "PublicIp": address})
    return made


def run(key: Path, machine: Server, command: str, **options: Any) -> Any:
    return instance(key).run_command(
        command, **{"user": machine.user, "port": machine.port, "patience": 20.0, **options}
    )


def test_a_command_returns_what_it_wrote_and_its_status(key, machine):
    result = run(key, machine, "echo hi")

    assert result == {"command": "echo hi", "stdout": "hi\n", "stderr": "", "exit_status": 0}
    assert list(result) == ["command", "stdout", "stderr", "exit_status"]


def test_a_command_that_fails_is_told_by_its_status_and_not_by_an_error(key, machine):
    result = run(key, machine, "echo no >&2; exit 3")

    assert (result["stdout"], result["stderr"], result["exit_status"]) == ("", "no\n", 3)


def test_commands_are_run_one_after_the_other_over_one_connection(key, machine, tmp_path):
    file = shlex.quote(str(tmp_path / "trace"))
    commands = [f"echo $SSH_CONNECTION >> {file}", "exit 4", f"cat {file}; echo $SSH_CONNECTION"]

    results = list(instance(key).run_commands(commands, user=machine.user, port=machine.port))

    assert [result["command"] for result in results] == commands
    assert [result["exit_status"] for result in results] == [0, 4, 0]
    first, last = results[2]["stdout"].splitlines()
    assert first == last


def test_the_next_command_starts_when_its_result_is_asked_for(key, machine, tmp_path):
    file = tmp_path / "second"
    results = instance(key).run_commands(
        ["true", f"touch {shlex.quote(str(file))}"], user=machine.user, port=machine.port
    )

    assert next(results)["exit_status"] == 0
    assert not file.exists()
    assert next(results)["exit_status"] == 0
    assert file.exists()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_keys_of_each_type_let_in_and_are_let_in(make_key, make_server, kind):
    key = make_key(kind)
    machine = make_server(key, host_key=kind)

    assert run(key, machine, "echo hi")["stdout"] == "hi\n"
    # The second time the machine has to show the key that is pinned.
    assert run(key, machine, "echo hi")["stdout"] == "hi\n"


def test_five_megabytes_on_both_outputs_come_whole(key, machine):
    command = "head -c 5000000 /dev/zero | tr '\\0' o & head -c 5000000 /dev/zero | tr '\\0' e >&2; wait"

    result = run(key, machine, command, timeout=60)

    assert result["stdout"] == "o" * 5_000_000
    assert result["stderr"] == "e" * 5_000_000


def test_bytes_that_are_no_text_are_shown_by_their_numbers(key, machine):
    result = run(key, machine, "printf 'a\\377b \\303\\244'")

    assert result["stdout"] == "a\\xffb ä"


def test_a_command_that_reads_finds_the_end_of_its_input(key, machine):
    assert run(key, machine, "cat; echo read", timeout=20)["stdout"] == "read\n"


def test_a_command_reaches_the_shell_of_the_machine_as_it_is(key, machine):
    command = "printf '%s\\n' \"a  b\" '$HOME' ; printf 'ü\\n'"

    assert run(key, machine, command)["stdout"] == "a  b\n$HOME\nü\n"


def test_a_command_that_a_signal_ends_has_the_status_minus_one(key, machine):
    result = run(key, machine, "echo before; kill -9 $$")

    assert (result["stdout"], result["exit_status"]) == ("before\n", -1)


def test_a_command_that_outlives_its_time_is_given_up(key, machine):
    with pytest.raises(TimedOut) as caught:
        run(key, machine, "PASSWORD=secret sleep 60", timeout=0.5)

    assert caught.value.exit_code == 7
    assert caught.value.message == (
        f"the command on {machine.user}@127.0.0.1:{machine.port} took longer than 0.5 s: 'PASSWORD…'"
    )


def test_a_command_that_closed_its_outputs_is_given_up_too(key, machine):
    with pytest.raises(TimedOut):
        run(key, machine, "exec >&- 2>&-; sleep 60", timeout=0.5)


def test_a_connection_that_breaks_is_told(key, machine):
    with pytest.raises(SSHError, match="broke while a command ran"):
        # The parent of the shell is the server's process for this connection.
        run(key, machine, "kill -9 $PPID; sleep 20", timeout=30)


def test_a_time_of_nothing_is_refused(key, machine):
    with pytest.raises(InputError, match="cannot end within 0 s"):
        run(key, machine, "true", timeout=0)


def test_another_key_is_refused_with_what_to_look_at(machine, make_key):
    other = make_key(name="other")

    with pytest.raises(SSHRefused) as caught:
        run(other, machine, "true")

    assert (caught.value.exit_code, caught.value.code) == (1, "ssh-refused")
    assert str(other) in caught.value.message
    assert machine.user in caught.value.message
    assert "ubuntu" in caught.value.hint


def test_another_user_is_refused(key, machine):
    with pytest.raises(SSHRefused, match="'nobody-there'"):
        run(key, machine, "true", user="nobody-there")


def test_a_machine_that_wants_more_than_a_key_is_told(key, make_server):
    machine = make_server(
        key, AuthenticationMethods="publickey,keyboard-interactive", KbdInteractiveAuthentication="yes"
    )

    with pytest.raises(SSHRefused, match=r"wants more of .* than a key: keyboard-interactive"):
        run(key, machine, "true")


def test_an_encrypted_key_needs_its_passphrase(make_key, make_server, monkeypatch):
    key = make_key("ed25519", passphrase="correct horse")
    machine = make_server(key)

    with pytest.raises(SSHKeyUnusable, match="is encrypted, and there is no passphrase") as caught:
        run(key, machine, "true")
    assert "EXASOL_CI_SETUP_KEY_PASSPHRASE" in caught.value.hint

    monkeypatch.setenv("EXASOL_CI_SETUP_KEY_PASSPHRASE", "wrong")
    with pytest.raises(SSHKeyUnusable, match="does not open with the passphrase"):
        run(key, machine, "true")

    monkeypatch.setenv("EXASOL_CI_SETUP_KEY_PASSPHRASE", "correct horse")
    assert run(key, machine, "echo hi")["stdout"] == "hi\n"


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.usefixtures("agent")
def test_a_key_that_the_agent_holds_is_not_read(make_key, make_server, kind):
    # Others come first, of which a server takes only a few before it hangs up.
    for number in range(8):
        subprocess.run(["ssh-add", "-q", make_key(name=f"other{number}")], check=True)
    key = make_key(kind)
    subprocess.run(["ssh-add", "-q", key], check=True)
    key.unlink()

    assert run(key, make_server(key), "echo hi")["stdout"] == "hi\n"


# Paramiko leaves the socket with which it did not get through to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_agent_that_is_gone_is_as_good_as_none(key, machine, monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "agent"))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))

    assert run(key, machine, "echo hi")["stdout"] == "hi\n"


def test_the_key_of_a_machine_is_pinned_once_for_the_scope(key, machine, known_hosts):
    run(key, machine, "true")
    before = known_hosts.read_bytes()
    run(key, machine, "true")

    assert known_hosts.read_bytes() == before
    assert before.startswith(b"i-0123456789abcdef0 ssh-ed25519 ")
    assert stat.S_IMODE(known_hosts.stat().st_mode) == 0o600


def test_openssh_itself_accepts_what_was_pinned(key, machine, known_hosts):
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


def test_a_machine_with_another_key_than_before_is_refused_and_sees_no_key_of_the_user(key, machine, known_hosts):
    run(key, machine, "true")
    before = known_hosts.read_bytes()
    machine.new_host_key()

    with pytest.raises(HostKeyChanged) as caught:
        run(key, machine, "true")

    assert caught.value.exit_code == 1
    assert caught.value.message.count("SHA256:") == 2
    assert f"ssh-keygen -R 'i-0123456789abcdef0' -f '{known_hosts}'" in caught.value.hint
    assert known_hosts.read_bytes() == before
    assert machine.log.count("Accepted publickey") == 1


def test_another_instance_at_the_same_address_is_another_machine(key, machine, known_hosts):
    run(key, machine, "true")
    machine.new_host_key()

    [result] = instance(key, number="i-0fedcba9876543210").run_commands(
        ["echo hi"], user=machine.user, port=machine.port
    )

    assert result["stdout"] == "hi\n"
    assert len(known_hosts.read_text(encoding="utf-8").splitlines()) == 2


def test_a_machine_that_boots_is_waited_for(key, machine, clock):
    machine.stop()
    clock.at(31, machine.start)

    [result] = run_all(
        instance(key),
        ["echo hi"],
        user=machine.user,
        port=machine.port,
        timeout=None,
        patience=60,
        jump=None,
        clock=clock,
    )

    assert result["stdout"] == "hi\n"
    assert 31 <= clock.elapsed < 40


def test_a_machine_that_hangs_up_while_it_boots_is_waited_for(key, machine, clock):
    machine.stop()
    with socket.create_server(("127.0.0.1", machine.port)) as door:
        hung_up = threading.Event()

        def hang_up() -> None:
            door.accept()[0].close()
            hung_up.set()

        thread = threading.Thread(target=hang_up)
        thread.start()

        def boot() -> None:
            assert hung_up.is_set()
            door.close()
            machine.start()

        clock.at(1, boot)
        results = list(
            run_all(
                instance(key),
                ["echo hi"],
                user=machine.user,
                port=machine.port,
                timeout=None,
                patience=60,
                jump=None,
                clock=clock,
            )
        )
        thread.join()

    assert results[0]["stdout"] == "hi\n"


def test_a_machine_that_does_not_listen_in_all_that_time_is_unreachable(key, clock):
    port = free_port()

    with pytest.raises(SSHUnreachable) as caught:
        list(run_all(instance(key), ["true"], user="u", port=port, timeout=None, patience=300, jump=None, clock=clock))

    assert caught.value.exit_code == 1
    assert f"u@127.0.0.1:{port} did not answer for 300 s: Connection refused" in caught.value.message
    assert "security group" in caught.value.hint
    assert 300 <= clock.elapsed < 305


def test_a_machine_that_is_silent_in_all_that_time_is_a_time_out(key):
    with socket.create_server(("127.0.0.1", 0)) as door, pytest.raises(TimedOut, match="did not answer for 1 s"):
        list(
            run_all(
                instance(key),
                ["true"],
                user="u",
                port=door.getsockname()[1],
                timeout=None,
                patience=1,
                jump=None,
                clock=SystemClock(),
            )
        )


def test_a_name_that_nobody_has_is_not_waited_for(key, clock):
    with pytest.raises(SSHUnreachable, match="no machine"):
        list(
            run_all(
                instance(key, address="nobody.invalid"),
                ["true"],
                user="u",
                port=22,
                timeout=None,
                patience=300,
                jump=None,
                clock=clock,
            )
        )


def test_the_way_goes_through_a_jump_host_whose_key_is_pinned_too(key, machine, make_server, known_hosts):
    jump = make_server(key)

    result = run(key, machine, "echo $SSH_CONNECTION", jump=f"{jump.user}@127.0.0.1:{jump.port}")

    assert result["exit_status"] == 0
    names = [line.split()[0] for line in known_hosts.read_text(encoding="utf-8").splitlines()]
    assert names == [f"[127.0.0.1]:{jump.port}", "i-0123456789abcdef0"]
    assert "Accepted publickey" in jump.log


def test_the_way_goes_through_two_jump_hosts(key, machine, make_server):
    first, second = make_server(key), make_server(key)

    result = run(key, machine, "echo hi", jump=f"127.0.0.1:{first.port},127.0.0.1:{second.port}")

    assert result["stdout"] == "hi\n"
    assert "Accepted publickey" in first.log
    assert "Accepted publickey" in second.log


def test_a_machine_behind_a_jump_host_is_waited_for(key, machine, make_server, clock):
    jump = make_server(key)
    machine.stop()
    clock.at(5, machine.start)

    [result] = run_all(
        instance(key),
        ["echo hi"],
        user=machine.user,
        port=machine.port,
        timeout=None,
        patience=60,
        jump=f"127.0.0.1:{jump.port}",
        clock=clock,
    )

    assert result["stdout"] == "hi\n"


def test_a_jump_host_that_lets_nobody_through_is_told(key, machine, make_server):
    jump = make_server(key, AllowTcpForwarding="no")

    with pytest.raises(SSHError, match="the jump host does not connect to") as caught:
        run(key, machine, "true", jump=f"127.0.0.1:{jump.port}")

    assert "AllowTcpForwarding" in caught.value.hint
