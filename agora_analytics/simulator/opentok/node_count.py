"""Counts the nodes of a query: the sum of the products of its `first` values, down the tree.

Source: the vendor's support article 6646227302684 (2 sessions x 10 meetings x 50 publishers x 50 statistics: 51 023).
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    value_from_ast_untyped,
)

from agora_analytics.opentok.spec import most, usual

_COLLECTIONS = frozenset({
    "projectData",
    "sessions",
    "sessionSummaries",
    "meetings",
    "connections",
    "publishers",
    "subscribers",
    "streamStatsCollection",
})  # fmt: skip


def count_nodes(document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """Return the number of nodes that a document requests, if each list is full."""
    fragments, most_nodes = {}, 0
    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            fragments[definition.name.value] = definition.selection_set
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            counter = _Counter(fragments, _defaults(definition) | dict(variables))
            most_nodes = max(most_nodes, 1 + counter.below(definition.selection_set))
    return most_nodes


def _defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    return {
        variable.variable.name.value: value_from_ast_untyped(variable.default_value)
        for variable in operation.variable_definitions or ()
        if variable.default_value is not None
    }


@frozen
class _Counter:
    fragments: Mapping[str, SelectionSetNode]
    variables: Mapping[str, Any]

    def below(self, selections: SelectionSetNode | None) -> int:
        nodes = 0
        for selection in selections.selections if selections else ():
            if isinstance(selection, FragmentSpreadNode):
                nodes += self.below(self.fragments.get(selection.name.value))
            elif isinstance(selection, InlineFragmentNode):
                nodes += self.below(selection.selection_set)
            elif isinstance(selection, FieldNode):
                inner = self.below(selection.selection_set)
                is_list = selection.name.value in _COLLECTIONS
                nodes += self._length(selection) * (1 + inner) if is_list else inner
        return nodes

    def _length(self, field: FieldNode) -> int:
        name = field.name.value
        args = {
            argument.name.value: value_from_ast_untyped(argument.value, dict(self.variables))
            for argument in field.arguments or ()
        }
        first = args.get("first")
        length = min(first, most(name)) if isinstance(first, int) else usual(name)
        # Otherwise the guide's own example of statistics would be too large.
        ids = args.get("sessionIds")
        return min(length, len(ids)) if isinstance(ids, list) else length
