"""Any query of a user's, read into fields, so that its pages are followed like those of ours.

Needs graphql-core, from the extra `[opentok]`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from agora_analytics.engine.pages import Meta
from agora_analytics.errors import ConfigurationError, InvalidRequest
from agora_analytics.opentok.graphql_query import PAGE_BUDGET, Field, fit_pages, merged
from agora_analytics.opentok.nested_pages import Gathered, Problem, gather, short
from agora_analytics.opentok.runner import InsightsRunner
from agora_analytics.opentok.spec import SESSION_DATA

if TYPE_CHECKING:
    from graphql import (
        DirectiveNode,
        FieldNode,
        FragmentDefinitionNode,
        OperationDefinitionNode,
        SelectionSetNode,
    )


@frozen(kw_only=True)
class QueryResult:
    """What came of a query.

    Attributes:
        data: as the server sent them, with all pages of every list put together, and `pageInfo` beside each.
        problems: what the server, or the count of what came, says against them; empty if all is well.
        meta: how the first answer came; `attempts` counts those of all pages.
    """

    data: Mapping[str, Any]
    problems: Sequence[Problem]
    meta: Meta = field(repr=False)


async def run_query(asker: InsightsRunner, query: str, variables: Mapping[str, Any]) -> QueryResult:
    """Ask a query and all that its lists leave out; see `AsyncOpenTok.query`."""
    root, defined = parse_query(query, variables)

    async def ask(part: Field) -> Gathered:
        selection = part.text().removeprefix("query ")
        used = {name: text for name, text in defined.items() if _uses(part, name)}
        head = f"query ({', '.join(used.values())}) " if used else ""
        body: dict[str, Any] = {"query": head + selection}
        if used:
            body["variables"] = {name: variables[name] for name in used if name in variables}
        return await asker.send(SESSION_DATA, body)

    root = fit_pages(root, PAGE_BUDGET)
    gathered = await gather(ask, root)
    good = gathered.answers[0]
    problems = [*gathered.problems, *short(root, gathered.data)]
    asker.tell(SESSION_DATA, problems)
    return QueryResult(
        data=gathered.data,
        problems=problems,
        meta=Meta(
            status=good.response.status,
            request_id=good.response.headers.get("x-request-id"),
            host=good.host,
            attempts=sum(len(answer.trail) for answer in gathered.answers),
            elapsed=good.response.elapsed,
        ),
    )


def parse_query(query: str, variables: Mapping[str, Any]) -> tuple[Field, dict[str, str]]:
    """Return a query as fields, and the definitions of its variables by name.

    Fragments are put where they are used, with their directives. A `first` that is a variable becomes its value, for it is counted.

    Raises:
        InvalidRequest: it is not one query.
        ConfigurationError: graphql-core is not installed.
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
        raise InvalidRequest(f"this is no GraphQL: {error.message}") from None
    operations = [one for one in document.definitions if isinstance(one, graphql.OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].operation is not graphql.OperationType.QUERY:
        raise InvalidRequest(
            f"give one query; {len(operations)} operations are given, or one that is no query"
        )
    fragments = {
        one.name.value: one for one in document.definitions if isinstance(one, graphql.FragmentDefinitionNode)
    }
    (operation,) = operations
    defined = _definitions(operation, variables)
    reader = _SelectionParser(fragments, variables)
    return Field("query", merged(reader.fields(operation.selection_set))), defined


class _SelectionParser:
    """Reads selections into fields."""

    def __init__(
        self, fragments: "Mapping[str, FragmentDefinitionNode]", variables: Mapping[str, Any]
    ) -> None:
        self._fragments = fragments
        self._variables = variables

    def fields(
        self,
        selections: "SelectionSetNode | None",
        within: tuple[str, ...] = (),
        around: "Sequence[DirectiveNode]" = (),
    ) -> Iterator[Field]:
        """Yield what is selected, inside the fragments `within`, under the directives `around`."""
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
                    if name not in self._fragments or name in within:
                        raise InvalidRequest(f"the fragment {name} is not there, or is in itself")
                    yield from self.fields(self._fragments[name].selection_set, (*within, name), directives)

    def _field(
        self, node: "FieldNode", within: tuple[str, ...], directives: "Sequence[DirectiveNode]"
    ) -> Field:
        from graphql import print_ast

        if node.name.value == "resources" and node.alias:
            raise InvalidRequest("resources cannot have an alias: pages are put together under that name")
        if len({one.name.value for one in directives}) < len(directives):
            raise InvalidRequest(
                f"{node.name.value} and the fragments around it have the same directive; write it once"
            )
        made = Field(
            node.name.value,
            merged(self.fields(node.selection_set, within)),
            {one.name.value: print_ast(one.value) for one in node.arguments or ()},
            alias=node.alias.value if node.alias else "",
            directives=" ".join(map(print_ast, directives)),
        )
        first = made.arguments.get("first", "")
        if made.members is None or not first.startswith("$"):
            return made
        value = self._variables.get(first[1:])
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return made.with_arguments(first=str(value))
        rest = {name: text for name, text in made.arguments.items() if name != "first"}
        return evolve(made, arguments=rest)


def _definitions(operation: "OperationDefinitionNode", variables: Mapping[str, Any]) -> dict[str, str]:
    from graphql import print_ast

    defined = {one.variable.name.value: print_ast(one) for one in operation.variable_definitions or ()}
    if unknown := set(variables) - set(defined):
        raise InvalidRequest(f"the query has no variable ${min(unknown)}")
    return defined


def _uses(root: Field, variable: str) -> bool:
    return any(
        f"${variable}" in _variables_in(text) for text in (*root.arguments.values(), root.directives)
    ) or any(_uses(inner, variable) for inner in root.fields)


def _variables_in(text: str) -> set[str]:
    return set(re.findall(r"\$[_A-Za-z][_0-9A-Za-z]*", text))
