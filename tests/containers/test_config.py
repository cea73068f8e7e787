"""The configuration of the container manager: its options and its errors."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers.manager import config, dockerfile
from exasol_ci_setup.containers.manager.arguments import build_arguments, resolve_environment
from exasol_ci_setup.containers.manager.config import Config, Image, ProgramOptions
from exasol_ci_setup.containers.manager.ports import Port, merge
from exasol_ci_setup.containers.manager.run_options import CREATE_OPTIONS, HOST_OPTIONS
from exasol_ci_setup.core.errors import InputError

PATH = Path("/project/harpoon.yml")
MINIMAL = "commands: [FROM x]"


def read(text: str) -> Config:
    return config.read(yaml.safe_load(text), PATH)


def read_problems(text: str) -> list[str]:
    with pytest.raises(InputError) as error:
        read(text)
    return error.value.message.splitlines()


def render(text: str, name: str = "app") -> str:
    images = read(text).images
    return dockerfile.render(images[name].commands, {each: f"{each}:tag" for each in images})


def test_each_form_of_command_renders_line():
    text = """
folders: {lib: /usr/lib}
images:
  base: {commands: [FROM x]}
  app:
    commands:
      - [FROM, "{images.base}"]
      - RUN echo {this is literal}
      - [ENV, ["A {folders.lib}", "B {OTHER:env}", "C {{literal}}"]]
      - [WORKDIR, "{config_root}"]
      - {COPY: {from: "{images.base}", path: /a, to: /b c}}
      - [COPY, {from: 0, path: /a, to: /b}]
      - [COPY, {from: "other:1", path: /a, to: /b}]
      - [ADD, {prefix: /app, get: [lib, spec]}]
      - [ADD, {get: lib}]
"""
    assert render(text) == (
        "FROM base:tag\n"
        "RUN echo {this is literal}\n"
        "ENV A /usr/lib\nENV B ${OTHER}\nENV C {literal}\n"
        "WORKDIR /project\n"
        'COPY --from=base:tag ["/a", "/b c"]\n'
        'COPY --from=0 ["/a", "/b"]\n'
        'COPY --from=other:1 ["/a", "/b"]\n'
        'ADD ["lib", "/app/lib"]\nADD ["spec", "/app/spec"]\nADD ["lib", "lib"]\n'
    )


@given(st.text(), st.text(min_size=1).filter(lambda text: not set(text) & set("{}")))
def test_content_of_add_is_never_part_of_dockerfile(content, dest):
    images = config.read(
        {"images": {"app": {"commands": ["FROM x", ["ADD", {"dest": dest, "content": content}]]}}}, PATH
    ).images

    lines = dockerfile.render(images["app"].commands, {}).splitlines()

    assert len(lines) == 2
    assert lines[1].startswith('ADD [".container-manager/')


def test_content_is_literal_and_formatted_is_expanded():
    images = read("""
word: hello
images:
  app:
    commands:
      - FROM x
      - [ADD, {dest: /a, content: "{word}"}]
      - [ADD, {dest: /b, formatted: "{word}"}]
      - [ADD, {dest: /c, content: ""}]
""").images

    added = [each for each in images["app"].commands if isinstance(each, dockerfile.AddContent)]

    assert [each.content for each in added] == ["{word}", "hello", ""]


def test_parent_and_external_images_are_known_before_build():
    images = read("""
images:
  base: {commands: [FROM x]}
  app:
    commands:
      - FROM --platform=linux/amd64 golang:1 AS build
      - from build as again
      - COPY --from=alpine:3 /a /b
      - COPY --chown=1 --from=build /a /b
      - FROM scratch
      - FROM ${VARIABLE}
      - [FROM, "{images.base} AS last"]
      - COPY --from=last /a /b
      - [COPY, {from: "{images.base}", path: /a, to: /b}]
