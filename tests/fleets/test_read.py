"""The file of a fleet: its declarations and its errors."""

from __future__ import annotations

from contextlib import suppress
from textwrap import dedent

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exasol_ci_setup.constructs import CiBuild, PolicyStatement, ReleaseBuild
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.fleets import Fleet, load
from exasol_ci_setup.template.render import render

ONE = """
    targets:
      main: {region: eu-central-1}
"""


@pytest.fixture
def fleet(tmp_path):
    def of(text: str) -> Fleet:
        path = tmp_path / "fleet.yaml"
        path.write_text(dedent(text).lstrip(), encoding="utf-8")
        return load(path)

    return of


@pytest.fixture
def refused(fleet):
    def message(text: str) -> str:
        with pytest.raises(InputError) as caught:
            fleet(text)
        assert caught.value.__cause__ is None
        return caught.value.message.replace(str(caught.value.message).partition("fleet.yaml")[0], "")

    return message


def test_project_values_override_defaults(fleet):
    declared = fleet("""
        targets:
          main: {region: eu-central-1}
        defaults:
          ci: {compute_type: BUILD_GENERAL1_LARGE, batch_limit: 7, docker_secret: hub}
          release: {batch_limit: 9}
        projects:
          Slc:
            project_url: https://github.com/exasol/slc
            ci: {batch_limit: 3, stack_name: SlcTests}
          Udf: {project_url: https://github.com/exasol/udf, ci: , release: }
    """)

    assert declared.constructs == {
        "main/SlcTests": CiBuild(
            project="Slc",
            project_url="https://github.com/exasol/slc",
            stack_name="SlcTests",
            compute_type="BUILD_GENERAL1_LARGE",
            batch_limit=3,
            docker_secret="hub",
        ),
        "main/Udf": CiBuild(
            project="Udf",
            project_url="https://github.com/exasol/udf",
            compute_type="BUILD_GENERAL1_LARGE",
            batch_limit=7,
            docker_secret="hub",
        ),
        "main/UdfRelease": ReleaseBuild(project="Udf", project_url="https://github.com/exasol/udf", batch_limit=9),
    }


def test_null_removes_default(fleet):
    arn = "arn:aws:codeconnections:eu-central-1:123456789012:connection/aEXAMPLE"
    declared = fleet(f"""
        targets: {{main: {{region: eu-central-1}}}}
        defaults: {{ci: {{connection_arn: "{arn}"}}}}
        projects:
          A: {{project_url: https://github.com/a/a, ci: }}
          B: {{project_url: https://github.com/a/b, ci: {{connection_arn: null}}}}
    """)

    assert declared.constructs["main/A"].connection_arn == arn
    assert declared.constructs["main/B"].connection_arn is None


def test_stacks_depend_on_credentials_and_needed_projects(fleet):
    arn = "arn:aws:codeconnections:eu-central-1:123456789012:connection/aEXAMPLE"
    declared = fleet(f"""
        targets:
          main:
            region: eu-central-1
            source_credentials: {{secret_name: github, secret_user_key: user, secret_token_key: token}}
          other: {{region: us-east-1}}
        defaults: {{target: main}}
        projects:
          Late: {{project_url: https://github.com/a/late, ci: , needs: [Early]}}
          Early: {{project_url: https://github.com/a/early, ci: , release: {{connection_arn: "{arn}"}}}}
          Elsewhere: {{project_url: https://github.com/a/else, ci: , target: other}}
    """)

    assert {node.name: node.needs for node in declared.nodes} == {
        "main/SLCSourceCredentials": (),
        "main/Early": ("main/SLCSourceCredentials",),
        "main/EarlyRelease": (),
        "main/Late": ("main/SLCSourceCredentials", "main/Early", "main/EarlyRelease"),
        "other/Elsewhere": (),
    }
    assert declared.scope_of("other/Elsewhere").region == "us-east-1"


SELECTABLE = """
    targets:
      main:
        region: eu-central-1
        source_credentials: {secret_name: github, secret_user_key: user, secret_token_key: token}
      other: {region: us-east-1}
    projects:
      SlcPython: {project_url: https://github.com/a/b, target: main, ci: , release: , needs: [Udf]}
      SlcJava: {project_url: https://github.com/a/b, target: other, ci: }
      Udf: {project_url: https://github.com/a/b, target: main, release: }
"""


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ((), 5),
        (("Udf",), ["main/SLCSourceCredentials", "main/UdfRelease"]),
        (("Slc?ava",), ["other/SlcJava"]),
        (("*Release",), ["main/SLCSourceCredentials", "main/SlcPythonRelease", "main/UdfRelease"]),
        (("other/*", "Udf"), ["main/SLCSourceCredentials", "main/UdfRelease", "other/SlcJava"]),
        (("SLCSource*",), ["main/SLCSourceCredentials"]),
    ],
)
def test_pattern_selects_projects_and_stacks_with_dependencies(fleet, patterns, found):
    selected = fleet(SELECTABLE).selected(patterns)

    names = sorted(selected.members)
    assert names == found if isinstance(found, list) else len(names) == found
    # A needed project that is not selected is assumed to exist.
    assert all(need in selected.members for node in selected.nodes for need in node.needs)


