"""Differences of two templates, merged with the changes of AWS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.core.stacks import ABSENT, Change, PropertyChange, Setting
from exasol_ci_setup.stacks.properties import merge, property_changes, setting_changes
from tests.stacks.odd import GIVEN, ODD_TEMPLATES, template


def changes(before, after, *, old=None, new=None, **sections):
    found = property_changes(template(before, **sections), old or {}, template(after, **sections), new or {})
    return found.get("Thing", ())


def test_changed_property_has_dotted_path():
    assert changes({"Source": {"Location": "a", "Type": "T"}}, {"Source": {"Location": "b", "Type": "T"}}) == (
        PropertyChange("Source.Location", "a", "b"),
    )


def test_added_or_removed_property_is_absent_on_other_side():
    assert changes({"Old": 1}, {"New": {"A": 1}}) == (
        PropertyChange("Old", 1, ABSENT),
        PropertyChange("New", ABSENT, {"A": 1}),
    )


def test_null_is_not_absent():
    assert changes({}, {"New": None}) == (PropertyChange("New", ABSENT, None),)


def test_number_equals_its_text():
    assert changes({"Days": 14, "On": True}, {"Days": "14", "On": "true"}) == ()


def test_changed_parameter_changes_properties_that_use_it():
    parameters = {"P": {"Type": "String"}}
    assert changes(
        {"Url": {"Ref": "P"}}, {"Url": {"Ref": "P"}}, old={"P": "a"}, new={"P": "b"}, Parameters=parameters
    ) == (PropertyChange("Url", "a", "b"),)


def test_secret_parameter_is_never_shown():
    parameters = {"P": {"Type": "String", "NoEcho": True}}
    found = changes({"T": "x"}, {"T": {"Fn::Sub": "k=${P}"}}, new={"P": "hush"}, Parameters=parameters)
    assert found == (PropertyChange("T", "x", "k=****"),)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([1, 2, 3], [0, 1, 2, 3], [("L.0", ABSENT, 0)]),
        ([1, 2, 3], [1, 3], [("L.1", 2, ABSENT)]),
        ([1, {"K": "a"}, 3], [1, {"K": "b"}, 3], [("L.1.K", "a", "b")]),
        ([1], [2, 3], [("L.0", 1, 2), ("L.1", ABSENT, 3)]),
        ([1, 2, 9, 3], [1, 7, 8, 2, 3], [("L.1", 2, 7), ("L.2", 9, 8), ("L.3", 3, 2), ("L.4", ABSENT, 3)]),
    ],
)
def test_moved_list_elements_are_equal(before, after, expected):
    assert [(item.path, item.before, item.after) for item in changes({"L": before}, {"L": after})] == expected


def test_intrinsic_function_is_compared_as_whole():
    assert changes({"A": {"Ref": "X"}}, {"A": {"Fn::GetAtt": ["X", "Arn"]}}) == (
        PropertyChange("A", {"Ref": "X"}, {"Fn::GetAtt": ["X", "Arn"]}),
    )


def test_other_attributes_go_by_their_own_name():
    before = {"Resources": {"R": {"Type": "T", "DeletionPolicy": "Retain", "DependsOn": "A", "Metadata": {"x": 1}}}}
    after = {"Resources": {"R": {"Type": "T", "DependsOn": ["A"], "Metadata": {"x": 2}}}}
    assert property_changes(before, {}, after, {})["R"] == (
        PropertyChange("DeletionPolicy", "Retain", ABSENT),
        PropertyChange("Metadata.x", 1, 2),
    )


def test_resource_with_false_condition_is_not_changed():
    body = {
        "Parameters": {"P": {"Type": "String"}},
        "Conditions": {"C": {"Fn::Equals": [{"Ref": "P"}, "on"]}},
        "Resources": {"R": {"Condition": "C", "Properties": {"A": {"Ref": "P"}}}},
    }
    assert property_changes(body, {"P": "on"}, body, {"P": "off"}) == {}


def modify(*properties, logical_id="R"):
    return Change("Modify", logical_id, "T", properties=properties)


DIFFERENCES = {"R": (PropertyChange("Source.Location", "a", "b"), PropertyChange("Tags.0.Value", "x", "y"))}


@pytest.mark.parametrize("path", ["/Properties/Source/Location", "Source.Location", "Source", "Properties.Source"])
def test_values_come_from_templates_for_any_form_of_path(path):
    (change,) = merge((modify(PropertyChange(path, recreates="Always")),), DIFFERENCES)
    assert change.properties[0] == PropertyChange("Source.Location", "a", "b", "Always")


def test_value_is_from_template_and_effect_from_aws():
    (change,) = merge((modify(PropertyChange("/Properties/Source/Location", "A", "B", "Never")),), DIFFERENCES)
    assert change.properties[0] == PropertyChange("Source.Location", "a", "b", "Never")


def test_values_of_aws_fill_gaps_of_templates():
    (change,) = merge((modify(PropertyChange("/Properties/Other", "A", "B", "Never")),), DIFFERENCES)
    assert change.properties[0] == PropertyChange("Other", "A", "B", "Never")


def test_template_difference_of_listed_resource_is_added():
    (change,) = merge((modify(PropertyChange("Source")),), DIFFERENCES)
    assert change.properties[1] == PropertyChange("Tags.0.Value", "x", "y")


def test_property_inside_whole_value_is_found():
    differences = {"R": (PropertyChange("Source", ABSENT, {"Urls": ["u"]}),)}
    (change,) = merge((modify(PropertyChange("/Properties/Source/Urls/0")),), differences)
    assert change.properties == (PropertyChange("Source.Urls.0", ABSENT, "u"),)


def test_property_with_two_causes_has_graver_effect():
    named = (PropertyChange("Source", recreates="Never"), PropertyChange("Source", recreates="Conditionally"))
    (change,) = merge((modify(*named),), {"R": DIFFERENCES["R"][:1]})
    assert change.properties == (PropertyChange("Source.Location", "a", "b", "Conditionally"),)


def test_change_of_aws_without_template_difference_is_kept():
    (change,) = merge((modify(PropertyChange("/Properties/A~1B"), logical_id="Q"),), DIFFERENCES)
    assert change.properties == (PropertyChange("A/B"),)


def test_resource_not_listed_by_aws_is_not_added():
    assert merge((), DIFFERENCES) == ()


def test_settings_list_tags_outputs_parameters_and_protection():
    before = {"Outputs": {"Name": {"Value": "a"}, "Gone": {"Value": "g"}}, "Parameters": {"P": {"Default": 1}}}
    after = {
        "Outputs": {"Name": {"Value": {"Ref": "P"}, "Export": {"Name": "e"}}},
        "Parameters": {"P": {"Default": 1}, "S": {"NoEcho": True}},
    }
    assert setting_changes(
        before=before,
        after=after,
        after_parameters={"P": "2", "S": "hush"},
        tags_before={"a": "1", "b": "2"},
        tags_after={"b": "3", "c": "4"},
        protected_before=False,
        protected_after=True,
    ) == (
        Setting("parameters.P", 1, "2"),
        Setting("parameters.S", ABSENT, "****"),
        Setting("outputs.Name", "a", "2"),
        Setting("outputs.Gone", "g", ABSENT),
        Setting("outputs.Name.Export.Name", ABSENT, "e"),
        Setting("tags.a", "1", ABSENT),
        Setting("tags.b", "2", "3"),
        Setting("tags.c", ABSENT, "4"),
        Setting("termination-protection", before=False, after=True),
    )


def test_setting_not_given_is_unchanged():
    assert setting_changes(tags_before={"a": "1"}, protected_before=True) == ()


@given(ODD_TEMPLATES, GIVEN, ODD_TEMPLATES, GIVEN)
def test_comparison_of_any_templates_raises_nothing(before, old, after, new):
    differences = property_changes(before, old, after, new)
    named = [PropertyChange(item.path, recreates="Never") for found in differences.values() for item in found]
    merge((modify(*named),), differences)
    setting_changes(before=before, before_parameters=old, after=after, after_parameters=new)


@given(ODD_TEMPLATES, GIVEN)
def test_template_equals_itself(body, values):
    assert property_changes(body, values, body, values) == {}
    assert setting_changes(before=body, before_parameters=values, after=body, after_parameters=values) == ()


@given(st.lists(st.integers(0, 4), max_size=7), st.lists(st.integers(0, 4), max_size=7))
def test_list_changes_name_each_index_once(before, after):
    found = changes({"L": before}, {"L": after})
    paths = [item.path for item in found]
    assert len(set(paths)) == len(paths)
    assert bool(found) is (before != after)
    for item in found:
        index = int(item.path.removeprefix("L."))
        assert item.after is ABSENT or after[index] == item.after
