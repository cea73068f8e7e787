"""Jump hosts, private keys, and errors of SSH commands that need no machine."""

from __future__ import annotations

import base64
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup import Instance, Scope
from exasol_ci_setup.aws.session import connect
from exasol_ci_setup.constructs.placeholders import placeholders_in
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import InputError, SSHError, SSHKeyUnusableError
from exasol_ci_setup.core.origin import install_command
from exasol_ci_setup.programs.actions import Runtime, use_runtime
from exasol_ci_setup.ssh.connect import Host, parse_jumps
from exasol_ci_setup.ssh.keys import load
from tests.instances import PlacedInstance


def instance(key: Path = Path("/nowhere/key")) -> Instance:
    return PlacedInstance(
        scope=Scope(name="team", region="eu-central-1"), name="box", instance_type="t3.micro", path_to_key=str(key)
    )


def deployed(key: Path = Path("/nowhere/key")) -> Instance:
    box = instance(key)
    box.set_outputs({"InstanceId": "i-0123456789abcdef0", "PublicIp": "127.0.0.1"})
    return box


def no_account(scope: Scope) -> Any:
    raise AssertionError(f"no account of {scope.name} is needed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bastion", [Host("bastion", "me")]),
        ("you@bastion:2222", [Host("bastion", "you", 2222)]),
        ("a.example,you@10.0.0.1:22", [Host("a.example", "me"), Host("10.0.0.1", "you")]),
        ("[2001:db8::1]:2222", [Host("2001:db8::1", "me", 2222)]),
        ("you@[::1]", [Host("::1", "you")]),
    ],
)
def test_jump_hosts_are_parsed_as_in_ssh(text, expected):
    assert parse_jumps(text, "me") == expected


@pytest.mark.parametrize("text", ["", ",", "a,,b", "a:0", "a:65536", "a:", "you@", "@a", "a b", "::1", "a@b@c"])
def test_invalid_jump_host_is_rejected_with_its_form(text):
    with pytest.raises(InputError, match="not a jump host") as caught:
        parse_jumps(text, "me")
    assert "[USER@]HOST[:PORT]" in caught.value.hint


@given(st.text())
def test_any_text_is_parsed_or_rejected(text):
    try:
        found = parse_jumps(text, "me")
    except InputError:
        return
    assert all(host.address and host.user and 0 < host.port < 65_536 for host in found)


def test_known_hosts_name_is_name_or_address_of_openssh():
    assert Host("10.0.0.1", "u").known_hosts_name == "10.0.0.1"
    assert Host("10.0.0.1", "u", 2222).known_hosts_name == "[10.0.0.1]:2222"
    assert Host("10.0.0.1", "u", 2222, "i-1").known_hosts_name == "i-1"


def test_command_on_undeployed_instance_is_rejected():
    with pytest.raises(InputError, match="not deployed yet"):
        instance().run_command("true")


def test_dry_run_runs_no_command():
    box = deployed()
    messages: list[str] = []

    with use_runtime(Runtime(no_account, SystemClock(), messages.append, is_dry_run=True)):
        one = box.run_command("TOKEN=secret rm -rf /")
        many = list(box.run_commands(["a", "b --password secret"]))

    (unknown,) = placeholders_in(one["stdout"])
    assert unknown.described == "the stdout of a command of PlacedInstance 'box'"
    assert one == {"command": "TOKEN=secret rm -rf /", "stdout": unknown.text, "stderr": "", "exit_status": 0}
    assert [each["command"] for each in many] == ["a", "b --password secret"]
    assert messages == [f"instance box: would run '{name}…'" for name in ("TOKEN", "a", "b")]


def on_sandbox() -> Runtime:
    account = connect(None, "eu-central-1", endpoint_url="http://127.0.0.1:1", access_key=("500000000001", "any"))
    return Runtime(lambda _scope: account, SystemClock(), lambda _message: None)


def with_endpoint_of_the_configuration() -> Runtime:
    account = connect(None, "eu-central-1")
    return Runtime(lambda _scope: account, SystemClock(), lambda _message: None)


@pytest.mark.parametrize(
    ("address", "through"), [("203.0.113.7", None), ("203.0.113.7", "127.0.0.1"), ("127.0.0.1", "203.0.113.8")]
)
@pytest.mark.parametrize("stage", [on_sandbox, with_endpoint_of_the_configuration])
def test_command_on_sandbox_instance_is_rejected_without_connection(monkeypatch, stage, address, through):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    opened: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *arguments, **_: opened.append(arguments))
    box = instance()
    box.set_outputs({"InstanceId": "i-0123456789abcdef0", "PublicIp": address})

    with use_runtime(stage()), pytest.raises(SSHError, match="instances in the sandbox run no commands"):
        box.run_command("true", jump=through)
    assert not opened


def test_loopback_address_is_connected_to_in_sandbox(monkeypatch, tmp_path):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    with use_runtime(on_sandbox()), pytest.raises(SSHKeyUnusableError):
        deployed(tmp_path / "id_rsa").run_command("true", jump="127.0.0.1")


def test_missing_paramiko_is_reported_with_installation(monkeypatch):
    monkeypatch.setitem(sys.modules, "paramiko", None)

    with pytest.raises(SSHError, match="need Paramiko") as caught:
        deployed().run_command("true")
    assert caught.value.hint == f"`{install_command('ssh')}`"


def test_missing_key_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    with pytest.raises(SSHKeyUnusableError, match="cannot be read: No such file") as caught:
        deployed(tmp_path / "id_rsa").run_command("true")
    assert str(tmp_path / "id_rsa") in caught.value.message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"ssh-ed25519 AAAA",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\n!!\n-----END RSA PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ],
)
def test_file_without_private_key_is_rejected(tmp_path, content, monkeypatch):
    monkeypatch.setenv("EXASOL_CI_SETUP_KEY_PASSPHRASE", "some")
    path = tmp_path / "key"
    path.write_bytes(content)

    with pytest.raises(SSHKeyUnusableError):
        load(path)


@pytest.mark.parametrize("passphrase", [b"", b"some"])
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *((kind, form) for kind in ("rsa", "p256", "p384", "p521", "ed25519") for form in ("OpenSSH", "PKCS8")),
        *((kind, "TraditionalOpenSSL") for kind in ("rsa", "p256", "p384", "p521")),
    ],
)
def test_key_of_each_type_and_format_is_read(tmp_path, monkeypatch, kind, form, passphrase):
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    private: Any
    if kind == "rsa":
        private = rsa.generate_private_key(65537, 2048)
    else:
        private = Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(curves[kind])
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    path = tmp_path / "key"
    path.write_bytes(
        private.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), encryption)
    )
    monkeypatch.setenv("EXASOL_CI_SETUP_KEY_PASSPHRASE", passphrase.decode())

    key = load(path)

    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert base64.b64decode(public.split()[1]) == key.asbytes()
    assert key.can_sign()


def test_ecdsa_keys_without_padding_are_read(tmp_path):
    # About half of the keys have no padding.
    path = tmp_path / "key"
    for _ in range(30):
        private = ec.generate_private_key(ec.SECP256R1())
        path.write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            )
        )
        assert load(path).can_sign()


def test_key_of_unsupported_curve_is_rejected(tmp_path):
    path = tmp_path / "key"
    private = ec.generate_private_key(ec.SECP256K1())
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )

    with pytest.raises(SSHKeyUnusableError, match="no private key of type"):
        load(path)
