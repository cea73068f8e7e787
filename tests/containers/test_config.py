"""What the container manager's configuration may hold, and how it is told what is wrong in it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers.manager import config, dockerfile
from exasol_ci_setup.containers.manager.arguments import arguments, environment
from exasol_ci_setup.containers.manager.config import Config, Image
from exasol_ci_setup.containers.manager.ports import Port
from exasol_ci_setup.errors import InputError

PATH = Path("/project/harpoon.yml")
MINIMAL = "commands: [FROM x]"


def read(text: str) -> Config:
    return config.read(yaml.safe_load(text), PATH)


def refused(text: str) -> list[str]:
    with pytest.raises(InputError) as error:
        read(text)
    return error.value.message.splitlines()


def rendered(text: str, name: str = "app") -> str:
    images = read(text).images
    return dockerfile.render(images[name].commands, {each: f"{each}:tag" for each in images})


def test_each_form_of_a_command_becomes_a_line():
    text = """
folders: {lib: /usr/lib}
images:
  base: {commands: [FROM x]}
  app:
    commands:
      - [FROM, "{images.base}"]
      - RUN echo {this is left alone}
      - [ENV, ["A {folders.lib}", "B {THING:env}", "C {{literal}}"]]
      - [WORKDIR, "{config_root}"]
      - {COPY: {from: "{images.base}", path: /a, to: /b c}}
      - [COPY, {from: 0, path: /a, to: /b}]
      - [COPY, {from: "other:1", path: /a, to: /b}]
      - [ADD, {prefix: /app, get: [lib, spec]}]
      - [ADD, {get: lib}]
