"""Command groups `storage` and `asset`, also with the options of the tool that they replace."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from exasol_ci_setup.cli.output import Output
from exasol_ci_setup.cli.render.transfer import TransferView

pytestmark = pytest.mark.live

ON = ("--workspace-id", "123", "--storage", "my-storage")


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def made(here):
    assert here("storage", "create", "--workspace-id", "123", "--name", "my-storage").code == 0


def created(here, *more):
    ran = here("asset", "create", "--workspace-id", "123", "--output", "json", *more)
    assert ran.code == 0, ran.stderr
    return next(record for record in ran.records if record["type"] == "asset")


def test_commands_of_older_tool_work(here, home):
    first = here("storage", "create", "--workspace-id", "123", "--name", "my-storage")
    (home / "a.txt").write_text("content")
    here("storage", "put-object", *ON, "--source", "a.txt")
    (home / "asset_data.json").write_text(json.dumps({"storage_name": "my-storage", "object_name": "a.txt"}))
    second = here("asset", "create", "--workspace-id", "123", "--data", "asset_data.json")

    assert (first.code, first.stdout) == (0, "")
    assert "created storage my-storage in workspace 123" in first.stderr
    assert second.code == 0
    shown = dict(line.split(maxsplit=1) for line in second.stdout.splitlines())
    assert len(shown["id"]) == 36
    assert "X-Amz-Signature" in shown["url"]
    assert shown["expires"].endswith("UTC")


@pytest.mark.usefixtures("made")
def test_folder_is_put_got_and_synchronized(here, home):
    (home / "site" / "deep").mkdir(parents=True)
    (home / "site" / "index.html").write_text("page")
    (home / "site" / "deep" / "b.txt").write_text("text")

    put = here(
        "storage", "put-object", *ON, "--source", "site", "--destination", "web", "--recursive", "--output", "json"
    )
    got = here("storage", "get-object", *ON, "--source", "web/", "--destination", "copy", "-r")
    (home / "copy" / "index.html").unlink()
    plan = here("storage", "sync", *ON, "--folder", "copy", "--prefix", "web", "--delete", "--plan")
    unasked = here("storage", "sync", *ON, "--folder", "copy", "--prefix", "web", "--delete")
    asked = here("storage", "sync", *ON, "--folder", "copy", "--prefix", "web", "--delete", "--yes", "--output", "json")
    here("storage", "sync", *ON, "--folder", "new", "--download")

    assert {key: put.records[-1][key] for key in ("status", "files", "bytes")} == {
        "status": "uploaded",
        "files": 2,
        "bytes": 8,
    }
    assert got.code == 0
    assert "2 files downloaded, 0 unchanged" in got.stderr
    assert (plan.code, plan.stdout) == (0, "delete web/index.html\n")
    assert "plan only: 0 files uploaded, 1 unchanged, 1 deleted" in plan.stderr
    assert (unasked.code, "add --yes" in unasked.stderr) == (2, True)
    assert "delete web/index.html\n" in unasked.stderr
    assert (asked.records[-1]["deleted"], asked.records[-1]["unchanged"]) == (1, 1)
    assert [path.name for path in (home / "new").rglob("*.*")] == ["b.txt"]


@pytest.mark.usefixtures("made")
def test_plan_of_folder_shows_names_of_other_tools_on_one_line(here, home, live):
    (bucket,) = live.client("s3").list_buckets()["Buckets"]
    for name in ("new\nline", "\x1b[2Jhidden", "../out"):
        live.client("s3").put_object(Bucket=bucket["Name"], Key=f"storages/my-storage/web/{name}", Body=b"x")
    (home / "mine").mkdir()
    for number in range(12):
        (home / "mine" / f"{number:02}\x1b[2J").write_text("mine")

    plan = here("storage", "sync", *ON, "--download", "--folder", "copy", "--prefix", "web", "--plan")
    unasked = here("storage", "sync", *ON, "--download", "--folder", "mine", "--prefix", "web", "--delete")

    assert plan.stdout == "download web/\\x1b[2Jhidden\ndownload web/new\\nline\n"
    assert "no file can have this name: web/../out\n" in plan.stderr
    assert "delete mine/09\\x1b[2J\nand 2 more; --plan lists all of them\n" in unasked.stderr


@pytest.mark.usefixtures("made")
def test_option_aliases_are_equal(here):
    for workspace in ("-w", "--workspace", "--workspace-id"):
        for storage in ("-s", "--storage", "--name", "--storage-name"):
            assert here("storage", "list-object", workspace, "123", storage, "my-storage").code == 0


@pytest.mark.usefixtures("made")
def test_uploaded_file_downloads_unchanged(here, home):
    (home / "big.bin").write_bytes(os.urandom(20_000_000))

    put = here("storage", "put-object", "-w", "123", "-s", "my-storage", "-src", "big.bin", "-dst", "data/")
    listed = here("storage", "list-object", "-w", "123", "-s", "my-storage", "-p", "da")
    (home / "out").mkdir()
    got = here("storage", "get-object", "-w", "123", "-s", "my-storage", "-src", "data/big.bin", "-dst", "out")
    gone = here("storage", "delete-object", "-w", "123", "-s", "my-storage", "-o", "data/big.bin")

    assert (put.code, put.stdout) == (0, "data/big.bin\n")
    assert put.stderr.splitlines()[0] == "uploading big.bin: 20.0 MB"
    assert put.stderr.splitlines()[-1] == "uploading big.bin: 100 % of 20.0 MB"
    assert listed.stdout.splitlines()[1].split()[:2] == ["data/big.bin", "20000000"]
    assert (got.code, got.stdout) == (0, "out/big.bin\n")
    assert (home / "out" / "big.bin").read_bytes() == (home / "big.bin").read_bytes()
    assert "deleted 1 object" in gone.stderr
    assert "no objects in storage my-storage" in here("storage", "list-object", *ON).stderr


@pytest.mark.usefixtures("made")
def test_json_prints_records(here, home):
    (home / "a.txt").write_text("content")
    put = here("storage", "put-object", *ON, "-src", "a.txt", "--output", "json").records
    listed = here("storage", "list-object", *ON, "--output", "json").records
    storages = here("storage", "list", "-w", "123", "--output", "json").records
    connected = here("storage", "connect", *ON, "--output", "json").records

    assert [(record["type"], record.get("name")) for record in put] == [("stored-object", "a.txt"), ("result", None)]
    assert [(record["name"], record["size"]) for record in listed] == [("a.txt", 7)]
    assert [(record["type"], record["workspace_id"], record["name"]) for record in storages] == [
        ("storage", "123", "my-storage")
    ]
    assert connected[0]["path"] == str(home / ".naas" / "credentials")


@pytest.mark.usefixtures("made")
def test_connect_prints_path_and_no_keys(here, home):
    ran = here("storage", "connect", *ON)
    entry = json.loads((home / ".naas" / "credentials").read_text())["storage"]["123"]["my-storage"]["s3"]

    assert ran.stdout.splitlines()[0] == f"credentials  {home / '.naas' / 'credentials'}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert entry[name] not in ran.stdout + ran.stderr


@pytest.mark.usefixtures("made")
def test_create_with_plan_changes_nothing(here):
    there = here("storage", "create", "-w", "123", "-s", "second", "--plan")
    new = here("storage", "create", "-w", "456", "-s", "first", "--plan")

    assert (there.code, new.code) == (0, 0)
    assert "the stack of workspace 123 does not change" in there.stderr
    assert "+ Bucket" in new.stdout
    assert "second" not in here("storage", "list", "-w", "123").stdout
    assert "no storages of workspace 456 in eu-central-1" in here("storage", "list", "-w", "456").stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ("storage", "create", "-w", "123", "-s", "my-storage"),
            1,
            "storage 'my-storage' of workspace 123 already exists",
        ),
        (("storage", "create", "-w", "12_3", "-s", "my-storage"), 2, "-w '12_3' is invalid"),
        (("storage", "connect", "-w", "123", "-s", "other"), 1, "storage 'other' does not exist in workspace 123"),
        (("storage", "get-object", *ON, "-src", "nope"), 1, "object 'nope' does not exist"),
        (("storage", "put-object", *ON, "-src", "nope"), 2, "nope cannot be read: No such file or directory"),
        (("storage", "delete", *ON), 2, "confirmation is needed"),
        (("storage", "delete-object", *ON, "-o", "folder/"), 2, "confirmation is needed"),
        (("asset", "get", "-w", "123", "-id", "nope"), 1, "workspace 123 has no asset 'nope'"),
        (("asset", "create", "-w", "123"), 2, "--storage-name: it is required"),
        (("asset", "create", "-w", "123", "--data", "nope.json"), 2, "nope.json cannot be read"),
        (("asset", "create", "-w", "123", "--data", "broken.json"), 2, "broken.json is not JSON"),
        (("asset", "create", "-w", "123", "--data", "list.json"), 2, "list.json is not a JSON object"),
    ],
)
@pytest.mark.usefixtures("made")
def test_invalid_storage_input_is_one_line(here, home, words, code, said):
    (home / "broken.json").write_text("{")
    (home / "list.json").write_text("[]")

    ran = here(*words)

    assert ran.code == code
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.usefixtures("made")
def test_storage_with_objects_needs_empty(here, home):
    (home / "a.txt").write_text("content")
    here("storage", "put-object", *ON, "-src", "a.txt")

    refused = here("storage", "delete", *ON, "--yes")
    (command,) = re.findall("`exasol-ci-setup (.*)`", refused.stderr)
    gone = here(*command.split(), "--yes")

    assert refused.code == 1
    assert command.endswith("--empty")
    assert "deleted storage my-storage of workspace 123 with 1 object" in gone.stderr


@pytest.mark.usefixtures("made")
def test_asset_becomes_public_and_private(here, home):
    (home / "a.txt").write_text("content")
    here("storage", "put-object", *ON, "-src", "a.txt")
    made = created(here, "-s", "my-storage", "-o", "a.txt", "-vis", "private", "-cd", "attachment")
    on = ("-w", "123", "--asset-id", made["id"])

    refused = here("asset", "update", *on, "--visibility", "public")
    public = here("asset", "update", *on, "--visibility", "public", "--allow-broadening")
    (home / "update.json").write_text('{"visibility": "private"}')
    private = here("asset", "update", *on, "--data", "update.json")
    gone = here("asset", "delete", *on, "--yes")

    assert refused.code == 2
    assert "Access that is broadened:" in public.stderr
    assert "lets everyone s3:GetObject" in public.stderr
    assert "never, as the asset is public" in public.stdout
    assert "X-Amz-Signature" in private.stdout
    assert gone.code == 0
    assert here("asset", "get", *on).code == 1


@pytest.mark.usefixtures("made")
def test_options_override_file(here, home):
    for name in ("a.txt", "b.txt"):
        (home / name).write_text("content")
        here("storage", "put-object", *ON, "-src", name)
    (home / "data.json").write_text(json.dumps({"storage_name": "my-storage", "object_name": "a.txt"}))

    assert created(here, "--data", "data.json", "-o", "b.txt")["object_name"] == "b.txt"


@pytest.mark.usefixtures("made")
def test_interrupted_transfer_hints_at_resume(server, account_id, home):
    (home / "big.bin").write_bytes(os.urandom(40_000_000))
    words = ["storage", "put-object", *ON, "-src", "big.bin"]
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "exasol_ci_setup", *words], env=environment, stderr=subprocess.PIPE, text=True
        )

    first = start()
    for line in first.stderr:
        if "%" in line:
            break
    first.send_signal(signal.SIGINT)
    said = first.stderr.read()
    first.stderr.close()
    second = start()
    _, again = second.communicate()

    if first.wait() == 0:
        pytest.skip("all of it was sent before it could be interrupted")
    assert first.returncode == 130
    assert "hint: run the command again to resume it" in said
    assert second.returncode == 0
    assert "resuming after" in again


@pytest.mark.usefixtures("made")
def test_interrupted_move_keeps_source(here, home, live):
    (home / "a.txt").write_text("content")
    here("storage", "put-object", *ON, "-src", "a.txt")
    here("storage", "create", "-w", ON[1], "-s", "other")

    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    live.client("s3").meta.events.register("before-call.s3.CopyObject", interrupt)
    moved = here("storage", "move-object", *ON, "--source", "a.txt", "--to-storage", "other")

    assert moved.code == 130
    assert "error: interrupted: not all objects were moved" in moved.stderr
    assert "a.txt" in here("storage", "list-object", *ON).stdout


def test_resumed_transfer_prints_line_for_each_quarter(capsys):
    with TransferView(Output(), "uploading a") as view:
        for done in range(100, 1001, 100):
            view.progress(done, 1000)

    assert capsys.readouterr().err.splitlines() == [
        "uploading a: 1.0 kB, resuming after 100 bytes",
        "uploading a: 30 % of 1.0 kB",
        "uploading a: 50 % of 1.0 kB",
        "uploading a: 80 % of 1.0 kB",
        "uploading a: 100 % of 1.0 kB",
    ]


def test_progress_line_at_least_every_30_seconds(capsys):
    now = iter(range(0, 10_000, 20))
    view = TransferView(Output(), "uploading a", clock=lambda: next(now))
    with view:
        for done in range(11):
            view.progress(done, 1000)

    assert len(capsys.readouterr().err.splitlines()) > 3


def test_empty_transfer_is_complete(capsys):
    with TransferView(Output(), "uploading a") as view:
        view.progress(0, 0)
        view.progress(0, 0)

    assert capsys.readouterr().err.splitlines() == ["uploading a: 0 bytes"]


def is_public(live):
    (stack,) = live.client("cloudformation").describe_stacks()["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}["PublicAssets"] == "yes"


@pytest.mark.usefixtures("made")
def test_plans_of_assets_change_nothing(here, live, home):
    (home / "a.txt").write_text("content")
    here("storage", "put-object", *ON, "--source", "a.txt")
    new = ("-s", "my-storage", "-o", "a.txt", "--visibility", "public", "--allow-broadening")
    workspace = ("-w", "123")

    opened = here("asset", "create", *workspace, *new, "--plan")
    assert opened.code == 0
    assert "Access that is broadened:" in opened.stdout
    assert not is_public(live)

    asset = created(here, *new)
    assert is_public(live)
    this = (*workspace, "--asset-id", asset["id"])
    same = here("asset", "update", *this, "--content-disposition", "inline", "--plan")
    assert "plan only: the stack of workspace 123 does not change" in same.stderr
    closing = [
        here("asset", "update", *this, "--visibility", "private", "--plan"),
        here("asset", "delete", *this, "--plan"),
        here("storage", "delete", *ON, "--plan"),
    ]
    for ran in closing:
        assert ran.code == 0
        assert "(update)" in ran.stdout
    assert "storage my-storage holds 1 object" in closing[2].stderr
    assert here("asset", "get", *this).code == 0
    assert is_public(live)


def test_plan_of_registry_deletion_deletes_nothing(here):
    here("registry", "create", "--name", "images")

    ran = here("registry", "delete", "--name", "images", "--plan")

    assert ran.code == 0
    assert "data loss: its images" in ran.stdout
    assert here("registry", "get", "--name", "images").code == 0


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("size", [0, 5, 8 * 1024 * 1024, 20 * 1024 * 1024 + 7])
def test_stream_is_stored_and_written_unchanged(live, server, size):
    content = os.urandom(size)

    put = storage_process(live, server, "put-object", "--source", "-", "--destination", "a/b", stdin=content)
    got = storage_process(live, server, "get-object", "--source", "a/b", "--destination", "-")

    assert (put.returncode, put.stdout) == (0, b"a/b\n")
    assert (got.returncode, got.stdout == content) == (0, True)


@pytest.mark.usefixtures("made")
def test_invalid_use_of_streams_exits_2(here, home):
    unnamed = here("storage", "put-object", *ON, "--source", "-")
    mixed = here("storage", "get-object", *ON, "--source", "a", "--destination", "-", "--output", "json")
    missing = here("storage", "get-object", *ON, "--source", "a", "--destination", "-")

    assert (unnamed.code, mixed.code, missing.code) == (2, 2, 1)
    assert "--destination NAME" in unnamed.stderr
    assert "does not exist" in missing.stderr
    assert not (home / "-").exists()


def storage_process(live, server, *arguments, stdin=b""):
    keys = live.session.get_credentials()
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_REGION": live.region,
        "AWS_ENDPOINT_URL": server.url,
    }
    command = [sys.executable, "-m", "exasol_ci_setup", "storage", arguments[0], *ON, *arguments[1:]]
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, check=False)


@pytest.mark.usefixtures("made")
def test_link_expires_after_chosen_time(here, home):
    (home / "a.txt").write_text("x")
    here("storage", "put-object", *ON, "--source", "a.txt")
    asset = created(here, "--storage", "my-storage", "--object", "a.txt")

    def get(time):
        return here("asset", "get", "-w", "123", "-id", asset["id"], "--expires-in", time, "--output", "json")

    assert "X-Amz-Expires=90&" in get("90s").records[0]["url"]
    assert get("2h").code == 2
    assert "from 1s to 1h" in get("2h").stderr


@pytest.mark.parametrize(
    "command",
    [
        ("get-object", "--source", "none"),
        ("get-object", "--source", "none", "--destination", "-"),
        ("delete-object", "--object", "none"),
        ("copy-object", "--source", "none", "--destination", "b"),
        ("move-object", "--source", "none/", "--destination", "b/"),
    ],
)
def test_missing_object_hints_at_command_that_works(here, command):
    storage = ("--workspace-id", "7", "--storage", "files")
    here("storage", "create", *storage)

    ran = here("storage", command[0], *storage, *command[1:])

    assert ran.code == 1
    assert "object 'none" in ran.stderr
    (hint,) = re.findall(r"list the objects with `exasol-ci-setup (.+)`", ran.stderr)
    assert here(*hint.split()).code == 0


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("site.txt", r"uploading site\.txt  ━+  100 %  7 bytes of 7 bytes  [\d.]+ (bytes|kB)/s"),
        (f"{'long' * 20}.txt", r"uploading (long)+\w*…  100 %  7 bytes of 7 bytes  [\d.]+ (bytes|kB)/s"),
    ],
)
def test_progress_bar_stays_within_terminal(begin, tmp_path, name, shown):
    (tmp_path / name).write_text("content")
    with begin("storage", "put-object", *ON, "--source", name) as terminal:
        terminal.resize(40, 80)

        assert terminal.end() == 0
    assert re.search(rf"[\r\n]{shown} *\r\n", terminal.text)


@pytest.mark.usefixtures("made")
def test_transfer_of_missing_file_shows_no_bar(begin):
    with begin("storage", "put-object", *ON, "--source", "missing.txt") as terminal:
        assert terminal.end() == 2
    assert "missing.txt cannot be read" in terminal.text
    assert "%" not in terminal.text