""").images

    assert dockerfile.external_images(images["app"].commands) == ("golang:1", "alpine:3")
    assert dockerfile.parent_images(images["app"].commands) == ("base",)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("contxt: true", "images.app.contxt: unknown option"),
        ("context: {parent: x}", "images.app.context.parent: unknown option"),
        ("ports: [80, 99999]", "images.app.ports[1]: 99999 has the invalid port '99999': use 1 to 65535"),
        ("links: ['{images.db}']", "images.app.links[0].image: unknown image 'db'; the file has: app"),
        ("dependencies: [db]", "images.app.dependencies[0]: unknown image 'db'; the file has: app"),
        ("env: ['{nope}']", "images.app.env[0]: the file has no value 'nope'"),
        ("env: ['{a']", "images.app.env[0]: '{a' has unmatched braces (expected '}' before end of string); write {{ for a brace"),
        ("volumes: {mount: ['a:b']}", "images.app.volumes.mount[0]: 'a:b' is not a mount: PATH must be absolute, and the mode a word such as ro or rw"),
        ("cpu: {mem_limit: much}", "images.app.cpu: mem_limit must be a number of bytes, or a number with unit b, k, m or g, such as 512m"),
        ("wait_condition: {timeout: 0}", "images.app.wait_condition.timeout: use more than 0"),
        ("wait_condition: {timeout: .inf}", "images.app.wait_condition.timeout: use 604800 or less"),
        ("wait_condition: {port_open: [0]}", "images.app.wait_condition.port_open[0]: use 1 or more"),
        ("links: ['{images.app}'], network: {mode: host}", "images.app: links need a separate network, but network is 'host'"),
    ],
)  # fmt: skip
def test_invalid_option_is_reported_with_file_path_and_reason(written, line):
    assert read_problems(f"images: {{app: {{commands: [FROM x], {written}}}}}") == [f"/project/harpoon.yml: {line}"]


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ("[RUN x]", ": FROM is missing"),
        ("[]", ": FROM is missing"),
        ("FROM x", ": a list of commands is needed"),
        ("[FROM x, '']", "[1]: the command is empty"),
        ("[FROM x, [RUN]]", "[1]: a command must be a string, or a list of an instruction and its value"),
        ("[FROM x, [RUN, {a: b}]]", "[1]: RUN has no options; only ADD and COPY have options"),
        ("[FROM x, [ADD, {dest: a}]]", "[1]: ADD needs exactly one of content, formatted, context and get"),
        ("[FROM x, [ADD, {content: a}]]", "[1]: ADD needs dest, a string"),
        ("[FROM x, [ADD, {content: a, dest: b, mode: c}]]", "[1]: unknown options of ADD: mode; known are content, dest, mtime"),
        ("[FROM x, [COPY, {from: a, path: b}]]", "[1]: COPY needs to, a string"),
        ("[[FROM, '{images.nope}']]", "[0]: unknown image 'nope'; the file has: app"),
        ("[FROM x, [RUN, '{images.app}']]", "[1]: {images.app} is an image, which cannot be used here"),
    ],
)  # fmt: skip
def test_invalid_command_is_reported_with_its_number(commands, why):
    assert read_problems(f"images: {{app: {{commands: {commands}}}}}") == [
        f"/project/harpoon.yml: images.app.commands{why}"
    ]


def test_all_problems_are_reported_together():
    lines = read_problems("images: {a: {commands: [], x: 1}, b: 5, 'c d': {commands: [FROM x]}}")

    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == [
        "images.a.commands",
        "images.a.x",
        "images.b",
        "images.c d",
    ]


def test_cycle_is_reported_with_its_chain():
    around = "images: {a: {commands: [FROM x], links: ['{images.b}']}, b: {commands: [FROM x], dependencies: c}, c: {commands: [FROM x], volumes: {share_with: a}}}"
    built = "images: {a: {commands: [[FROM, '{images.b}']]}, b: {commands: [[FROM, '{images.a}']]}}"

    assert read_problems(around) == ["/project/harpoon.yml: images.a: the image depends on itself: a -> b -> c -> a"]
    assert read_problems(built) == ["/project/harpoon.yml: images.a: the image is built from itself: a -> b -> a"]


def test_cyclic_references_are_reported():
    assert read_problems(f"a: '{{b}}'\nb: '{{a}}'\nimages: {{app: {{{MINIMAL}, user: '{{a}}'}}}}") == [
        "/project/harpoon.yml: images.app.user: {a} refers to itself: a -> b -> a"
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("images: [", "line 1, column 10: expected the node content, but found '<stream end>'"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed here"),
        ("- x", "the file must be a mapping with the key `images`"),
        ("images: 5", "images: a mapping of options is needed"),
        ("since: 2020-13-45", "a value cannot be read: month must be in 1..12"),
        pytest.param("[" * 5_000, "a value cannot be read: it is nested too deeply", id="nested"),
    ],
)
@pytest.mark.usefixtures("_usual_recursion")
def test_invalid_file_is_reported(tmp_path, text, why):
    path = tmp_path / "harpoon.yml"
    path.write_text(text)

    with pytest.raises(InputError) as error:
        config.load(path)

    assert error.value.message == f"{path}: {why}"


def test_missing_file_is_reported_with_variable(tmp_path):
    with pytest.raises(InputError) as error:
        config.load(tmp_path / "none.yml")

    assert error.value.message == f"{tmp_path / 'none.yml'} cannot be read: No such file or directory"
    assert "CONTAINER_MANAGER_CONFIG" in error.value.hint


def test_options_without_effect_are_listed():
    nested = "context: {find_options: x}, dependency_options: {app: {attached: true}}"
    found = read(f"harpoon: {{flat: true}}\nimages: {{app: {{{MINIMAL}, tasks: {{}}, cache_from: true, {nested}}}}}")

    assert sorted(found.unused) == [
        "harpoon.flat",
        "images.app.cache_from",
        "images.app.context.find_options",
        "images.app.dependency_options.app.attached",
        "images.app.tasks",
    ]


def test_option_that_changes_container_is_never_without_effect():
    # The parameters of the original program's calls `create_container` and `create_host_config`.
    passed = {*HOST_OPTIONS.values(), *CREATE_OPTIONS.values(), "shell", "bash", "other_options.create", "assume_role"}

    assert not {str(each).partition(".")[0] for each in passed} & ProgramOptions.model_fields.keys()
    assert {str(each).partition(".")[0] for each in passed if each} <= Image.model_fields.keys()


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("assume_role: x", "assume_role: the manager assumes no role: start it with the credentials, and list their variables in env"),
        ("lxc_conf: x", "lxc_conf: engines have no LXC driver since version 1.10"),
        ("other_options: {start: {a: 1}}", "other_options.start: the engine accepts no options for the start: use host_config"),
        ("other_options: {run: {a: 1}}", "other_options.run: unknown option"),
        ("other_options: {build: {tag: x}}", "other_options.build.tag: unknown option"),
        ("other_options: {create: {name: x}}", "other_options.create: name is not accepted here: the manager sets it"),
        ("other_options: {create: {user: x}}", "other_options.create: user is not accepted here: use the option user"),
        ("other_options: {create: {usr: x}}", "other_options.create: usr is unknown"),
        ("other_options: {host_config: {cap_add: [A]}}", "other_options.host_config: cap_add is not accepted here: use the option cpu.cap_add"),
        ("other_options: {host_config: {pids_limit: many}}", "other_options.host_config: Invalid type for pids_limit param: expected int but found <class 'str'>"),
        ("other_options: {host_config: {tmpfs: {a: 2020-01-01}}}", "other_options.host_config: Object of type date is not JSON serializable"),
        ("ulimits: [{name: nofile}]", "ulimits[0].soft: it is required"),
        ("ulimits: nofile", "ulimits[0]: a mapping of options is needed"),
        ("devices: ['a:b:c:d']", "devices[0]: 'a:b:c:d' is not a device: write HOST:CONTAINER:rwm, or PathOnHost, PathInContainer, CgroupPermissions"),
        ("restart_policy: sometimes", "restart_policy: 'sometimes' is not a restart policy: use no, always, unless-stopped, on-failure or on-failure:COUNT"),
        ("restart_policy: 'always:3'", "restart_policy: 'always:3' is not a restart policy: use no, always, unless-stopped, on-failure or on-failure:COUNT"),
        ("log_config: {config: {a: b}}", "log_config.type: it is required"),
        ("shell: 'sh \"'", "shell: 'sh \"' is not a command: No closing quotation"),
        ("env: ['{SURELY_NOT_SET:from_env}']", "env[0]: the variable SURELY_NOT_SET is not set in the environment of the container manager"),
        ("authentication: {r: {reading: {use: s3_slip}}}", "authentication.r.reading.use: use 'plain'"),
    ],
)  # fmt: skip
def test_option_that_cannot_be_passed_on_is_rejected(written, line):
    assert f"/project/harpoon.yml: images.app.{line}" in read_problems(f"images: {{app: {{{MINIMAL}, {written}}}}}")


def test_addons_are_rejected():
    assert read_problems(f"harpoon: {{addons: {{a: [b]}}}}\nimages: {{app: {{{MINIMAL}}}}}") == [
        "/project/harpoon.yml: harpoon.addons: the manager runs no addons: write their images to the file"
    ]


def test_references_to_environment_and_literal_content(monkeypatch):
    monkeypatch.setenv("GIVEN", "{a}")

    image = read(
        f"content: {{text: '{{b'}}\nimages: {{app: {{{MINIMAL}, user: '{{GIVEN:from_env}}{{content.text}}'}}}}"
    )

    assert image.images["app"].user == "{a}{b"


def test_run_options_of_file_are_defaults_of_images():
    images = read(f"""
