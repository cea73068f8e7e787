"""Options of images on a real Docker engine: how containers run, their health checks, and the addresses of their ports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from tests.engine.manager import NOTHING, Manager, docker, on_engine

pytestmark = pytest.mark.engine


def sleeper(image: str, *more: str, **options: Any) -> dict[str, Any]:
    # The shell handles the signal: the first process of a container ignores signals without a handler.
    command = "trap 'exit 0' TERM; sleep 1000 & wait"
    return {
        "context": False,
        "commands": [f"FROM {image}", *more, f"CMD {json.dumps(['sh', '-c', command])}"],
        **options,
    }


def images_of(image: str) -> dict[str, Any]:
    failing = "HEALTHCHECK --interval=100ms --retries=2 CMD echo the disk is full; exit 7"
    passing = "HEALTHCHECK --interval=100ms --retries=100 CMD test -e /up"
    starting = "trap 'exit 0' TERM; sleep 1; touch /up; sleep 1000 & wait"
    return {
        "strict": sleeper(  # noqa: S604 - an option of the image
            image,
            "ARG WORD",
            "ENV WORD=$WORD",
            "RUN rm /bin/bash",
            tag="latest",
            tasks={"run": {"description": "unused"}},
            shell="/bin/sh",
            bash="trap 'exit 0' TERM; echo {content.greeting} {GIVEN:from_env} >/tmp/out; sleep 1000 & wait",
            read_only_rootfs=True,
            security_opt=["no-new-privileges"],
            ulimits=[{"name": "nofile", "soft": 64, "hard": 64}],
            devices=["/dev/null:/dev/other:r"],
            log_config={"type": "json-file", "config": {"max-size": "1m"}},
            restart_policy="on-failure:2",
            cpu={"cap_drop": ["ALL"], "cap_add": ["CHOWN"], "cpuset_cpus": "0", "cpuset_mems": "0"},
            other_options={
                "build": {"buildargs": {"WORD": "hello"}},
                "create": {"working_dir": "/tmp"},  # noqa: S108 - in the container
                "host_config": {"tmpfs": {"/tmp": ""}, "pids_limit": 50},  # noqa: S108 - in the container
            },
        ),
        "ill": sleeper(image, failing),
        "skipped": sleeper(image, failing, wait_condition={"healthy": False}),
        "other": sleeper(image, failing, wait_condition={"file_exists": ["/bin/sh"]}),
        "well": {"context": False, "commands": [f"FROM {image}", passing, f"CMD {json.dumps(['sh', '-c', starting])}"]},
        "both": sleeper(image, passing, wait_condition={"healthy": True, "command": ["touch /up"]}),
        "unchecked": sleeper(image, wait_condition={"healthy": True}),
        "user": sleeper(image, dependencies=["ill"]),
        "ports": sleeper(
            image, "EXPOSE 80", "EXPOSE 53/udp", ports=["0.0.0.0::90"], network={"publish_all_ports": True}
        ),
        "__images_from__": "parts",
    }


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Manager]:
    folder = tmp_path_factory.mktemp("options")
    (folder / "parts" / "deep").mkdir(parents=True)
    (folder / "parts" / "deep" / "part.yml").write_text(yaml.safe_dump(sleeper(image)))
    (folder / "more.yml").write_text(yaml.safe_dump({"images": {"more": sleeper(image)}}))
    (folder / ".harpoon.yml").write_text(yaml.safe_dump({"content": {"greeting": "{hello}"}, "user": "root"}))
    running = Manager(
        folder,
        images_of(image),
        {"HOME": str(folder), "DOCKER_CONFIG": "", "GIVEN": "given"},
        ["--publish-address", "127.0.0.3"],
        harpoon={"extra_files": ["more.yml"]},
    )
    yield running
    running.end()
    assert on_engine() == NOTHING


def inspect(container: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("inspect", container))[0]
    return found


def test_run_options_apply_to_container(manager):
    container = manager.start("strict")["container_id"]

    found = inspect(container)
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert [(each["Name"], each["Soft"], each["Hard"]) for each in host["Ulimits"]] == [("nofile", 64, 64)]
    assert host["Devices"] == [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/other", "CgroupPermissions": "r"}]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m"}}
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert (host["CapDrop"], host["CapAdd"], host["CpusetCpus"], host["CpusetMems"]) == (["ALL"], ["CHOWN"], "0", "0")
    assert (host["PidsLimit"], host["Tmpfs"]) == (50, {"/tmp": ""})  # noqa: S108 - in the container
    assert found["Config"]["WorkingDir"] == "/tmp"  # noqa: S108 - in the container
    assert found["Config"]["User"] == "root"
    assert "WORD=hello" in found["Config"]["Env"]
    assert found["Config"]["Cmd"][:2] == ["/bin/sh", "-c"]
    assert docker("exec", container, "cat", "out") == "{hello} given"
    assert docker("exec", container, "sh", "-c", "ulimit -n; touch /new 2>&1 || true").splitlines() == [
        "64",
        "touch: /new: Read-only file system",
    ]


def test_options_without_effect_are_warnings(manager):
    assert manager.stderr.splitlines()[:2] == [
        "warning: harpoon.yml: images.strict.tag has no effect",
        "warning: harpoon.yml: images.strict.tasks has no effect",
    ]
    assert manager.stderr.count("warning") == 2


def test_images_of_listed_files_start(manager):
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(manager.start, ["more", "part"]))

    assert [each["just_created"] for each in answers] == [True, True]


def test_unhealthy_container_is_reported_with_output_and_removed(manager):
    with ThreadPoolExecutor() as threads:
        answers = list(
            threads.map(lambda name: manager.post("/start_container", image=name, ports=[]), ["ill", "user"])
        )

    for answer in answers:
        assert (answer.status_code, answer.json()["error_code"]) == (502, "ContainerNotReady")
        assert answer.json()["error"]["output"] == ["the disk is full"]
        assert answer.json()["error"]["message"] == (
            "the container of ill is unhealthy: its health check ended with exit status 7"
        )
    assert on_engine("exasol-ci-setup.container-manager.image=ill") == NOTHING
    assert on_engine("exasol-ci-setup.container-manager.image=user") == NOTHING


def test_container_with_health_check_is_ready_when_healthy(manager):
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(manager.start, ["well", "both"]))

    for answer in answers:
        assert inspect(answer["container_id"])["State"]["Health"]["Status"] == "healthy"


def test_health_check_is_skipped_on_request_or_with_other_condition(manager):
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(manager.start, ["skipped", "other"]))

    assert [each["just_created"] for each in answers] == [True, True]


def test_missing_health_check_is_conflict(manager):
    answer = manager.post("/start_container", image="unchecked", ports=[])

    assert (answer.status_code, answer.json()["error_code"]) == (409, "InputError")
    assert answer.json()["error"]["message"] == (
        "images.unchecked.wait_condition.healthy: the image has no health check"
    )
    assert on_engine("exasol-ci-setup.container-manager.image=unchecked") == NOTHING


def test_publish_address_is_for_ports_without_address(manager):
    container = manager.start("ports", [0, 4545], ["127.0.0.2", 0, 81])["container_id"]

    bound = {
        port: {each["HostIp"] for each in places}
        for port, places in inspect(container)["NetworkSettings"]["Ports"].items()
    }
    assert bound == {
        "80/tcp": {"127.0.0.3"},
        "53/udp": {"127.0.0.3"},
        "90/tcp": {"0.0.0.0"},  # noqa: S104 - what the file requests
        "4545/tcp": {"127.0.0.3"},
        "81/tcp": {"127.0.0.2"},
    }
