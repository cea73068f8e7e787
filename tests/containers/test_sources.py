"""The files of a configuration of the container manager: which ones are read, and which values win."""

from __future__ import annotations

from pathlib import Path

import pytest

from exasol_ci_setup.containers.manager import config, sources
from exasol_ci_setup.core.errors import InputError

IMAGE = "commands: [FROM x]"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def write(path: str, text: str) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_extra_files_override_values_of_listing_file():
    write("more/extra.yml", f"user: extra\nharpoon: {{extra_files: ../last.yml}}\nimages: {{b: {{{IMAGE}}}}}")
    write("last.yml", f"harpoon: {{extra_files: [harpoon.yml]}}\nimages: {{c: {{{IMAGE}, user: last}}}}")
    listed = '["{folder}/extra.yml"]'
    main = write(
        "harpoon.yml", f"folder: more\nuser: main\nharpoon: {{extra_files: {listed}}}\nimages: {{a: {{{IMAGE}}}}}"
    )

    found = config.load(main)

    assert {name: image.user for name, image in found.images.items()} == {"a": "extra", "b": "extra", "c": "last"}
    assert found.unused == ()


def test_images_of_folder_have_names_of_files():
    write("parts/one.yml", IMAGE)
    write("parts/deep/two.yaml", f"{IMAGE}\nuser: file")
    write("parts/ignored.txt", "")
    main = write("harpoon.yml", "images: {__images_from__: parts, two: {user: main}}")

    found = config.load(main).images

    assert {name: image.user for name, image in found.items()} == {"one": None, "two": "main"}


def test_file_of_user_has_defaults(folder):
    write(f"{folder}/home/.harpoon.yml", f"word: home\nuser: me\nimages: {{a: {{{IMAGE}, command: '{{word}}'}}}}")
    main = write("harpoon.yml", f"word: work\nimages: {{b: {{{IMAGE}}}}}")

    found = config.load(main).images

    assert {name: (image.user, image.command) for name, image in found.items()} == {
        "a": ("me", "work"),
        "b": ("me", None),
    }


def test_newer_name_of_user_file_takes_precedence(folder):
    write(f"{folder}/home/.harpoon.yml", "")

    assert sources.find_user_file() == folder / "home/.harpoon.yml"
    write(f"{folder}/home/.harpoonrc.yml", "")
    assert sources.find_user_file() == folder / "home/.harpoonrc.yml"


def test_file_is_selected_by_option_then_directory_then_home(folder):
    assert sources.select_file(None) == Path("harpoon.yml")
    mine = write(f"{folder}/home/.harpoon.yml", f"images: {{a: {{{IMAGE}}}}}")
    assert sources.select_file(None) == mine
    assert list(config.load(mine).images) == ["a"]
    write("harpoon.yml", "")
    assert sources.select_file(None) == Path("harpoon.yml")
    assert sources.select_file(Path("other.yml")) == Path("other.yml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "harpoon: {extra_files: [none.yml]}",
            "harpoon.yml: harpoon.extra_files: {folder}/none.yml cannot be read: No such file or directory",
        ),
        ("harpoon: {extra_files: [5]}", "harpoon.yml: harpoon.extra_files: a path or a list of paths is needed"),
        ("harpoon: {extra_files: ['{a}']}", "harpoon.yml: harpoon.extra_files: the file has no value 'a'"),
        ("images: {__images_from__: none}", "harpoon.yml: images.__images_from__: {folder}/none is not a directory"),
        ("images: {__images_from__: parts}", "{folder}/parts/bad.yml: images.bad.commands: it is required"),
        ("harpoon: {extra_files: parts/bad.yml}\nimages: {a: {}}", "harpoon.yml: images.a.commands: it is required"),
    ],
)
def test_problem_is_reported_with_its_file(text, problem, folder):
    write("parts/bad.yml", "user: me")
    main = write("harpoon.yml", text)

    with pytest.raises(InputError) as error:
        config.load(main)

    # Another value of --config does not help.
    assert not error.value.hint
    assert error.value.message == problem.replace("{folder}", f"{folder}/work")