shell: /bin/sh
cpu: {{cap_drop: [ALL], mem_limit: 1m}}
images:
  one: {{{MINIMAL}}}
  two: {{{MINIMAL}, shell: /bin/zsh, cpu: {{mem_limit: 2m}}}}
""").images

    assert [(each.shell, each.cpu.cap_drop, each.cpu.mem_limit) for each in images.values()] == [
        ("/bin/sh", ("ALL",), "1m"),
        ("/bin/zsh", ("ALL",), "2m"),
    ]


def test_run_options_become_arguments_of_container():
    image = read("""
images:
  app:
    commands: [FROM x]
    shell: /bin/sh -e
    bash: echo 1
    read_only_rootfs: true
    security_opt: no-new-privileges
    ulimits: [{name: nofile, soft: 64}, {Name: core, Hard: -1}]
    devices: [/dev/a, {PathOnHost: /dev/b, PathInContainer: /dev/c}]
    log_config: [{Type: local, Config: {max-file: 2}}]
    restart_policy: no
    cpu: {cap_add: CHOWN, cap_drop: [ALL], cpuset_cpus: 0, cpuset_mems: "0-1"}
    other_options: {create: {tty: true}, host_config: {oom_kill_disable: false}, build: {buildargs: {A: 1}}}
""").images["app"]

    built = build_arguments(
        image, tag="t:1", published=[], address="127.0.0.1", network=None, dependencies={}, environ={}
    )

    assert built.container == {"image": "t:1", "command": ["/bin/sh", "-e", "-c", "echo 1"], "tty": True}
    assert built.host == {
        "read_only": True,
        "security_opt": ["no-new-privileges"],
        "ulimits": [{"name": "nofile", "soft": 64, "hard": 64}, {"name": "core", "soft": -1, "hard": -1}],
        "devices": [
            {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"},
            {"PathOnHost": "/dev/b", "PathInContainer": "/dev/c", "CgroupPermissions": "rwm"},
        ],
        "log_config": {"type": "local", "config": {"max-file": "2"}},
        "restart_policy": {"Name": "no", "MaximumRetryCount": 0},
        "cap_add": ["CHOWN"],
        "cap_drop": ["ALL"],
        "cpuset_cpus": "0",
        "cpuset_mems": "0-1",
        "oom_kill_disable": False,
    }
    assert image.other_options.build.arguments == {"buildargs": {"A": "1"}}


@pytest.mark.parametrize(
    ("condition", "has_health_check", "is_checked"),
    [("{}", True, True), ("{}", False, False), ("{port_open: 80}", True, False), ("{port_open: 80, healthy: true}", True, True),
     ("{healthy: true}", False, True), ("{healthy: false}", True, False)],
)  # fmt: skip
def test_health_check_counts_without_other_condition(condition, has_health_check, is_checked):
    wait = read(f"images: {{app: {{{MINIMAL}, wait_condition: {condition}}}}}").images["app"].wait_condition

    assert wait.checks_health(has_health_check=has_health_check) is is_checked


def test_context_and_variables_of_file_are_defaults_of_images():
    images = read(f"""
