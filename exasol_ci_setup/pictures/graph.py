"""Diagrams of the resources of templates and their references, as Mermaid and DOT."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.pictures.characters import printable
from exasol_ci_setup.template.intrinsics import as_mapping
from exasol_ci_setup.template.references import references

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Fill and line by AWS service.
_COLORS: Final = {
    "IAM": ("#fdecea", "#b3423a"),
    "S3": ("#e8f3ec", "#3c7a55"),
    "ECR": ("#e8f3ec", "#3c7a55"),
    "Logs": ("#f4eefb", "#7a5ba6"),
    "CodeBuild": ("#e9f0fb", "#38639d"),
    "ECS": ("#fdf1e3", "#b5722a"),
    "EC2": ("#fdf1e3", "#b5722a"),
}
_DEFAULT_COLORS: Final = ("#f1f4f7", "#52606d")
# Texts without a meaning in Mermaid. A colon alone can begin a style or an icon, a period or a hyphen a list.
_PLAIN: Final = re.compile(r"[^\W_]+(?:(?:::|[ ./-])[^\W_]+)*")
_FONT: Final = "Helvetica,Arial,DejaVu Sans,sans-serif"


@dataclass(frozen=True, slots=True)
class GraphPart:
    """A stack in a diagram: its parsed template, and the names of the stacks whose outputs it uses."""

    name: str
    template: Mapping[str, Any]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Node:
    """A resource. `id` is generated, because names of resources can be keywords of the languages."""

    id: str
    name: str
    type: str

    @property
    def short_type(self) -> str:
        return self.type.removeprefix("AWS::")


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A stack: its resources, and the arrows between them as pairs of node IDs."""

    id: str
    name: str
    nodes: tuple[_Node, ...]
    arrows: tuple[tuple[str, str], ...]


def mermaid(parts: Sequence[GraphPart]) -> str:
    """Return a flowchart of Mermaid (https://mermaid.js.org/syntax/flowchart.html). Several parts have a frame each."""
    clusters, needs = _clusters(parts)
    is_framed = len(clusters) > 1
    lines = ["flowchart RL"]
    for cluster in clusters:
        indent = "    " if is_framed else "  "
        if is_framed:
            lines.append(f"  subgraph {cluster.id}[{_mermaid_text(cluster.name)}]")
        lines += [f"{indent}{node.id}[{_mermaid_text(node.name, node.short_type)}]" for node in cluster.nodes]
        lines += [f"{indent}{start} --> {end}" for start, end in cluster.arrows]
        if is_framed:
            lines.append("  end")
    lines += [f"  {start.id} --> {end.id}" for start, end in needs]
    return "\n".join(lines) + "\n"


def dot(parts: Sequence[GraphPart], *, title: str) -> str:
    """Return a graph in the language DOT (https://graphviz.org/doc/info/lang.html). Several parts have a frame each."""
    clusters, needs = _clusters(parts)
    is_framed = len(clusters) > 1
    lines = [
        f"digraph {_dot_text(title)} {{",
        '  graph [rankdir="RL", compound="true", bgcolor="#ffffff", pad="0.3", nodesep="0.25", ranksep="0.8"]',
        f'  graph [fontname="{_FONT}", fontsize="14", fontcolor="#1f2933", labeljust="l"]',
        f'  node [shape="box", style="rounded,filled", fontname="{_FONT}", fontsize="12", margin="0.2,0.08"]',
        '  edge [color="#7b8794", arrowsize="0.7"]',
    ]
    for cluster in clusters:
        indent = "    " if is_framed else "  "
        if is_framed:
            lines.append(f"  subgraph cluster_{cluster.id} {{")
            lines.append(
                f'    graph [label={_dot_text(cluster.name)}, style="rounded,filled", fillcolor="#fbfcfd", color="#cbd2d9"]'
            )
            # Arrows between stacks need a node at each end, also in a stack without resources.
            lines.append(f'    {cluster.id} [shape="point", style="invis"]')
        for node in cluster.nodes:
            fill, line = _COLORS.get(node.short_type.partition("::")[0], _DEFAULT_COLORS)
            hint = _dot_text(f"{node.name}: {node.type}")
            label = _dot_text(node.name, node.short_type)
            lines.append(f'{indent}{node.id} [label={label}, tooltip={hint}, fillcolor="{fill}", color="{line}"]')
        lines += [f"{indent}{start} -> {end}" for start, end in cluster.arrows]
        if is_framed:
            lines.append("  }")
    for user, used in needs:
        lines.append(
            f'  {user.id} -> {used.id} [ltail="cluster_{user.id}", lhead="cluster_{used.id}", color="#1f2933"]'
        )
    return "\n".join([*lines, "}"]) + "\n"


def _clusters(parts: Sequence[GraphPart]) -> tuple[list[_Cluster], list[tuple[_Cluster, _Cluster]]]:
    """Return the stacks, and which stack uses which other one."""
    clusters: list[_Cluster] = []
    count = 0
    for number, part in enumerate(parts, 1):
        nodes: dict[str, _Node] = {}
        for name, declared in as_mapping(part.template.get("Resources")).items():
            count += 1
            nodes[name] = _Node(f"n{count}", str(name), str(as_mapping(declared).get("Type", "")))
        arrows = [(nodes[name].id, nodes[each].id) for name, used in references(part.template).items() for each in used]
        clusters.append(_Cluster(f"s{number}", part.name, tuple(nodes.values()), tuple(arrows)))
    by_name = {cluster.name: cluster for cluster in clusters}
    needs = [
        (by_name[part.name], by_name[name])
        for part in parts
        for name in dict.fromkeys(part.needs)
        if name in by_name and name != part.name
    ]
    return clusters, needs


def _mermaid_text(*lines: str) -> str:
    """Return lines as one quoted text of Mermaid.

    Characters with a meaning in Mermaid, Markdown or HTML become entity codes:
    https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters.
    """
    texts = [printable(line) for line in lines if line]
    if not all(_PLAIN.fullmatch(text) for text in texts):
        texts = [
            "".join(letter if letter.isalnum() or letter == " " else f"#{ord(letter)};" for letter in text)
            for text in texts
        ]
    return '"' + ("<br/>".join(texts) or " ") + '"'


def _dot_text(*lines: str) -> str:
    r"""Return lines as one quoted text of DOT.

    Graphviz replaces HTML entities and sequences such as ``\N`` in labels: https://graphviz.org/docs/attr-types/escString/.
    """
    texts = [printable(line).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') for line in lines if line]
    return '"' + "\\n".join(texts) + '"'
