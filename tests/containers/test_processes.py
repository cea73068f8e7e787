"""Labels of the process of a container manager."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from exasol_ci_setup.containers.manager import processes
from exasol_ci_setup.containers.manager.processes import PROCESS_LABEL, START_LABEL, has_ended, own_labels

PRINT = "import json; from exasol_ci_setup.containers.manager.processes import own_labels; print(json.dumps(own_labels()), flush=True); input()"


@pytest.fixture(scope="module")
def ended() -> dict[str, str]:
    """Labels of a process that has ended."""
    with subprocess.Popen(
        [sys.executable, "-c", PRINT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        labels: dict[str, str] = json.loads(process.stdout.readline())
        assert not has_ended(labels, is_running=True)
        process.kill()
        process.stdout.read()
    return labels


def test_process_exists_until_it_ends(ended):
    assert not has_ended(own_labels(), is_running=True)
    assert has_ended(ended, is_running=True)


def test_used_again_process_id_is_another_process():
    labels = own_labels()

    assert has_ended({**labels, START_LABEL: labels[START_LABEL] + "1"}, is_running=True)


@pytest.mark.parametrize("part", ["host", "machine", "namespace", "start", "process", "number"])
def test_foreign_or_unknown_process_has_not_ended(ended, part):
    host, _, pid = ended[PROCESS_LABEL].rpartition(":")
    machine, boot, namespace, start = ended[START_LABEL].split()
    changed = {
        "host": {PROCESS_LABEL: f"other:{pid}"},
        "machine": {START_LABEL: f"other other {namespace} {start}"},
        "namespace": {START_LABEL: f"{machine} {boot} pid:[1] {start}"},
        "start": {START_LABEL: ""},
        "process": {PROCESS_LABEL: ""},
        "number": {PROCESS_LABEL: f"{host}:-1"},
    }[part]

    assert not has_ended({**ended, **changed}, is_running=False)


@pytest.mark.parametrize("machine", ["0123456789abcdef", "-"])
def test_process_of_earlier_boot_has_ended_if_its_container_has(ended, machine, tmp_path, monkeypatch):
    (tmp_path / "machine-id").write_text("0123456789abcdef\n" if machine != "-" else "")
    monkeypatch.setattr(processes, "_MACHINE_ID", tmp_path / "machine-id")
    _, _, namespace, start = ended[START_LABEL].split()
    labels = {**ended, START_LABEL: f"{machine} earlier {namespace} {start}"}

    # An unknown machine may be any other.
    assert has_ended(labels, is_running=False) is (machine != "-")
    assert not has_ended(labels, is_running=True)
