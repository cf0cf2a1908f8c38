"""Every example query of the vendor's guide, verbatim except for the placeholders of project ids."""

import pytest

from agora_analytics.simulator import DEMO_PROJECT, OpenTokWorld
from tests.simulator.insights_client import DAY, connected, token

MAY_2019, JUNE_2024, JANUARY_2024, DECEMBER_2022 = 1_558_350_000, 1_717_500_000, 1_704_300_000, 1_670_500_000
IDS = ["1_MX4xMDB-fjE1Mzg4NzA0MjExNDd-VjRuSWhpn4", "2_MX4xMDB-fjE1Mzg4NzA0OTQzOTN-RFFxeXfcn4"]
TIERS = """
    participantMinutes {
      from1To2Publishers from3To6Publishers from7To8Publishers from1To4Publishers from5To8Publishers
      from1To8Publishers from1To10Publishers from9To10Publishers from11To35Publishers from11To20Publishers
      from11To35Publishers from36PlusPublishers from21To35Publishers from36To40Publishers from41PlusPublishers
      from1To25Publishers from3To25Publishers from26To35Publishers
    }"""
EXAMPLES = {
    "project data by SDK": (
        MAY_2019,
        """{
          project(projectId: 12345678) {
            projectData(
              start: "2019-05-01T07:00:00.000Z",
              interval: MONTHLY,
              sdkType: [JS, ANDROID, IOS],
              groupBy: SDK_TYPE
            ) {
              resources {
                intervalStart,
                intervalEnd,
                usage {
                  streamedPublishedMinutes,
                  streamedSubscribedMinutes
                }
              }
            }
          }
        }""",
    ),
    "session detail": (
        MAY_2019,
        """{
            project(projectId: 12345678) {
              sessionData {
                    sessions(sessionIds: [
                        "1_MX4xMDB-fjE1Mzg4NzA0MjExNDd-VjRuSWhpn4",
                        "2_MX4xMDB-fjE1Mzg4NzA0OTQzOTN-RFFxeXfcn4"
                    ]) {
                        resources {
                            sessionId
                            meetings {
                                totalCount
                                resources {
                                    createdAt
                                    publisherMinutes
                                    destroyedAt
                                    publishers {
                                        resources {
                                            createdAt
                                            destroyedAt
                                            connectionId
                                            stream {
                                              streamId
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }""",
    ),
    "stream statistics": (
        MAY_2019,
        """{
          project(projectId: 12345678) {
            sessionData {
              sessions(sessionIds: [
                "1_MX4xMDB-fjE1Mzg4NzA0MjExNDd-VjRuSWhpn4",
              ]) {
                resources {
                  sessionId
                  meetings {
                    resources {
                      createdAt
                      publishers {
                        resources {
                          createdAt
                          connectionId
                          stream {
                            streamId
                          }
                          streamStatsCollection {
                            resources {
                              createdAt
                              audioBitrateKbps
                              videoBitrateKbps
                            }
                          }
                        }
                      }
                    }
                  }
                }
              }
            }
          }
        }""",
    ),
    "session summary": (
        MAY_2019,
        """{
            project(projectId: 12345678) {
                sessionData {
                    sessionSummaries (
                        start: "2019-05-01T07:00:00.000Z",
                    ) {
                        resources {
                            sessionId
                            meetings {
                                resources {
                                    maxConcurrentStreams
                                    maxConcurrentStreams
                                    maxConcurrentSubscribers
                                    totalStreams
                                    totalConnections
                                }
                           }
                       }
                   }
               }
           }
        }""",
    ),
    "first page": (
        JUNE_2024,
        """{
          project(projectId: 12345678) {
            projectData(
              start: "2024-05-01T07:00:00.000Z",
              first: 10,
              interval: MONTHLY,

            ) {
              pageInfo {
                hasNextPage
                endCursor
              }
              resources {
                usage {
                  streamedPublishedMinutes
                }
              }
            }
          }
        }""",
    ),
    "participant minutes": (
        DECEMBER_2022,
        """{
          project(projectId: 12345678) {
            projectData(
              start: "2022-11-28T15:57:07.529Z"
              interval: AUTO
            ) {
              resources {
                intervalStart
                intervalEnd
                sdkType
                usage { TIERS
                  streamedPublishedMinutes
                }
              }
            }
          }
        }""".replace("TIERS", TIERS),
    ),
    "participant minutes of meetings": (
        MAY_2019,
        """{
          project(projectId: 12345678) {
            sessionData {
              sessionSummaries(start: "2019-05-01T07:00:00.000Z") {
                resources {
                  sessionId
                  meetings {
                    resources {
                      maxConcurrentStreams
                      maxConcurrentStreams
                      maxConcurrentSubscribers
                      totalStreams
                      totalConnections TIERS
                    }
                  }
                }
              }
            }
          }
        }""".replace("TIERS", TIERS),
    ),
    "the curl example": (
        MAY_2019,
        """{project
          (projectId:12345678) {
             projectData(
             start:"1557486000"
           ) {
             resources {
               usage {
                 streamedSubscribedMinutes
              }
            }
           }
          }
        }""",
    ),
}  # fmt: skip
LAST_PAGE = """{
  project(projectId: 12345678) {
    projectData(
      start: 0,
      first: 10,
      interval: %s,
      endCursor: "aW5zaWdodHMtcmVzb3VyY2U6MTA=="

    ) {
      pageInfo {
        hasNextPage
        endCursor
      }
      resources {
        usage {
          streamedPublishedMinutes,
          streamedSubscribedMinutes
        }
      }
    }
  }
}"""
SECRETS = {"12345678": DEMO_PROJECT["45000001"]}