context: {{use_gitignore: true, exclude: [a]}}
env: [A=1]
images:
  one: {{{MINIMAL}}}
  two: {{{MINIMAL}, context: {{exclude: [b]}}, env: [B=2]}}
  three: {{{MINIMAL}, context: false}}
""").images

    assert [(each.context.enabled, each.context.use_gitignore, each.context.exclude) for each in images.values()] == [
        (True, True, ("a",)),
        (True, True, ("b",)),
        (False, False, ()),
    ]
    assert [[each.name for each in image.env] for image in images.values()] == [["A"], ["B"], ["A"]]


def test_password_is_not_in_representation():
    whole = read("authentication: {r.example.com: {reading: {use: plain, username: me, password: sesame}}}")

    assert "sesame" not in repr(whole.authentication)
    assert whole.authentication["r.example.com"].reading.password.get_secret_value() == "sesame"


def test_password_with_invalid_braces_is_not_in_message():
    (line,) = read_problems("authentication: {r: {reading: {use: plain, username: me, password: 'ses{ame'}}}")

    assert line.endswith("authentication.r.reading: the password has invalid braces; write {{ for a brace")


def test_unknown_authentication_is_rejected():
    (line,) = read_problems("authentication: {r: {reading: {use: kms, username: me, password: sesame}}}")

    assert line == "/project/harpoon.yml: authentication.r.reading.use: use 'plain'"


def test_options_become_arguments_of_container():
    image = read("""
