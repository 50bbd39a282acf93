"""Reads YAML into plain data, remembering on which line each value stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from b2ct.errors import Problem

Loc = tuple[str | int, ...]
"""Path of a value: keys and list positions from the top."""

MAX_NODES = 300_000
"""Values that one file may hold, aliases counted each time: a file of a few lines can otherwise fill the memory."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # chosen at run time
    """YAML in which every plain scalar is text: ``9.10``, ``no`` and ``52:54:00:00:01:01`` mean what they show."""


_Loader.yaml_implicit_resolvers = {
    char: [(tag, regex) for tag, regex in rules if tag in {"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"}]
    for char, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: plain data (str, None, dict, list), the line of each value, and what is wrong with it."""

    data: Any
    lines: dict[Loc, int]
    problems: tuple[Problem, ...] = ()

    def line(self, loc: Loc) -> int:
        """Return the line of the value at ``loc``, or of the nearest value around it."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


@dataclass(slots=True)
class _Walk:
    """Turns nodes into data."""

    file: str
    lines: dict[Loc, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def problem(self, node: yaml.Node, loc: Loc, message: str, hint: str = "") -> None:
        where = ".".join(map(str, loc))
        self.problems.append(Problem(self.file, node.start_mark.line + 1, where, message, hint))

    def convert(self, node: yaml.Node, loc: Loc, above: tuple[int, ...] = ()) -> Any:  # noqa: ANN401 - YAML is anything
        """Return the data of a node and note its lines; ``above`` holds the ids of the nodes around it."""
        self.nodes += 1
        if self.nodes > MAX_NODES or id(node) in above:
            if self.nodes <= MAX_NODES + 1:
                self.nodes = max(self.nodes, MAX_NODES + 1)
                self.problem(node, loc, "the aliases in this file repeat too much, or contain themselves")
            return None
        self.lines[loc] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, loc, (*above, id(node)))
        if isinstance(node, yaml.SequenceNode):
            return [self.convert(item, (*loc, i), (*above, id(node))) for i, item in enumerate(node.value)]
        if node.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:null"}:
            self.problem(node, loc, f"the tag {node.tag} has no meaning here", "write the plain value")
        return None if node.tag == "tag:yaml.org,2002:null" else node.value

    def mapping(self, node: yaml.MappingNode, loc: Loc, above: tuple[int, ...]) -> dict[str, Any]:
        """Return a mapping; its own keys win over those that ``<<`` merges in."""
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in reversed(sources):
                    data = self.convert(source, loc, above)
                    merged.update(data if isinstance(data, dict) else {})
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.problem(key, loc, "a key has to be one word")
                continue
            if key.value in own:
                self.problem(key, (*loc, key.value), f"this key is here twice (first on line {first[key.value]})")
            first.setdefault(key.value, key.start_mark.line + 1)
            own[key.value] = self.convert(value, (*loc, key.value), above)
            self.lines[*loc, key.value] = key.start_mark.line + 1
        self.lines[loc] = node.start_mark.line + 1
        return merged | own


def read_yaml(text: str, file: str) -> Document:
    """Read one YAML document from ``text``; ``file`` is what problems call it."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        message = ", ".join(filter(None, (error.context, error.problem)))
        return Document(None, {}, (Problem(file, line, "", f"not valid YAML: {message}"),))
    except yaml.YAMLError as error:
        return Document(None, {}, (Problem(file, 1, "", f"not valid YAML: {' '.join(str(error).split())}"),))
    except RecursionError:
        return Document(None, {}, (Problem(file, 1, "", "the values are nested too deep"),))
    walk = _Walk(file)
    try:
        data = walk.convert(node, ()) if node else None
    except RecursionError:
        return Document(None, {}, (Problem(file, 1, "", "the values are nested too deep"),))
    return Document(data, walk.lines, tuple(walk.problems))
