"""Templates of every shape that a person or a machine might write, for tests of what reads templates."""

from __future__ import annotations

from hypothesis import strategies as st


def template(properties, **sections):
    return {**sections, "Resources": {"Thing": {"Type": "AWS::X::Y", "Properties": properties}}}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from(
    [
        *("Ref", "Fn::Sub", "Fn::If", "Fn::Join", "Fn::FindInMap", "Fn::Select", "Fn::Split", "Fn::Equals", "Fn::Not"),
        *("Fn::And", "Fn::Or", "Condition", "Properties", "DependsOn", "Type", "NoEcho", "Default", "P", "C"),
    ]
)
TEXTS = st.sampled_from(["P", "C", "${P}", "${!P}", "${", "AWS::NoValue", "a,b", "CommaDelimitedList", "0", "true"])
VALUES_OF_ANY_SHAPE = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=3),
    max_leaves=25,
)
SECTIONS = st.sampled_from(["Resources", "Parameters", "Conditions", "Mappings", "Outputs", "Metadata"])
ODD_TEMPLATES = st.dictionaries(
    SECTIONS, st.dictionaries(st.sampled_from(["P", "C", "R"]), VALUES_OF_ANY_SHAPE, max_size=3) | VALUES_OF_ANY_SHAPE
)
GIVEN = st.dictionaries(st.sampled_from(["P", "C", "AWS::Region"]), st.text(max_size=4))
