"""Valid and invalid program files of users."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from exasol_ci_setup.core.errors import InputError, SetupError
from exasol_ci_setup.programs.load import load


@pytest.fixture
def write(tmp_path):
    def to(text: str, name: str = "program.py") -> Path:
        path: Path = tmp_path / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return to


def test_plain_function_is_called(write, capsys):
    load(write("def hangar_run():\n    print('ran')\n")).run()

    assert capsys.readouterr().out == "ran\n"


def test_async_function_runs_in_event_loop(write, capsys):
    program = write("""
        import asyncio

        async def hangar_run():
            await asyncio.sleep(0)
            print("ran")
    """)

    load(program).run()

    assert capsys.readouterr().out == "ran\n"


def test_modules_next_to_program_can_be_imported(write, tmp_path, capsys):
    write("WORD = 'beside'\n", "beside_the_program.py")
    before = list(sys.path)

    load(write("from beside_the_program import WORD\n\ndef hangar_run():\n    print(WORD)\n")).run()

    assert capsys.readouterr().out == "beside\n"
    assert sys.path == before
    assert not list(tmp_path.glob("__pycache__/program*"))


def test_program_can_define_dataclasses(write):
    load(
        write("""
            from __future__ import annotations
            from dataclasses import dataclass, KW_ONLY

            @dataclass
            class Thing:
                name: str

            def hangar_run():
                Thing("a")
        """)
    ).run()


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.py does not exist"):
        load(tmp_path / "nothing.py")


def test_directory_is_rejected(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path)


def test_syntax_error_has_line(write):
    with pytest.raises(InputError, match=r"program\.py:2 is not valid Python: "):
        load(write("x = 1\ndef hangar_run(:\n"))


def test_null_byte_is_rejected(tmp_path):
    path = tmp_path / "program.py"
    path.write_bytes(b"x = 1\0")

    with pytest.raises(InputError, match="is not valid Python"):
        load(path)


def test_failed_import_has_line(write):
    with pytest.raises(
        InputError, match=r"cannot be imported: .*program\.py:2: ModuleNotFoundError: No module named 'nosuch'"
    ):
        load(write("import sys\nimport nosuch\n"))


def test_file_that_exits_is_rejected(write):
    with pytest.raises(InputError, match="exits when it is imported"):
        load(write("raise SystemExit(3)\n"))


@pytest.mark.parametrize("text", ["x = 1\n", "hangar_run = 3\n"])
def test_missing_function_is_rejected(write, text):
    with pytest.raises(InputError, match=r"program\.py has no function hangar_run"):
        load(write(text))


def test_function_with_parameters_is_rejected(write):
    with pytest.raises(InputError, match="requires arguments"):
        load(write("def hangar_run(scope):\n    pass\n"))


def test_arguments_with_defaults_are_none_of_our_business(write):
    load(write("def hangar_run(*args, name='x', **more):\n    assert (args, name, more) == ((), 'x', {})\n")).run()


@pytest.mark.parametrize("word", ["def", "async def"])
def test_exception_is_one_line_with_line_of_program(write, word):
    program = load(write(f"import json\n\n{word} hangar_run():\n    json.loads('{{')\n"))

    with pytest.raises(SetupError) as raised:
        program.run()

    assert raised.value.exit_code == 1
    assert str(raised.value).startswith(f"{program.path}:4: JSONDecodeError: ")
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_invalid_argument_of_construct_is_bad_input(write):
    program = load(
        write("""
            from exasol_ci_setup import CiBuild

            def hangar_run():
                CiBuild(project="P", project_url="https://github.com/a/b", tint="red")
        """)
    )

    with pytest.raises(InputError, match=r"program\.py:5: CiBuild is invalid: tint: there is no such argument"):
        program.run()


def test_invalid_combination_of_arguments_names_none(write):
    program = load(
        write("""
            from exasol_ci_setup import CiBuild

            def hangar_run():
                CiBuild(project="P", project_url="https://github.com/a/b", cache="docker", privileged=False)
        """)
    )

    with pytest.raises(InputError, match="CiBuild is invalid: the cache docker needs privileged mode"):
        program.run()


def test_construct_in_place_of_its_output_is_named(write):
    program = load(
        write("""
            from exasol_ci_setup import Asset, Container, Service

            def hangar_run():
                Service(name="w", container=Container(source="nginx", tag="1"), env_vars={"A": Asset(name="data")})
        """)
    )

    with pytest.raises(InputError, match=r"env_vars\.A: use text, such as an output of the Asset$"):
        program.run()


def test_error_of_library_has_line(write):
    program = load(
        write("from exasol_ci_setup.core.errors import InputError\n\ndef hangar_run():\n    raise InputError('no')\n")
    )

    with pytest.raises(InputError, match=r"program\.py:4: no"):
        program.run()


def test_program_that_exits_with_0_succeeds(write):
    load(write("import sys\n\ndef hangar_run():\n    sys.exit()\n")).run()

    with pytest.raises(SetupError, match=r"sys\.exit\(4\)"):
        load(write("import sys\n\ndef hangar_run():\n    sys.exit(4)\n")).run()