def world(now, **knobs):
    return OpenTokWorld.generate(
        since=now - 15 * DAY, until=now, project_id="12345678", sessions=6, session_ids=IDS, **knobs
    )


async def answered(query, now):
    async with connected(world(now), now=now, projects=SECRETS) as client:
        headers = {"X-OPENTOK-AUTH": token("12345678", now=now)}
        response = await client.http.post("/graphql", json={"query": query}, headers=headers)
        assert response.status_code == 200
        answer = response.json()
        assert "errors" not in answer
        return answer["data"]["project"]


def lists(answer):
    """Yield every list of a response, at any depth."""
    children = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ()
    if isinstance(answer, list):
        yield answer
    for child in children:
        yield from lists(child)


@pytest.mark.parametrize("name", EXAMPLES)
async def test_example_of_the_guide_returns_data(name):
    now, query = EXAMPLES[name]
    all_lists = list(lists(await answered(query, now)))
    assert all_lists
    assert all(all_lists), "a list is empty"


async def test_cursor_of_the_guide_with_extra_padding_is_accepted():
    monthly = await answered(LAST_PAGE % "MONTHLY", JUNE_2024)
    assert monthly["projectData"]["resources"] == []  # one month, so there is no 11th row
    daily = await answered(LAST_PAGE % "DAILY", JUNE_2024)
    assert daily["projectData"]["pageInfo"] == {"hasNextPage": False, "endCursor": None}
    assert 0 < len(daily["projectData"]["resources"]) <= 5


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2023-12-30T08:00:00.00Z", "2023-12-31T08:00:00.00Z", 1),
        ("2023-12-30T08:00:00.00Z", "2023-12-31T03:00:00.00Z", 1),
        ("2023-12-30T07:00:00.00Z", "2023-12-31T08:00:00.00Z", 2),
    ],
)  # the guide's three ranges, with corrected dates
async def test_range_includes_every_pacific_day_that_it_touches(start, end, days):
    query = (
        f'{{project(projectId: 12345678) {{projectData(start: "{start}", end: "{end}", interval: AUTO)'
        " {resources {intervalStart}}}}"
    )
    listed = (await answered(query, JANUARY_2024))["projectData"]["resources"]
    assert len(listed) == days
    assert listed[-1]["intervalStart"] == "2023-12-30T08:00:00.000Z"