def test_pattern_without_match_is_rejected_with_similar_name(fleet):
    with pytest.raises(InputError, match="--select 'SlcPyton' matches no project") as caught:
        fleet(SELECTABLE).selected(["SlcPyton"])

    assert "SlcPython" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "fleet.yaml is empty"),
        ("{", "fleet.yaml:1 is not YAML: expected the node content"),
        ("a: !!python/name:os.system x", "fleet.yaml:1 is not YAML: could not determine a constructor"),
        ("targets: &t\n  main: *t", "fleet.yaml:1 is invalid: it contains an alias of itself"),
        ("targets:\n  a: {region: x}\n  a: {region: y}", "fleet.yaml:3 is invalid: duplicate key 'a'"),
        ("? [a]\n: 1\n? [a]\n: 2", "fleet.yaml:1 is not YAML: found unhashable key"),
        ("- 1", "fleet.yaml:1: the file: use names with values below it"),
        ("targets: {}\nprojects: 3", "fleet.yaml:1: targets: it is empty"),
        (
            "targets: {main: {region: eu-central-1}}\nprojects:\n  slc:\n    project_url: https://github.com/a/b\n    ci:\n      imgae: x",
            "fleet.yaml:6: projects.slc.ci.imgae: unknown key; did you mean image?",
        ),
        (
            "targets: {main: {region: eu-central-1}}\nprojects:\n  slc:\n    project_url: https://github.com/a/b\n    ci: {image: a b}",
            "fleet.yaml:5: projects.slc.ci.image 'a b': use the name of a Docker image",
        ),
        (
            "targets: {main: {regions: eu-central-1}}\nprojects: {s: {project_url: https://github.com/a/b, ci: }}",
            "targets.main.region: it is required",
        ),
        (
            (
                "targets: {main: {region: eu-central-1, allowed_accounts: [123456789012]}}\n"
                "projects: {s: {project_url: https://github.com/a/b, ci: }}"
            ),
            "targets.main.allowed_accounts[0] 123456789012: use text, in quotation marks",
        ),
        (
            "targets: {main: {region: eu-central-1}}\nprojects:\n  a b: {project_url: https://github.com/a/b, ci: }",
            "fleet.yaml:3: projects: the name 'a b': use letters, digits and hyphens",
        ),
        (
            "targets: {main: {region: eu-central-1}}\nprojects:\n  s: {project_url: https://github.com/a/b}",
            "fleet.yaml:3: projects.s: it has neither ci nor release",
        ),
        (
            "targets: {main: {region: eu-central-1}}\nprojects:\n  s: {project_url: https://u:secret@github.com/a/b, ci: }",
            "https://****@github.com",
        ),
        (
            "targets: {main: {region: eu-central-1}}\nprojects:\n  s: {project_url: https://github.com/a/b, ci: , target: mian}",
            "fleet.yaml:3: projects.s.target: target 'mian' does not exist",
        ),
        (
            "targets: {a: {region: eu-central-1}, b: {region: us-east-1}}\nprojects:\n  s: {project_url: https://github.com/a/b, ci: }",
            "fleet.yaml:3: projects.s: it has no target, and the file has several",
        ),
        (
            "targets: {a: {region: eu-central-1}}\ndefaults:\n  target: b\nprojects:\n  s: {project_url: https://github.com/a/b, ci: }",
            "fleet.yaml:3: defaults.target: target 'b' does not exist",
        ),
        (
            (
                "targets: {m: {region: eu-central-1}}\nprojects:\n  A: {project_url: https://github.com/a/b, ci: , needs: [B]}\n"
                "  B: {project_url: https://github.com/a/b, ci: , needs: [A]}"
            ),
            "fleet.yaml:3: projects.A.needs: a cycle: A → B → A",
        ),
        (
            "targets: {m: {region: eu-central-1}}\nprojects:\n  A: {project_url: https://github.com/a/b, ci: , needs: [a]}",
            "fleet.yaml:3: projects.A.needs[0]: project 'a' does not exist",
        ),
        (
            (
                "targets: {m: {region: eu-central-1}}\nprojects:\n  A: {project_url: https://github.com/a/b, release: }\n"
                "  ARELEASE: {project_url: https://github.com/a/b, ci: }"
            ),
            "fleet.yaml:4: projects.ARELEASE.ci: its stack has the name ARELEASE, like that of projects.A.release",
        ),
        (
            (
                "targets: {m: {region: eu-central-1, stack_set: {organizational_units: [r-ab12], regions: [eu-central-1],\n"
                "  max_concurrent: 1, max_concurrent_percentage: 1}}}\nprojects: {A: {project_url: https://github.com/a/b, ci: }}"
            ),
            "targets.m.stack_set: set max_concurrent or max_concurrent_percentage, not both",
        ),
    ],
)
def test_error_has_line_path_and_rule(refused, text, said):
    assert said in refused(text)


