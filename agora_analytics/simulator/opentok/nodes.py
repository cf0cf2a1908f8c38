"""How many nodes a query asks for: the sum of the products of its `first` values, down the tree.

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


def nodes(document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """Return the number of nodes that a document asks for, each list taken as full."""
    fragments, found = {}, 0
    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            fragments[definition.name.value] = definition.selection_set
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            counting = _Counting(fragments, _defaults(definition) | dict(variables))
            found = max(found, 1 + counting.below(definition.selection_set))
    return found


def _defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    return {
        variable.variable.name.value: value_from_ast_untyped(variable.default_value)
        for variable in operation.variable_definitions or ()
        if variable.default_value is not None
    }


@frozen
class _Counting:
    fragments: Mapping[str, SelectionSetNode]
    variables: Mapping[str, Any]

    def below(self, selections: SelectionSetNode | None) -> int:
        found = 0
        for one in selections.selections if selections else ():
            if isinstance(one, FragmentSpreadNode):
                found += self.below(self.fragments.get(one.name.value))
            elif isinstance(one, InlineFragmentNode):
                found += self.below(one.selection_set)
            elif isinstance(one, FieldNode):
                inner = self.below(one.selection_set)
                found += self._length(one) * (1 + inner) if one.name.value in _COLLECTIONS else inner
        return found

    def _length(self, field: FieldNode) -> int:
        name = field.name.value
        asked = {
            argument.name.value: value_from_ast_untyped(argument.value, dict(self.variables))
            for argument in field.arguments or ()
        }
        first = asked.get("first")
        length = min(first, most(name)) if isinstance(first, int) else usual(name)
        ids = asked.get(
            "sessionIds"
        )  # without this, the guide's own example of statistics would be too large
        return min(length, len(ids)) if isinstance(ids, list) else length
