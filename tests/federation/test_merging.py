"""The join of two states of a record: whatever sites did, in whatever order they hear of it, all come to one state."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit.federation.causality import covers, includes, joined
from catalogkit.federation.merging import Content, Life, Notes, Record, contested, join, new, plain, shown, written

SITES = ("east", "north", "west")


def content(number: int, fetched_us: int | None = None) -> Content:
    return Content(bytes([number]) * 32, number, "text/plain", fetched_us=fetched_us)


@dataclass
class World:
    """Three sites that each have a state of one record, and all that was ever written."""

    states: dict[str, Record] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SITES, 0))
    writes: list[tuple[str, int, str, dict[str, int]]] = field(default_factory=list)
    """Dot, group, and what was known by then."""

    def write(self, site: str, group: str, value: int, at_us: int) -> None:
        self.numbers[site] += 1
        dot, mine = (site, self.numbers[site]), self.states.get(site)
        if mine is None:
            self.states[site] = new(dot, at_us, content(value), Notes())
            self.writes += [(*dot, group, {}) for group in ("content", "notes", "life")]
            return
        self.writes.append((*dot, group, dict(mine.context)))
        if group == "content":
            self.states[site] = written(mine, dot, at_us, content=content(value, fetched_us=value or None))
        elif group == "notes":
            self.states[site] = written(mine, dot, at_us, notes=Notes(f'{{"n":{value}}}'))
        else:
            self.states[site] = written(mine, dot, at_us, life=Life(live=value % 2 == 0))

    def tell(self, source: str, target: str) -> None:
        if (told := self.states.get(source)) is not None:
            mine = self.states.get(target)
            self.states[target] = told if mine is None else join(mine, told)

    def left(self, group: str) -> set[tuple[str, int]]:
        """Which values must be left in the end: those of which no later writer of the group knew."""
        mine = [(site, number, known) for site, number, about, known in self.writes if about == group]
        return {
            (site, number) for site, number, _ in mine if not any(covers(known, (site, number)) for _, _, known in mine)
        }


write = st.tuples(
    st.just("write"), st.sampled_from(SITES), st.sampled_from(["content", "notes", "life"]), st.integers(0, 4),
    st.integers(0, 3),
)  # fmt: skip
tell = st.tuples(st.just("tell"), st.sampled_from(SITES), st.sampled_from(SITES))
histories = st.lists(write | tell, max_size=25)


def played(history: list[tuple[str, ...]]) -> World:
    world = World()
    for name, *arguments in history:
        getattr(world, name)(*arguments)
    return world


@given(histories)
def test_join_is_commutative_associative_and_idempotent(history: list[tuple[str, ...]]) -> None:
    """Any three states that a history leads to join to the same, in any order and however often."""
    states = list(played(history).states.values())
    ends = set()
    for order in permutations(states):
        total = Record()
        for state in order:
            total = join(total, state)
        again = total
        for state in order:
            again = join(again, state)
            assert join(state, state) == state
        assert again == total
        ends.add((tuple(sorted(total.context.items())), total.content, total.notes, total.life))
    if len(states) == 3:
        one, two, three = states
        assert join(join(one, two), three) == join(one, join(two, three))
    assert len(ends) <= 1


@given(histories)
def test_what_is_left_is_what_no_later_writer_knew_of(history: list[tuple[str, ...]]) -> None:
    """No value is lost that was not written over in its knowledge, and none stays that was."""
    world = played(history)
    for source, target in [*permutations(SITES, 2)] * 2:
        world.tell(source, target)
    for state in world.states.values():
        for group in ("content", "notes", "life"):
            assert {one.dot for one in getattr(state, group)} == world.left(group)
        assert state == next(iter(world.states.values()))


@given(histories)
def test_a_deletion_never_wins_silently(history: list[tuple[str, ...]]) -> None:
    """Where one site deleted and another did something of its own to the same life, it lives, and that is told."""
    world = played(history)
    for source, target in [*permutations(SITES, 2)] * 2:
        world.tell(source, target)
    for state in world.states.values():
        lives = {one.value.live for one in state.life}
        assert shown(state).live == (True in lives)
        assert ("life" in contested(state)) == (len(lives) == 2)


def test_later_knowledge_writes_over() -> None:
    """A change in the knowledge of another replaces it, whatever the clocks say."""
    first = new(("east", 1), 1000, content(1), Notes())
    second = written(first, ("west", 1), 10, content=content(2))
    assert shown(join(first, second)).content.value == content(2)
    assert contested(join(second, first)) == []


def test_concurrent_contents_show_the_one_fetched_last() -> None:
    """Both stay; the later fetch is shown, and the other is a conflict until somebody chooses."""
    first = new(("east", 1), 1000, content(1), Notes())
    here = written(first, ("east", 2), 2000, content=content(2, fetched_us=5))
    there = written(first, ("west", 1), 1500, content=content(3, fetched_us=6))
    both = join(here, there)
    assert shown(both).content.value == content(3, fetched_us=6)
    assert contested(both) == ["content"] and len(both.content) == 2
    chosen = written(both, ("east", 3), 3000, content=content(2, fetched_us=5))
    assert contested(join(chosen, both)) == [] and shown(join(both, chosen)).content.value.sha256 == content(2).sha256


def test_groups_merge_apart() -> None:
    """New content here and new metadata there is no conflict."""
    first = new(("east", 1), 1, content(1), Notes())
    both = join(written(first, ("east", 2), 2, content=content(2)), written(first, ("west", 1), 2, notes=Notes("[]")))
    assert contested(both) == []
    assert (shown(both).content.value, shown(both).notes.value) == (content(2), Notes("[]"))


def test_the_same_bytes_twice_are_no_conflict() -> None:
    """Two sites that fetched the same bytes apart agree."""
    both = join(new(("east", 1), 1, content(1, 7), Notes()), new(("west", 1), 2, content(1, 9), Notes()))
    assert contested(both) == [] and len(both.content) == 2


def test_an_overruled_deletion_is_told() -> None:
    """A document that lives on against a deletion is listed, though nothing is concurrent any more."""
    gone = written(new(("east", 1), 1, content(1), Notes()), ("west", 1), 2, life=Life(live=False))
    kept = written(gone, ("east", 2), 3, life=Life(over=(("west", 1),)))
    assert contested(kept) == ["life"] and shown(kept).live
    assert contested(written(kept, ("east", 3), 4, life=Life())) == []


def test_a_number_that_was_given_twice_still_converges() -> None:
    """Should two changes have one dot, all agree on one of them, whoever hears of which first."""
    one, two = new(("east", 1), 1, content(1), Notes()), new(("east", 1), 1, content(2), Notes())
    assert join(one, two) == join(two, one)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (new(("east", 3), 7, content(1), Notes()), ("east", 3, 7)),
        (written(new(("east", 3), 7, content(1), Notes()), ("east", 4), 8, notes=Notes()), None),
        (written(new(("east", 3), 7, content(1), Notes()), ("east", 4), 8, life=Life(live=False)), None),
    ],
)
def test_what_is_whole_of_one_change(record: Record, expected: object) -> None:
    """Most records are what one change made of them, and take no room of their own."""
    assert plain(record) == expected


def test_contexts() -> None:
    """A context covers all numbers up to its own, of each site apart."""
    assert covers({"east": 3}, ("east", 2)) and not covers({"east": 3}, ("west", 1))
    assert joined({"east": 3}, {"east": 1, "west": 2}) == {"east": 3, "west": 2}
    assert includes({"east": 3, "west": 1}, {"east": 3}) and not includes({"east": 3}, {"west": 1})