"""
    assert rendered(text) == (
        "FROM base:tag\n"
        "RUN echo {this is left alone}\n"
        "ENV A /usr/lib\nENV B ${THING}\nENV C {literal}\n"
        "WORKDIR /project\n"
        'COPY --from=base:tag ["/a", "/b c"]\n'
        'COPY --from=0 ["/a", "/b"]\n'
        'COPY --from=other:1 ["/a", "/b"]\n'
        'ADD ["lib", "/app/lib"]\nADD ["spec", "/app/spec"]\nADD ["lib", "lib"]\n'
    )


@given(st.text(), st.text(min_size=1).filter(lambda text: not set(text) & set("{}")))
def test_added_content_is_named_for_what_it_is_and_never_part_of_a_command(content, dest):
    images = config.read(
        {"images": {"app": {"commands": ["FROM x", ["ADD", {"dest": dest, "content": content}]]}}}, PATH
    ).images

    lines = dockerfile.render(images["app"].commands, {}).splitlines()

    assert len(lines) == 2
    assert lines[1].startswith('ADD [".container-manager/')


def test_content_is_taken_as_it_is_and_formatted_content_is_not():
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


def test_the_images_that_it_is_made_of_are_known_before_the_build():
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

    assert dockerfile.externals(images["app"].commands) == ("golang:1", "alpine:3")
    assert dockerfile.parents(images["app"].commands) == ("base",)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("contxt: true", "images.app.contxt: there is no such option"),
        ("context: {parent: x}", "images.app.context.parent: there is no such option"),
        ("ports: [80, 99999]", "images.app.ports[1]: 99999 has '99999' where a port from 1 to 65535 should be"),
        ("links: ['{images.db}']", "images.app.links[0].image: there is no image 'db'; the file has: app"),
        ("dependencies: [db]", "images.app.dependencies[0]: there is no image 'db'; the file has: app"),
        ("env: ['{nope}']", "images.app.env[0]: there is no 'nope' in the file"),
        ("env: ['{a']", "images.app.env[0]: '{a' has braces that do not match (expected '}' before end of string); write {{ for a brace"),
        ("volumes: {mount: ['a:b']}", "images.app.volumes.mount[0]: 'a:b' is not a mount: PATH must be absolute, and the mode such as ro or rw"),
        ("cpu: {mem_limit: much}", "images.app.cpu: mem_limit is bytes, or a number with one of b, k, m and g, such as 512m"),
        ("wait_condition: {timeout: 0}", "images.app.wait_condition.timeout: input should be greater than 0"),
        ("wait_condition: {timeout: .inf}", "images.app.wait_condition.timeout: input should be less than or equal to 604800"),
        ("wait_condition: {port_open: [0]}", "images.app.wait_condition.port_open[0]: input should be greater than or equal to 1"),
        ("links: ['{images.app}'], network: {mode: host}", "images.app: links need a network of their own, but network says 'host'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_path_and_reason(written, line):
    assert refused(f"images: {{app: {{commands: [FROM x], {written}}}}}") == [f"/project/harpoon.yml: {line}"]


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ("[RUN x]", ": there is no FROM"),
        ("[]", ": there is no FROM"),
        ("FROM x", ": write a list of commands"),
        ("[FROM x, '']", "[1]: a command cannot be empty"),
        ("[FROM x, [RUN]]", "[1]: a command is a text, or a list of an instruction and its value"),
        ("[FROM x, [RUN, {a: b}]]", "[1]: RUN takes no options; only ADD and COPY do"),
        ("[FROM x, [ADD, {dest: a}]]", "[1]: ADD needs one of content, formatted, context and get"),
        ("[FROM x, [ADD, {content: a}]]", "[1]: ADD needs dest, a text"),
        ("[FROM x, [ADD, {content: a, dest: b, mode: c}]]", "[1]: ADD does not know mode; it knows content, dest, mtime"),
        ("[FROM x, [COPY, {from: a, path: b}]]", "[1]: COPY needs to, a text"),
        ("[[FROM, '{images.nope}']]", "[0]: there is no image 'nope'; the file has: app"),
        ("[FROM x, [RUN, '{images.app}']]", "[1]: {images.app} is an image, which cannot stand here"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_told_by_its_number(commands, why):
    assert refused(f"images: {{app: {{commands: {commands}}}}}") == [f"/project/harpoon.yml: images.app.commands{why}"]


def test_everything_that_is_wrong_is_told_at_once():
    lines = refused("images: {a: {commands: [], x: 1}, b: 5, 'c d': {commands: [FROM x]}}")

    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == [
        "images.a.commands",
        "images.a.x",
        "images.b",
        "images.c d",
    ]


def test_a_circle_is_told_with_its_chain():
    around = "images: {a: {commands: [FROM x], links: ['{images.b}']}, b: {commands: [FROM x], dependencies: c}, c: {commands: [FROM x], volumes: {share_with: a}}}"
    built = "images: {a: {commands: [[FROM, '{images.b}']]}, b: {commands: [[FROM, '{images.a}']]}}"

    assert refused(around) == ["/project/harpoon.yml: images.a: it depends on itself: a -> b -> c -> a"]
    assert refused(built) == ["/project/harpoon.yml: images.a: it is built from itself: a -> b -> a"]


def test_values_that_lead_to_each_other_are_told():
    assert refused(f"a: '{{b}}'\nb: '{{a}}'\nimages: {{app: {{{MINIMAL}, user: '{{a}}'}}}}") == [
        "/project/harpoon.yml: images.app.user: {a} leads back to itself: a -> b -> a"
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("images: [", "line 1, column 10: expected the node content, but found '<stream end>'"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed here"),
        ("- x", "it must hold a mapping with `images`"),
        ("images: 5", "images: write options, each with its value"),
        ("since: 2020-13-45", "a value in it cannot be read: month must be in 1..12"),
        # Deeper than any test lets Python go.
        pytest.param("[" * 50_000, "a value in it cannot be read: it is nested too deeply", id="nested"),
    ],
)
def test_a_file_that_is_not_of_the_format_is_told(tmp_path, text, why):
    path = tmp_path / "harpoon.yml"
    path.write_text(text)

    with pytest.raises(InputError) as error:
        config.load(path)

    assert error.value.message == f"{path}: {why}"


def test_a_file_that_is_not_there_is_told_with_how_to_name_another(tmp_path):
    with pytest.raises(InputError) as error:
        config.load(tmp_path / "none.yml")

    assert error.value.message == f"{tmp_path / 'none.yml'} cannot be read: No such file or directory"
    assert "CONTAINER_MANAGER_CONFIG" in error.value.hint


def test_options_that_are_known_and_of_no_use_here_are_named():
    assert read(f"images: {{app: {{{MINIMAL}, tasks: {{}}, persistence: {{}}}}}}").unused == (
        "images.app.tasks",
        "images.app.persistence",
    )


def test_the_files_own_context_and_variables_hold_for_images_that_say_nothing():
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


def test_a_password_is_not_shown():
    whole = read("authentication: {r.example.com: {reading: {use: plain, username: me, password: sesame}}}")

    assert "sesame" not in repr(whole.authentication)
    assert whole.authentication["r.example.com"].reading.password.get_secret_value() == "sesame"


def test_a_password_with_wrong_braces_is_not_shown_in_the_reason():
    (line,) = refused("authentication: {r: {reading: {use: plain, username: me, password: 'ses{ame'}}}")

    assert line.endswith(
        "authentication.r.reading: the password has braces that stand for nothing; write {{ for a brace"
    )


def test_only_plain_authentication_is_known():
    (line,) = refused("authentication: {r: {reading: {use: kms, username: me, password: sesame}}}")

    assert line == "/project/harpoon.yml: authentication.r.reading.use: input should be 'plain'"


def test_the_container_gets_what_the_options_say():
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

    made = arguments(
        image, tag="t:1", asked=[Port(80, host=8080)], network="n", others={"db": "id"}, environ={"A": "3"}
    )

    assert made.container == {
        "image": "t:1",
        "command": ["/bin/bash", "-c", "echo $A"],
        "environment": {"A": "3", "B": "2"},
        "ports": [("80", "tcp"), ("90", "tcp")],
        "hostname": "h",
        "user": "nobody",
    }
    assert made.host == {
        "port_bindings": {"80/tcp": [("", 8080)], "90/tcp": [("", None)]},
        "binds": ["/project/data:/data:ro", "named:/named:rw"],
        "volumes_from": ["id"],
        "network_mode": "n",
        "dns": ["10.0.0.1"],
        "extra_hosts": {"a": "10.0.0.2"},
        "mem_limit": 1048576,
    }


def test_all_variables_that_are_missing_are_named():
    image = read(f"images: {{app: {{{MINIMAL}, env: [A, B, 'C:', D=]}}}}").images["app"]

    assert environment(image, {"A": "", "B": "1"}) == {"A": "", "B": "1", "C": "", "D": ""}
    with pytest.raises(InputError, match="lacks A, B"):
        environment(image, {})


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["{images.app}", "{a}", "80", "FROM x"])  # fmt: skip
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner), max_leaves=8)


@given(
    st.dictionaries(st.sampled_from([*Image.model_fields, "link", "tasks"]), ANYTHING, max_size=4),
    st.dictionaries(st.sampled_from(["context", "env", "authentication", "a"]), ANYTHING),
    st.booleans(),
)
def test_whatever_a_file_holds_is_read_or_refused(options, whole, has_commands):
    image = {**options, "commands": ["FROM x"]} if has_commands else options
    with contextlib.suppress(InputError):
        found = config.read({"images": {"app": image}, **whole}, PATH)
        dockerfile.render(found.images["app"].commands, {"app": "tag"})


@given(st.dictionaries(SCALARS, ANYTHING, max_size=3) | ANYTHING)
def test_whatever_stands_in_place_of_images_is_read_or_refused(images):
    with contextlib.suppress(InputError):
        config.read({"images": images}, PATH)


def test_what_is_wrong_is_told_in_one_line_each():
    assert refused('images: {app: {commands: [FROM x], "a\\nb": 1, user: "{x\\ny}"}}') == [
        "/project/harpoon.yml: images.app.user: there is no 'x\\ny' in the file",
        "/project/harpoon.yml: images.app.'a\\nb': there is no such option",
    ]