def test_all_errors_are_reported_together(refused):
    said = refused("""
        targets: {main: {region: nowhere}}
        projects:
          A: {project_url: 3, ci: {batch_limit: 0}}
    """)

    assert said.splitlines()[0] == "fleet.yaml is invalid in 3 places:"
    assert len(said.splitlines()) == 4


def test_missing_or_binary_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "nosuch.yaml")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="it is not UTF-8"):
        load(tmp_path / "bytes")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(value=json_values, name=st.text(max_size=8))
def test_any_yaml_is_fleet_or_input_error(tmp_path_factory, value, name):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    start = {"region": "eu-central-1"}
    for whole in (
        value,
        {"targets": {"m": start}, "projects": {name: value}},
        {"targets": {"m": start}, "projects": {"A": {"project_url": "https://github.com/a/b", "ci": {name: value}}}},
        {"targets": {name: {**start, "stack_set": value}}, "projects": value, "defaults": {"ci": value}},
    ):
        path.write_text(yaml.safe_dump(whole), encoding="utf-8")
        with suppress(InputError):
            load(path)


@settings(deadline=None)
@given(text=st.text())
def test_any_text_is_input_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "text.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError):
        load(path)


def test_projects_with_same_options_share_template_for_linter():
    first, second = (
        CiBuild(project=name, project_url=f"https://github.com/exasol/{name}", stack_name=f"{name}Tests")
        for name in ("Slc", "Udf")
    )
    other = CiBuild(project="Slc", project_url="https://github.com/exasol/Slc", cache="docker")

    assert render(first) != render(second)
    assert render(first.lint_template_key) == render(second.lint_template_key)
    assert render(first.lint_template_key) != render(other.lint_template_key)


def test_error_next_to_merge_key_has_its_own_line(refused):
    message = refused("""
        targets:
          main: {region: eu-central-1}
        projects:
          A: &a {project_url: https://github.com/exasol/a, ci: {batch_limit: 5}}
          B:
            <<: *a
            ci:
              imgae: x
    """)

    assert message.startswith("fleet.yaml:8: projects.B.ci.imgae: unknown key")


def test_two_builds_with_same_resource_are_rejected(refused):
    projects = (
        ONE
        + """
    projects:
      A: {project_url: https://github.com/exasol/a, release: {stack_name: One}}
      %s: {project_url: https://github.com/exasol/b, ci: %s}
    """
    )

    assert (
        "projects.ARelease.ci: its CodeBuild project has the name AReleaseCodeBuild, like that of projects.A.release"
        in refused(projects % ("ARelease", ""))
    )
    assert "its bucket has the name one-for-both, like that of projects.A.release" in refused(
        (projects % ("B", "{bucket_name: one-for-both}")).replace("One}", "One, bucket_name: one-for-both}")
    )


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ("{stack_name: One}", "", "codebuild_name"),
        ("{codebuild_name: One}", "", "stack_name"),
        (
            "{stack_name: One, bucket_name: one-for-both}",
            "{codebuild_name: Other, bucket_name: one-for-both}",
            "bucket_name",
        ),
    ],
)
def test_error_names_key_of_resource_with_same_name(refused, first, second, key):
    projects = f"""
    projects:
      A: {{project_url: https://github.com/exasol/a, release: {first}}}
      ARelease: {{project_url: https://github.com/exasol/b, ci: {second}}}
    """

    assert f"; choose another {key} for one of them" in refused(ONE + projects)


def test_codebuild_name_distinguishes_projects(fleet):
    declared = fleet(
        ONE
        + """
    projects:
      A: {project_url: https://github.com/exasol/a, release: {stack_name: APub, codebuild_name: APubBuild}}
      ARelease: {project_url: https://github.com/exasol/b, ci: }
    """
    )

    assert [each.construct.codebuild_name for each in declared.members.values()] == ["APubBuild", "AReleaseCodeBuild"]


