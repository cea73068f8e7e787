"""`init-fleet` with a local server that imitates GitHub."""

from __future__ import annotations

import pytest
import yaml

from tests.hub import running

FIRST = "GET /orgs/acme/repos?per_page=100&page=1"
SECOND = "GET /orgs/acme/repos?per_page=100&page=2"


def repository(name, **more):
    url = f"https://github.com/acme/{name}"
    return {"name": name, "html_url": url, "archived": False, "fork": False, "topics": [], **more}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with running() as server:
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        server.replies[FIRST] = (200, {}, [repository("my-shop"), repository("api", topics=["ci", "python"])])
        yield server


def written(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_file_declares_repositories_of_organization(hub, program, tmp_path):
    ran = program("init-fleet", "--organization", "acme")

    assert (ran.code, ran.stdout) == (0, "")
    assert "wrote fleet.yaml with 2 projects in eu-central-1" in ran.stderr
    assert "exasol-ci-setup deploy-fleet fleet.yaml --plan" in ran.stderr
    fleet = written(tmp_path / "fleet.yaml")
    assert fleet["name"] == "acme"
    assert fleet["projects"] == {
        "Api": {"project_url": "https://github.com/acme/api", "ci": {}},
        "MyShop": {"project_url": "https://github.com/acme/my-shop", "ci": {}},
    }
    assert "Authorization" not in hub.asked[0][2]


@pytest.mark.live
@pytest.mark.usefixtures("hub")
def test_written_file_can_be_deployed(program, here):
    program("fleet", "init", "--organization", "acme", "shops.yaml", "--region", "eu-central-1")

    ran = here("deploy-fleet", "shops.yaml", "--yes", "--no-lint")

    assert ran.code == 0
    assert "3 stacks: 3 done" in ran.stderr


def test_only_repositories_with_topic(hub, program, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "secret-token")

    ran = program(
        "init-fleet", "--organization", "acme", "--topic", "ci", "--region", "us-east-1", "--github-secret", "gh"
    )

    assert ran.code == 0
    fleet = written(tmp_path / "fleet.yaml")
    assert list(fleet["projects"]) == ["Api"]
    # Another name than that of the fleet of all repositories, whose stacks --prune would delete.
    assert fleet["name"] == "acme-ci"
    assert fleet["targets"]["ci"]["region"] == "us-east-1"
    assert fleet["targets"]["ci"]["source_credentials"]["secret_name"] == "gh"
    assert hub.asked[0][2]["Authorization"] == "Bearer secret-token"
    assert "secret-token" not in (tmp_path / "fleet.yaml").read_text(encoding="utf-8") + ran.stderr


def test_all_pages_are_read(hub, program, tmp_path):
    hub.replies[FIRST] = (200, {}, [repository(f"a{number}") for number in range(100)])
    hub.replies[SECOND] = (200, {}, [repository("b")])

    program("init-fleet", "--organization", "acme")

    assert len(written(tmp_path / "fleet.yaml")["projects"]) == 101


def test_skipped_repositories_are_named(hub, program, tmp_path):
    hub.replies[FIRST] = (
        200,
        {},
        [
            repository("old", archived=True),
            repository("copy", fork=True),
            repository("my-shop"),
            repository("my_shop"),
            repository("2048"),
        ],
    )

    ran = program("init-fleet", "--organization", "acme")

    assert list(written(tmp_path / "fleet.yaml")["projects"]) == ["MyShop"]
    assert "skipped old: it is archived" in ran.stderr
    assert "skipped copy: it is a fork" in ran.stderr
    assert "skipped my_shop: https://github.com/acme/my-shop has the same project name, MyShop" in ran.stderr
    assert "skipped 2048: --project '2048' is invalid" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--organization", "none"), "GitHub did not list the repositories of none: Not Found"),
        (("--organization", "a/b"), "--organization 'a/b' is not the name of an organization"),
        (("--organization", "acme", "--topic", "java"), "no repository of acme with the topic java can be a project"),
        (("--organization", "acme", "there.yaml"), "there.yaml already exists"),
        (("--organization", "acme", "none/fleet.yaml"), "none/fleet.yaml cannot be written: No such file or directory"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_invalid_input_exits_2_and_writes_nothing(program, tmp_path, arguments, message):
    (tmp_path / "there.yaml").write_text("kept", encoding="utf-8")

    ran = program("init-fleet", *arguments)

    assert ran.code == 2
    assert message in ran.stderr
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("there.yaml", "kept")]


@pytest.mark.parametrize("answer", [{"message": "no list"}, [{"name": "x"}], ["x"]])
def test_unexpected_response_of_github_is_reported(hub, program, answer):
    hub.replies[FIRST] = (200, {}, answer)

    ran = program("init-fleet", "--organization", "acme")

    assert ran.code == 1
    assert "error: GitHub did not list the repositories of acme" in ran.stderr


def test_missing_fleet_file_names_this_command(program, tmp_path):
    ran = program("deploy-fleet", str(tmp_path / "none.yaml"))

    assert ran.code == 2
    assert "`exasol-ci-setup init-fleet --organization NAME`" in ran.stderr
