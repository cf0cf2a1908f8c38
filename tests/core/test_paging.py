"""The paginator of numbered pages, against a server in memory that misbehaves as real servers do."""

import pytest
from attrs import define, evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.core.paging import (
    Finding,
    NumberedPaginator,
    PageInfo,
    Position,
    Step,
    position_of,
    steps_at,
)
from agora_analytics.core.resume_tokens import ResumeTokens
from agora_analytics.core.windows import Window
from agora_analytics.errors import IncompleteListing
from agora_analytics.kit.listing import FirstSeen

DAY = Window(0, 86_399)


@frozen
class Item:
    at: int
    name: str


def items(count, spread=100):
    return [Item(i * spread, f"item {i}") for i in range(count)]


@define
class Server:
    """Lists the newest first; each quirk is one that the reference warns of."""

    held: list[Item]
    page_size: int = 20
    clamp: int = 100
    hidden_after: int | None = None
    says_total: bool = True
    says_more: bool = True
    says_page_size: bool = True
    asked: list[Step] = field(factory=list)
    arrivals: list[Item] = field(factory=list)
    """Each answer is followed by the arrival of one of these, so that later pages shift."""
    departures: int = 0
    """So many of the first answers are followed by the loss of the newest item."""

    def answer(self, step: Step) -> PageInfo[Item]:
        self.asked.append(step)
        assert len(self.asked) < 3000, "the walk does not end"
        found = [item for item in self.held if step.window.start <= item.at <= step.window.end]
        found.sort(key=lambda item: (-item.at, item.name))
        shown = found if self.hidden_after is None else found[: self.hidden_after]
        size = min(self.page_size, self.clamp)
        behind = step.page * size
        listed = PageInfo(
            records=shown[behind - size : behind],
            total=len(shown) if self.says_total else None,
            page_size=size if self.says_page_size else None,
            has_more=(len(shown) < len(found) or behind < len(shown)) if self.says_more else None,
        )
        if self.arrivals:
            self.held = [*self.held, self.arrivals.pop()]
        if self.departures:
            self.departures -= 1
            self.held = self.held[:-1]
        return listed


@frozen
class Page:
    records: list[Item]
    position: list


def walked(server, steps, *, pick=lambda _: 0, notice=lambda *_: None, ahead=4):
    """List as `Pages` does: up to `ahead` steps are fetched in any order, and returned in the order of the listing."""
    paginator = NumberedPaginator(steps, lambda item: item.name, notice)
    slots = [[step, None] for step in paginator.steps]
    fresh = FirstSeen(lambda item: item.name)
    pages = []
    while slots:
        waiting = [slot for slot in slots[:ahead] if slot[1] is None]
        if waiting:
            slot = waiting[pick(len(waiting))]
            slot[1] = server.answer(slot[0])
            anchor, added = paginator.next_steps(slot[0], slot[1])
            if added:
                places = [i for i, other in enumerate(slots) if other[0] == anchor]
                where = places[-1] + 1 if places else 0
                slots[where:where] = [[step, None] for step in added]
        while slots and slots[0][1] is not None:
            _, listed = slots.pop(0)
            pages.append(Page(fresh(listed.records), position_of(slot[0] for slot in slots)))
    return pages


def names(pages):
    return [item.name for page in pages for item in page.records]


servers = st.builds(
    Server,
    st.lists(st.integers(0, 86_399), max_size=60, unique=True).map(
        lambda at: [Item(a, f"item {a}") for a in at]
    ),
    page_size=st.integers(1, 100),
    clamp=st.integers(1, 25),
    hidden_after=st.none() | st.integers(1, 30),
    says_page_size=st.booleans(),
)


@given(server=servers, data=st.data())
def test_every_record_is_listed_once_whatever_the_server_hides(server, data):
    pages = walked(server, [Step(DAY)], pick=lambda n: data.draw(st.integers(0, n - 1)))
    assert sorted(names(pages)) == sorted(item.name for item in server.held)


@given(server=servers, new=st.sets(st.integers(0, 86_399), max_size=20), data=st.data())
def test_shifting_pages_give_no_duplicates_and_no_gaps(server, new, data):
    new -= {item.at for item in server.held}  # two in one second may be more than the server ever shows
    before = [item.name for item in server.held]
    server.arrivals = [Item(at, f"new {i}") for i, at in enumerate(new)]
    found = names(walked(server, [Step(DAY)], pick=lambda n: data.draw(st.integers(0, n - 1))))
    assert len(found) == len(set(found))
    assert set(found) >= set(before)


