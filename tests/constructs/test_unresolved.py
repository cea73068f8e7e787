"""Texts with unknown outputs: what keeps them, and what is refused."""

from __future__ import annotations

import copy
import html
import json
import pickle
import pprint
import shlex
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import yaml

from exasol_ci_setup.constructs import Registry, Scope
from exasol_ci_setup.constructs.placeholders import in_run, placeholder, readable
from exasol_ci_setup.constructs.unresolved import UnresolvedText, guarded, plain
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.programs.source import compile_source, run_code

LABEL = "<output RepositoryUri: known after deployment of s-reg>"


@pytest.fixture
def uri():
    return guarded(placeholder(Registry(scope=Scope(name="s", region="eu-central-1"), name="reg"), "RepositoryUri"))


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda uri: f"run {uri}", f"run {LABEL}"),
        (lambda uri: "s3://" + uri + "/in", f"s3://{LABEL}/in"),
        (lambda uri: "%s, %s" % (uri, 1), f"{LABEL}, 1"),  # noqa: UP031 - that this works is tested
        (lambda uri: "{0} {a!s}".format(uri, a=uri), f"{LABEL} {LABEL}"),  # noqa: UP032 - as above
        (lambda uri: ",".join([uri, *"b"]), f"{LABEL},b"),
        (lambda uri: json.dumps({"a": [uri]}), f'{{"a": ["{LABEL}"]}}'),
        (lambda uri: json.dumps([uri], indent=1), f'[\n "{LABEL}"\n]'),
        (lambda uri: yaml.safe_dump({"a": uri}), f"a: {LABEL}\n"),
        (lambda uri: yaml.dump({"a": uri}), f"a: {LABEL}\n"),
        (lambda uri: shlex.join(["run", uri]), f"run {LABEL}"),
        (lambda uri: shlex.quote(f"a {uri}"), f"'a {LABEL}'"),
        (quote, LABEL),
        (lambda uri: urlencode({"a": uri}), f"a={LABEL}"),
        (lambda uri: html.escape(f"<{uri}>"), f"&lt;{LABEL}&gt;"),
        (lambda uri: textwrap.dedent(f"  run {uri}\n  b\n"), f"run {LABEL}\nb\n"),
        (lambda uri: (uri + " x ").strip().replace("x", "y"), f"{LABEL} y"),
        (lambda uri: str(copy.deepcopy([uri])[0]), LABEL),
        (lambda uri: pickle.loads(pickle.dumps(uri)), LABEL),  # noqa: S301 - the data is that of this test
        (lambda uri: pprint.pformat({"a": uri}), f"{{'a': '{LABEL}'}}"),
        (repr, f"'{LABEL}'"),
        (lambda uri: f"{uri:>80}".strip(), LABEL),
    ],
)
def test_output_is_kept_in_other_text(uri, use, expected):
    assert readable(plain(use(uri))) == expected


@pytest.mark.parametrize("use", [lambda uri: uri is None, lambda uri: uri == None, lambda uri: uri == 5])  # noqa: E711 - as above
def test_output_is_no_other_object(uri, use):
    assert not use(uri)


@pytest.mark.parametrize(
    "use",
    [
        lambda uri: uri == "x",
        lambda uri: uri != uri,  # noqa: PLR0124 - two equal outputs are compared
        lambda uri: uri < "x",
        lambda uri: uri <= "x",
        lambda uri: max(uri, "x"),
        lambda uri: uri in ["a", "b"],
        lambda uri: uri in {"a": 1},
        ["a"].count,
        lambda uri: not uri,
        float,
        lambda uri: uri[0],
        lambda uri: [*uri],
        lambda uri: uri.upper(),
        lambda uri: uri.strip(),
        lambda uri: uri.isdigit(),
        lambda uri: uri.encode(),
        lambda uri: f"{uri:.3}",
        lambda uri: len(uri + "/x"),
        lambda uri: (uri + "/x").endswith("y"),
        lambda uri: {"s3://" + uri: 1},
        json.loads,
        yaml.safe_load,
        Path,
    ],
)
def test_use_that_needs_value_names_output(uri, use):
    with pytest.raises(InputError) as caught:
        use(uri)

    assert (
        "the output RepositoryUri of Registry 'reg', which is not known before the deployment" in caught.value.message
    )


def test_first_refusal_of_run_is_stored(uri):
    with in_run(refused=True) as run:
        for use in (len, int):
            with pytest.raises(InputError):
                use(uri)

    assert "the length of a text" in run.refusal.message


def test_guard_and_plain_reach_into_collections(uri):
    value = {"a": [plain(uri), ("x", plain(uri))], "b": 1}

    found = guarded(value)

    assert type(found["a"][0]) is UnresolvedText
    assert type(found["a"][1][1]) is UnresolvedText
    assert type(found["a"][1][0]) is str
    assert type(plain(found)["a"][1][1]) is str
    assert guarded({"b": [1]}) == {"b": [1]}


SOURCE = '''
"""Document."""
import asyncio
from dataclasses import dataclass

@dataclass(frozen=True)
class A:
    x: int = len("abc")
    def width(self) -> int:
        return self.x

class B(A):
    def width(self) -> int:
        return super().width() + 1

async def later(n):
    return f"{n:>{B().width()}}|{n!r:}|{n=}"

def many():
    yield from (f"{n}" for n in range(2))

def kind(value):
    match value:
        case "a" | "b":
            return "letter"
        case {"k": A(x=3) as found}:
            return found
    return 1 < 2 in (True,) and "a" not in "bc"

result = [asyncio.run(later(7)), *many(), kind("a"), kind({"k": A()}), kind(0), "%d%%" % 5, "%s" % (1,), locals() is globals()]
'''


def test_guarded_code_gives_same_results():
    expected: dict[str, Any] = {"__name__": "m"}
    exec(compile(SOURCE, "a.py", "exec", dont_inherit=True), expected)  # noqa: S102 - the code of this test
    module = ModuleType("m")
    run_code(compile_source(SOURCE.encode(), "a.py"), module)

    assert [str(each) for each in module.result] == [str(each) for each in expected["result"]]


def test_deeply_nested_code_is_compiled():
    nested = "x = " + "[" * 80 + "]" * 80

    assert compile_source(nested.encode(), "a.py").co_filename == "a.py"
