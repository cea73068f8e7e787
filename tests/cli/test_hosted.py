"""`hosted` without a Docker engine and nginx."""

from __future__ import annotations

from pathlib import Path

import pytest

FILES = (
    *("hosted.conf", "hosted.service", "hosted-nginx.path", "hosted-nginx.service", "hosted-nginx.sh"),
    "hosted.key",
)


def test_init_writes_files_and_prints_next_steps(program, tmp_path: Path):
    ran = program(
        "hosted", "init", "--domain", "example.com", "--state", "/srv/hosted", "--into", str(tmp_path / "new")
    )

    assert ran.code == 0
    paths = [tmp_path / "new" / name for name in FILES]
    assert ran.stdout.splitlines() == [str(path) for path in paths]
    assert [path for path in paths if not path.is_file()] == []
    assert f"install -D -m 0600 {paths[-1]} /etc/exasol-ci-setup/hosted.key" in ran.stderr
    assert paths[-1].read_text().strip() not in ran.stdout + ran.stderr


def test_init_reports_existing_key_that_other_users_can_read(program, tmp_path: Path):
    init = ("hosted", "init", "--domain", "example.com", "--state", "/srv/hosted", "--into", str(tmp_path))
    assert "warning" not in program(*init).stderr
    (tmp_path / "hosted.key").chmod(0o644)

    ran = program(*init)

    assert ran.code == 0
    assert (
        f"warning: other users may have access to the deploy key in {tmp_path}/hosted.key: `chmod go= {tmp_path}/hosted.key`"
        in ran.stderr.splitlines()
    )


def test_serve_reports_credential_that_all_users_can_read(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DEPLOY_KEY", raising=False)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    credential = tmp_path / "deploy_key"
    credential.write_text("sesame-open")
    serve = ("hosted", "serve", "--state", str(tmp_path / "state"))
    # An ACL of systemd appears as permissions of the group.
    credential.chmod(0o440)
    assert "warning" not in program(*serve).stderr
    credential.chmod(0o444)

    ran = program(*serve)

    assert ran.stderr.startswith(f"warning: other users may have access to the deploy key in {credential}: `chmod go= ")
    assert "the Docker engine at" in ran.stderr


def test_json_init_has_record_per_file(program, tmp_path: Path):
    ran = program(
        "hosted",
        "init",
        "--domain",
        "example.com",
        "--into",
        str(tmp_path),
        "--state",
        str(tmp_path),
        "--output",
        "json",
    )

    assert [(record["type"], Path(record["path"]).name) for record in ran.records] == [("file", name) for name in FILES]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--domain", "a; }"), "is not a fully-qualified domain"),
        (("--domain", "example.com", "--user", "a b"), "--user 'a b' is not a valid user name"),
        (("--domain", "example.com", "--state", "/srv/a b"), "not allowed in the configuration of nginx"),
        (("--domain", "example.com", "--into", "/proc/nowhere"), "cannot be written"),
        ((), "Missing option '--domain'"),
    ],
)
def test_init_refuses_invalid_options(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options, said):
    monkeypatch.chdir(tmp_path)

    ran = program("hosted", "init", *options)

    assert ran.code == 2
    assert said in ran.stderr
    assert not ran.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--nginx", "sudo 'nginx"), "is not a command"),
        (("--domain", "localhost"), "is not a fully-qualified domain"),
        (("--drain", "x"), "--drain is invalid: 'x' is not a time"),
        (("--workers", "3", "--drain", "x"), "--workers has no effect"),
        (("--max-body", "much"), "--max-body is invalid: 'much' is not a size"),
        (("--answer-within", "0"), "--answer-within is invalid: '0' is not a time"),
    ],
)
def test_serve_refuses_invalid_options(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options, said):
    monkeypatch.setenv("DEPLOY_KEY", "key")
    monkeypatch.chdir(tmp_path)

    ran = program("hosted", "serve", *options)

    assert ran.code == 2
    assert said in ran.stderr