@pytest.mark.parametrize(
    ("key", "value"), [("aws:x", "y"), ("exasol-ci-setup:project", "y"), ("''", "y"), ("x", "''"), ("x", "y" * 257)]
)
def test_invalid_or_reserved_tag_is_rejected(refused, key, value):
    for text in (f"defaults: {{tags: {{{key}: {value}}}}}", ""):
        tags = "" if text else f", tags: {{{key}: {value}}}"
        message = refused(
            f"targets: {{main: {{region: eu-central-1}}}}\n{text}\n"
            f"projects: {{A: {{project_url: https://github.com/exasol/a, ci: {tags}}}}}\n"
        )
        assert ".tags" in message


def test_too_many_tags_are_rejected(refused):
    tags = ", ".join(f"t{number}: x" for number in range(46))

    message = refused(
        f"targets: {{main: {{region: eu-central-1}}}}\n"
        f"projects: {{A: {{project_url: https://github.com/exasol/a, ci: , tags: {{{tags}}}}}}}\n"
    )

    assert "its stacks have 46 tags, at most 45 are allowed" in message


def test_percentage_of_accounts_is_never_zero(refused):
    spread = "{organizational_units: [ou-ab12-cd34ef56], regions: [us-east-1], max_concurrent_percentage: 0}"

    message = refused(
        f"targets: {{main: {{region: eu-central-1, stack_set: {spread}}}}}\n"
        "projects: {A: {project_url: https://github.com/exasol/a, ci: }}\n"
    )

    assert "max_concurrent_percentage 0: use 1 to 100 percent" in message


def test_projects_take_options_of_role_and_host(fleet):
    declared = fleet("""
        targets:
          main: {region: eu-central-1}
        defaults:
          release: {docker_secret: none}
        projects:
          Shop:
            project_url: https://github.com/example/shop
            ci:
              docker_secret: none
              buildspec: ci/buildspec.yaml
              architecture: arm64
              privileged: false
              permissions_boundary: arn:aws:iam::123456789012:policy/limit
              managed_policy_arns: [arn:aws:iam::aws:policy/A]
              policy_statements:
                - Effect: Allow
                  Action: [ecr:PutImage, ecr:UploadLayerPart]
                  Resource: arn:aws:ecr:eu-central-1:123456789012:repository/shop/*
                  Condition: {Bool: {aws:SecureTransport: true}}
            release: {managed_policy_arns: [arn:aws:iam::aws:policy/B]}
    """)

    of_ci, release = declared.constructs["main/Shop"], declared.constructs["main/ShopRelease"]
    assert isinstance(of_ci, CiBuild)
    assert of_ci.policy_statements == (
        PolicyStatement(
            actions=["ecr:PutImage", "ecr:UploadLayerPart"],
            resources=["arn:aws:ecr:eu-central-1:123456789012:repository/shop/*"],
            conditions={"Bool": {"aws:SecureTransport": ["true"]}},
        ),
    )
    assert (of_ci.environment_type, of_ci.privileged, of_ci.has_docker_login) == ("ARM_CONTAINER", False, False)
    assert of_ci.permissions_boundary == "arn:aws:iam::123456789012:policy/limit"
    assert isinstance(release, ReleaseBuild)
    assert (release.has_docker_login, release.managed_policy_arns) == (False, ("arn:aws:iam::aws:policy/B",))


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (
            "policy_statements: [{Action: 's3:*', Resource: '*'}]",
            "fleet.yaml:6: projects.Shop.ci.policy_statements[0]: Effect",
        ),
        (
            "policy_statements: [{Effect: Allow, Action: x, Resource: '*'}]",
            "fleet.yaml:6: projects.Shop.ci.policy_statements[0].actions[0] 'x': use an action",
        ),
        ("managed_policy_arns: [A]", "projects.Shop.ci.managed_policy_arns[0] 'A': use the ARN of a policy"),
        (
            "vpc_id: vpc-0123456789abcdef0",
            "fleet.yaml:6: projects.Shop.ci: builds in a VPC",
        ),
        (
            "image: 'aws/codebuild/standard:8.0', architecture: arm64",
            "fleet.yaml:6: projects.Shop.ci: the image aws/codebuild",
        ),
    ],
)
def test_invalid_options_of_role_and_host_are_named_with_line(refused, options, rule):
    assert rule in refused(f"""
        targets:
          main: {{region: eu-central-1}}
        projects:
          Shop:
            project_url: https://github.com/example/shop
            ci: {{{options}}}
    """)