images:
  db: {commands: [FROM x]}
  app:
    commands: [FROM x]
    ports: ["80", "90"]
    env: ["A:1", B=2]
    links: ["{images.db}"]
    volumes: {mount: ["./data:/data:ro", "named:/named"], share_with: ["{images.db}"]}
    network: {hostname: h, dns: 10.0.0.1, extra_hosts: ["a:10.0.0.2"]}
    cpu: {mem_limit: 1048576}
    bash: echo $A
    user: nobody
""").images["app"]

    built = build_arguments(
        image,
        tag="t:1",
        published=merge(image.ports, [Port(80, host=8080)]),
        address="127.0.0.1",
        network="n",
        dependencies={"db": "id"},
        environ={"A": "3"},
    )

    assert built.container == {
        "image": "t:1",
        "command": ["/bin/bash", "-c", "echo $A"],
        "environment": {"A": "3", "B": "2"},
        "ports": [("80", "tcp"), ("90", "tcp")],
        "hostname": "h",
        "user": "nobody",
    }
    assert built.host == {
        "port_bindings": {"80/tcp": [("127.0.0.1", 8080)], "90/tcp": [("127.0.0.1", None)]},
        "binds": ["/project/data:/data:ro", "named:/named:rw"],
        "volumes_from": ["id"],
        "network_mode": "n",
        "dns": ["10.0.0.1"],
        "extra_hosts": {"a": "10.0.0.2"},
        "mem_limit": 1048576,
    }


def test_all_missing_variables_are_named():
    image = read(f"images: {{app: {{{MINIMAL}, env: [A, B, 'C:', D=]}}}}").images["app"]

    assert resolve_environment(image, {"A": "", "B": "1"}) == {"A": "", "B": "1", "C": "", "D": ""}
    with pytest.raises(InputError, match="A, B"):
        resolve_environment(image, {})


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["{images.app}", "{a}", "80", "FROM x"])  # fmt: skip
ANYOTHER = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner), max_leaves=8)


@given(
    st.dictionaries(st.sampled_from([*Image.model_fields, "link", "tasks"]), ANYOTHER, max_size=4),
    st.dictionaries(st.sampled_from(["context", "env", "authentication", "a"]), ANYOTHER),
    st.booleans(),
)
def test_any_option_is_read_or_rejected(options, whole, has_commands):
    image = {**options, "commands": ["FROM x"]} if has_commands else options
    with contextlib.suppress(InputError):
        found = config.read({"images": {"app": image}, **whole}, PATH)
        dockerfile.render(found.images["app"].commands, {"app": "tag"})


@given(st.dictionaries(SCALARS, ANYOTHER, max_size=3) | ANYOTHER)
def test_any_value_of_images_is_read_or_rejected(images):
    with contextlib.suppress(InputError):
        config.read({"images": images}, PATH)


def test_each_problem_is_one_line():
    assert read_problems('images: {app: {commands: [FROM x], "a\\nb": 1, user: "{x\\ny}"}}') == [
        "/project/harpoon.yml: images.app.user: the file has no value 'x\\ny'",
        "/project/harpoon.yml: images.app.'a\\nb': unknown option",
    ]
