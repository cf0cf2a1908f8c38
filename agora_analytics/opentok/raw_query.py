"""Runs a query of the user's: reads it into fields, so that its pages are followed like those of the listings.

Needs graphql-core, from the extra `[opentok]`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from agora_analytics.core.record import Record
from agora_analytics.engine.api_request import ApiResponse
from agora_analytics.engine.pages import Meta
from agora_analytics.errors import ConfigurationError, InvalidRequest
from agora_analytics.opentok.graphql_query import PAGE_BUDGET, Field, fit_pages, merge_fields
from agora_analytics.opentok.judge import Problem, QueryData
from agora_analytics.opentok.runner import InsightsRunner, fetch_all_pages, short_lists
from agora_analytics.opentok.spec import SESSION_DATA

if TYPE_CHECKING:
    from graphql import DirectiveNode, FieldNode, FragmentDefinitionNode, SelectionSetNode

_VARIABLE = re.compile(r"\$([_A-Za-z][_0-9A-Za-z]*)")


@frozen(kw_only=True)
class QueryResult(Record):
    """The result of `AsyncOpenTok.query`.

    Attributes:
        data: as the server sent them, with all pages of every list merged, and with the `pageInfo` of each list.
        problems: errors of the server, and counts that do not match; empty if there are none.
        meta: where the first response came from; `attempts` counts those of all pages.
    """

    data: Mapping[str, Any]
    problems: Sequence[Problem]
    meta: Meta = field(repr=False)


async def run_query(runner: InsightsRunner, query: str, variables: Mapping[str, Any]) -> QueryResult:
    """Run a query and fetch all pages of its lists; see `AsyncOpenTok.query`."""
    root, definitions = parse_query(query, variables)

    async def run_part(part: Field) -> ApiResponse[QueryData]:
        used = {name: text for name, text in definitions.items() if _uses(part, name)}
        head = f"query ({', '.join(used.values())}) " if used else ""
        body: dict[str, Any] = {"query": head + part.text().removeprefix("query ")}
        if used:
            body["variables"] = {name: variables[name] for name in used if name in variables}
        return await runner.send(SESSION_DATA, body)

    root = fit_pages(root, PAGE_BUDGET)
    complete = await fetch_all_pages(run_part, root)
    problems = [*complete.problems, *short_lists(root, complete.data)]
    runner.report(SESSION_DATA, problems)
    return QueryResult(data=complete.data, problems=problems, meta=complete.meta)


def parse_query(query: str, variables: Mapping[str, Any]) -> tuple[Field, dict[str, str]]:
    """Return a query as fields, and the definitions of its variables by name.

    Fragments are replaced by their fields, which get the directives of the fragment. A `first` that is a variable is
    replaced by its value, because nodes are counted.
    """
    try:
        import graphql
    except ModuleNotFoundError:
        raise ConfigurationError(
            "query() needs graphql-core, which is not installed: pip install 'agora-analytics[opentok]'"
        ) from None
    try:
        document = graphql.parse(query)
    except graphql.GraphQLError as error:
        raise InvalidRequest(f"the text is not GraphQL: {error.message}") from None
    parts = document.definitions
    operations = [part for part in parts if isinstance(part, graphql.OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].operation is not graphql.OperationType.QUERY:
        raise InvalidRequest(
            f"pass one query; the text has {len(operations)} operations, or one that is not a query"
        )
    fragments = {part.name.value: part for part in parts if isinstance(part, graphql.FragmentDefinitionNode)}
    (operation,) = operations
    nodes = operation.variable_definitions or ()
    definitions = {node.variable.name.value: graphql.print_ast(node) for node in nodes}
    if unknown := set(variables) - set(definitions):
        raise InvalidRequest(f"the query has no variable ${min(unknown)}; define it, or leave it out")
    parser = _SelectionParser(fragments, variables)
    return Field("query", merge_fields(parser.fields(operation.selection_set))), definitions


@frozen
class _SelectionParser:
    """Turns the selections of a query into fields."""

    fragments: "Mapping[str, FragmentDefinitionNode]"
    variables: Mapping[str, Any]

    def fields(
        self,
        selections: "SelectionSetNode | None",
        within: tuple[str, ...] = (),
        around: "Sequence[DirectiveNode]" = (),
    ) -> Iterator[Field]:
        """Yield the selected fields, given the enclosing fragments `within` and their directives `around`."""
        from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode

        for node in selections.selections if selections else ():
            directives = (*around, *(node.directives or ()))
            match node:
                case FieldNode():
                    yield self._field(node, within, directives)
                case InlineFragmentNode():
                    yield from self.fields(node.selection_set, within, directives)
                case FragmentSpreadNode():
                    name = node.name.value
                    if name not in self.fragments or name in within:
                        raise InvalidRequest(f"the fragment {name} is not defined, or contains itself")
                    yield from self.fields(self.fragments[name].selection_set, (*within, name), directives)

    def _field(
        self, node: "FieldNode", within: tuple[str, ...], directives: "Sequence[DirectiveNode]"
    ) -> Field:
        from graphql import print_ast

        if node.name.value == "resources" and node.alias:
            raise InvalidRequest("resources cannot have an alias, because pages are merged under that name")
        if len({directive.name.value for directive in directives}) < len(directives):
            raise InvalidRequest(
                f"{node.name.value} and the fragments around it have the same directive; write it once"
            )
        selected = Field(
            node.name.value,
            merge_fields(self.fields(node.selection_set, within)),
            {argument.name.value: print_ast(argument.value) for argument in node.arguments or ()},
            alias=node.alias.value if node.alias else "",
            directives=" ".join(map(print_ast, directives)),
        )
        first = selected.arguments.get("first", "")
        if selected.members is None or not first.startswith("$"):
            return selected
        value = self.variables.get(first[1:])
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return selected.with_arguments(first=str(value))
        rest = {name: text for name, text in selected.arguments.items() if name != "first"}
        return evolve(selected, arguments=rest)


def _uses(root: Field, variable: str) -> bool:
    texts = (*root.arguments.values(), root.directives)
    return any(variable in _VARIABLE.findall(text) for text in texts) or any(
        _uses(inner, variable) for inner in root.fields
    )
