"""Questions of people, answered by tool calls through the SDK's client over stdio from the real command.

No model is needed: each question has the calls that answer it. The answers are computed from what was written to the store.
"""

import asyncio
import json

import pytest
from mcp import Client

from agora_analytics.integrations.mcp.opened_store import OpenedStore
from agora_analytics.integrations.mcp.server import TOOLS, make_server
from agora_analytics.store.query_limits import QueryLimits

from .conftest import PATIENT
from .questions_about_calls import QUESTIONS as ABOUT_CALLS
from .questions_about_quality import QUESTIONS as ABOUT_QUALITY

QUESTIONS = (*ABOUT_CALLS, *ABOUT_QUALITY)
IMPATIENT = QueryLimits(seconds=0.2)


@pytest.fixture(scope="module")
def answers(world, support, command):
    """The results of all tool calls of each question, from one process. The same call is made once."""
    made = {}

    async def result_of(client, server, tool, arguments):
        key = (server, tool, json.dumps(arguments, sort_keys=True))
        if key not in made:
            result = await client.call_tool(tool, arguments)
            made[key] = result.content[0].text if result.is_error else result.structured_content
        return made[key]

    async def results_of(client, question):
        results = []
        for call in question.calls:
            arguments = call.filled(world, results)
            results.append(await result_of(client, question.server, call.tool, arguments))
        return results

    async def ask_all():
        impatient = make_server(OpenedStore(world.store), IMPATIENT)
        small = make_server(OpenedStore(support), PATIENT)
        async with Client(command(world.path)) as real, Client(impatient) as other, Client(small) as third:
            clients = {"command": real, "impatient": other, "support": third}
            return {each.text: await results_of(clients[each.server], each) for each in QUESTIONS}

    return asyncio.run(ask_all())


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.text)
def test_question_is_answered(question, answers, world):
    results = answers[question.text]
    assert question.answer(results) == question.expected(world), results


def test_every_tool_answers_a_question():
    asked = {call.tool for question in QUESTIONS for call in question.calls}
    assert asked == {function.__name__ for function, _ in TOOLS}
    assert len({question.text for question in QUESTIONS}) == len(QUESTIONS) >= 40


def test_errors_have_advice_and_no_traceback_or_path(answers, world):
    errors = [each for results in answers.values() for each in results if isinstance(each, str)]
    assert len(errors) >= 15
    for text in errors:
        assert "Traceback" not in text
        assert "Error executing tool" not in text
        assert "--" not in text  # options of the command line
        assert str(world.path.parent) not in text