@given(count=st.integers(0, 50), size=st.integers(1, 30), says_page_size=st.booleans())
def test_without_a_total_pages_are_requested_one_by_one(count, size, says_page_size):
    server = Server(items(count), page_size=size, says_total=False, says_page_size=says_page_size)
    assert sorted(names(walked(server, [Step(DAY)]))) == sorted(item.name for item in items(count))
    assert len(server.asked) == max(1, -(-count // size))


@given(count=st.integers(0, 50), size=st.integers(1, 30), says_page_size=st.booleans())
def test_without_total_and_has_more_full_pages_continue(count, size, says_page_size):
    server = Server(
        items(count), page_size=size, says_total=False, says_more=False, says_page_size=says_page_size
    )
    assert sorted(names(walked(server, [Step(DAY)]))) == sorted(item.name for item in items(count))
    assert len(server.asked) <= count // size + 2


@pytest.mark.parametrize("says_more", [True, False])
@given(total=st.lists(st.sampled_from([None, 0, 250]), min_size=13, max_size=13), data=st.data())
def test_unsteady_or_wrong_total_hides_nothing(says_more, total, data):
    class Unsteady(Server):
        def answer(self, step):
            return evolve(super().answer(step), total=total[step.page - 1])

    server = Unsteady(items(250), says_more=says_more)
    pages = walked(server, [Step(DAY)], pick=lambda n: data.draw(st.integers(0, n - 1)))
    assert len(names(pages)) == 250
    assert len(server.asked) <= 14


@given(count=st.integers(0, 50), size=st.integers(1, 30))
def test_without_has_more_the_total_decides(count, size):
    server = Server(items(count), page_size=size, says_more=False)
    assert sorted(names(walked(server, [Step(DAY)]))) == sorted(item.name for item in items(count))
    assert len(server.asked) == max(1, -(-count // size))


@given(count=st.integers(0, 50), size=st.integers(1, 30))
def test_correct_listing_takes_the_fewest_requests(count, size):
    server = Server(items(count), page_size=size)
    walked(server, [Step(DAY)])
    assert len(server.asked) == max(1, -(-count // size))


def test_record_missed_between_pages_is_found_by_reading_again():
    # After page 1 its newest record vanishes, so the first of page 2 moves to page 1, which was read already.
    server = Server(items(45), page_size=20, departures=1)
    found = names(walked(server, [Step(DAY)], ahead=1))
    assert set(found) >= {item.name for item in items(44)}
    assert len(found) == len(set(found))


def test_total_above_the_listed_records_is_reported_after_two_reads():
    class Liar(Server):
        def answer(self, step):
            listed = super().answer(step)
            return PageInfo(records=listed.records, total=25, page_size=20, has_more=False)

    server, notices = Liar(items(22)), []
    found = names(walked(server, [Step(DAY)], notice=lambda *what: notices.append(what)))
    assert len(found) == 22
    assert notices == [(Finding.SHORT, DAY, 22, 25)]
    assert len(server.asked) == 4


def test_window_with_hidden_records_is_halved_and_reported():
    server, notices = Server(items(50), hidden_after=30), []
    assert (
        len(names(walked(server, [Step(Window(0, 5_000))], notice=lambda *what: notices.append(what)))) == 50
    )
    assert notices == [(Finding.NARROWED, Window(0, 5_000), 30, 30)]


@pytest.mark.parametrize("says_total", [True, False])
def test_second_with_hidden_records_is_an_error(says_total):
    crowd = [Item(7, f"item {i}") for i in range(31)]
    server = Server(crowd, hidden_after=30, says_total=says_total)
    with pytest.raises(IncompleteListing, match=r"one second 7\b"):
        walked(server, [Step(DAY)])


def test_endless_has_more_ends():
    class Promising(Server):
        def answer(self, step):
            listed = super().answer(step)
            return PageInfo(records=listed.records, total=None, page_size=20, has_more=True)

    server = Promising(items(5))
    with pytest.raises(IncompleteListing):
        walked(server, [Step(Window(0, 500))])
    assert len(server.asked) < 50


@given(server=servers, stop=st.integers(0, 100), data=st.data())
def test_resuming_after_any_page_gives_the_same_records(server, stop, data):
    windows = [Step(Window(43_200, 86_399)), Step(Window(0, 43_199))]
    whole = walked(server, windows, pick=lambda n: data.draw(st.integers(0, n - 1)))
    stop = min(stop, len(whole) - 1)
    resumed = walked(server, steps_at(whole[stop].position))
    assert {*names(whole[: stop + 1]), *names(resumed)} == {item.name for item in server.held}
    assert (whole[-1].position, steps_at(None)) == ([], [])


@given(
    steps=st.lists(
        st.builds(lambda a, b, p: Step(Window(min(a, b), max(a, b)), p), *[st.integers(0, 10**10)] * 2, st.integers(1, 99)),
        unique_by=lambda step: step.window,
    )
)  # fmt: skip
def test_token_has_the_remaining_steps(steps):
    tokens = ResumeTokens("call/lists", "app")
    token = tokens.write(position_of(steps))
    assert steps_at(tokens.read(token, Position)) == steps
    assert token.isascii()
    assert not set(token) & set("=&?/ ")


def test_pages_of_a_window_that_was_cut_are_those_of_the_cut_window():
    """The first request was sent for 0 to 499: the total, the other pages and the resume token are about this part."""
    server = Server(items(45, spread=10), page_size=20)
    paginator = NumberedPaginator([Step(DAY)], lambda item: item.name)
    sent = Window(0, 299)
    after, added = paginator.next_steps(Step(DAY), server.answer(Step(sent)), sent=sent)
    assert (after, added) == (Step(DAY), [Step(sent, 2)])
    assert position_of(added) == [(0, 299, 2)]
    after, added = paginator.next_steps(added[0], server.answer(added[0]), sent=Window(5, 299))
    assert (after, added) == (Step(sent, 2), [])


def test_records_that_cannot_be_read_at_the_same_place_of_two_pages_are_two_records():
    """Otherwise the window would be read again, and reported as short."""
    found = []
    paginator = NumberedPaginator([Step(DAY)], lambda item: item.name, lambda *what: found.append(what))
    pages = [
        PageInfo(records=items(6)[n : n + 2], total=6, page_size=3, has_more=False, unreadable=["$[2]"])
        for n in (0, 2)
    ]
    _, added = paginator.next_steps(Step(DAY), pages[0])
    assert added == [Step(DAY, 2)]
    _, added = paginator.next_steps(added[0], pages[1])
    assert (added, found) == ([], [])
