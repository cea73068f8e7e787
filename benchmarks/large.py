"""Measure the own time of this program for a template of 500 resources and almost 1 MB; cfn-lint decodes the same file."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

from benchmarks.page import table
from exasol_ci_setup.stacks.preview import between_templates
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.template.render import parse
from exasol_ci_setup.template.source import load_template, open_source

if TYPE_CHECKING:
    from collections.abc import Callable

_RESOURCES = 500
# The template has almost 1 MB. A parameter of SSM has at most 50 tags.
_TAGS = ", ".join(f"tag-{number:02}: the value of the tag number {number:02}" for number in range(44))


def _template(value: str, *, jinja: bool) -> str:
    """Return a template with one changed resource, with a loop of Jinja or written out."""
    resource = (
        "  Parameter{0}:\n    Type: AWS::SSM::Parameter\n    Properties: {{Type: String, Value: {1}, Tags: {{{2}}}}}\n"
    )
    if jinja:
        head = f"Resources:\n{{% for number in range({_RESOURCES}) %}}\n"
        return (
            head
            + resource.format("{{ number }}", f'{{{{ "{value}" if number == 0 else "same" }}}}', _TAGS)
            + "{% endfor %}\n"
        )
    return "Resources:\n" + "".join(
        resource.format(number, value if number == 0 else "same", _TAGS) for number in range(_RESOURCES)
    )


def resources(rounds: int) -> str:
    """Measure reading, rendering and comparing in this process, after a first run that loads the modules."""
    from cfnlint.decode.decode import decode_str

    with tempfile.TemporaryDirectory() as folder:
        plain, rendered = Path(folder, "plain.yaml"), Path(folder, "loop.yaml.j2")
        plain.write_text(_template("new", jinja=False), encoding="utf-8")
        rendered.write_text(_template("new", jinja=True), encoding="utf-8")
        text = plain.read_text(encoding="utf-8")
        before = parse(_template("old", jinja=False))
        loaded = load_template(open_source(plain))
        cases: dict[str, Callable[[], object]] = {
            "cfn-lint: decode": lambda: decode_str(text),
            "read the template": lambda: load_template(open_source(plain)),
            "render it from Jinja, and read it": lambda: load_template(open_source(rendered)),
            "compare it with the deployed template": lambda: between_templates(
                Request("Large", loaded.template), before, {}, stack_id=""
            ),
        }
        times: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(rounds + 1):
            for name, call in cases.items():
                start = process_time()
                call()
                if number:
                    times[name].append(process_time() - start)
    first = statistics.median(times["cfn-lint: decode"])
    rows = [
        (name, f"{statistics.median(each):.2f} s", f"{statistics.median(each) / first:.2f}")
        for name, each in times.items()
    ]
    return f"{_RESOURCES} resources, {len(text):,} bytes; processor time in one process.\n\n" + table(
        ("", "time", "ratio to the first"), rows
    )
