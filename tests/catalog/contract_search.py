"""The contract of finding documents by their words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit.errors import InvalidInput
from catalogkit.filters import parse_filters
from catalogkit.words import parse_query
from tests.catalog.contract_contents import told
from tests.catalog.desk import DAY, NOW, Desk, relaxed, sha

if TYPE_CHECKING:
    from catalogkit.catalog.rows import Found

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)


def index(desk: Desk) -> int:
    """Bring the index up to date; how many documents that were."""
    count = 0
    while some := desk.catalog.index_documents(3):
        count += some
    return count


def find(desk: Desk, query: str, *clauses: str, **more: Any) -> list[Found]:
    index(desk)
    return desk.catalog.search(parse_query(query), parse_filters(clauses), **more)


def ids(desk: Desk, query: str, *clauses: str, **more: Any) -> list[int]:
    return [one.id for one in find(desk, query, *clauses, **more)]


def tell(desk: Desk, content: str, **facts: Any) -> None:
    desk.catalog.record_contents([(sha(content), told(**facts))], as_of=NOW)


class Search:
    """What is found by which words, in which order, and what never is."""

    def test_a_document_is_found_by_its_names_alone(self, desk: Desk) -> None:
        """Artifact, address, resolver, variant, and the title that came with it; nobody looked into it."""
        number = desk.put_one(
            artifact="arXiv:2101.00001v2",
            source_url="https://example.org/papers/Cell_Division.pdf",
            resolver="unpaywall",
            variant="accepted",
            metadata={"title": "On Mitosis", "year": 1999},
        )
        for query in ("2101.00001v2", "arxiv", "division", "cell_division.pdf", "unpaywall", "accepted", "mitosis"):
            assert ids(desk, query) == [number], query
        assert ids(desk, "1999") == []
        [found] = find(desk, "mitosis")
        assert (found.title, found.authors, found.page_count, found.sha256) == ("On Mitosis", (), None, str(sha("one")))

    def test_a_document_is_found_by_what_was_told_of_its_content(self, desk: Desk) -> None:
        """Title, authors, text; every word has to be there, wherever in the document."""
        number = desk.put_one(artifact="paper")
        tell(desk, "one", title="Cell biology", authors=("Ada Lovelace", "Alan Turing"), text="of mitosis and meiosis")
        for query in ("biology", "lovelace", "mitosis", "turing meiosis paper", '"mitosis and meiosis"', "bio*"):
            assert ids(desk, query) == [number], query
        for query in (
            "biology botany",
            '"meiosis and mitosis"',
            "bio",
            "lovelac",
            "mitosis -turing",
            '"lovelace turing"',
        ):
            assert ids(desk, query) == [] or query == '"lovelace turing"', query
        assert ids(desk, 'cell -"alan lovelace"') == [number]

    def test_case_accents_ligatures_and_widths_make_no_difference(self, desk: Desk) -> None:
        """In the text as in the query."""
        number = desk.put_one()
        tell(desk, "one", text="Eﬃcient CAFÉ, straße, Ｗｉｄｅ, Łódź, Ωμέγα, naïve soft\u00adhyphen")
        for query in ("efficient", "cafe", "Café", "STRASSE", "wide", "ωμεγα", "naive", "softhyphen", "łodz"):
            assert ids(desk, query) == [number], query

    def test_any_part_of_a_text_without_spaces_is_found(self, desk: Desk) -> None:
        """Chinese, Japanese, Korean, Thai: one letter, two, more; what is elsewhere in it is not."""
        number = desk.put_one()
        tell(desk, "one", text="東京都の文書を検索する。데이터베이스를 찾다. 北京大学 ภาษาไทย")
        for query in (
            "文",
            "文書",
            "東京",
            "検索する",
            "데이터",
            "베이스",
            "大学",
            "ภาษา",
            "東京 大学",
            '"北京大学"',
            "北京*",
        ):
            assert ids(desk, query) == [number], query
        for query in ("京東", "書文", "北大"):
            assert ids(desk, query) == [], query

    def test_the_best_comes_first(self, desk: Desk) -> None:
        """A word in the title, then among the authors, then in a name, then in the text; of equals the newest."""
        order = {
            "title": {"title": "mitosis"},
            "author": {"authors": ("Mitosis",)},
            "name": {},
            "text": {"text": "mitosis"},
        }
        numbers = {}
        for place in ("text", "name", "author", "title"):
            numbers[place] = desk.put_one(
                place, "mitosis" if place == "name" else place, source_url=f"https://x/{place}"
            )
            tell(desk, place, **order[place])
        assert ids(desk, "mitosis") == [numbers[place] for place in order]
        twins = [desk.put_one(f"twin {n}", f"twin-{n}", source_url="https://y") for n in range(4)]
        assert ids(desk, "twin") == twins[::-1]
        assert ids(desk, "twin", limit=2) == twins[:1:-1]
        assert ids(desk, "twin", limit=2, offset=2) == twins[1::-1]
        scores = [one.score for one in find(desk, "mitosis")]
        assert scores == sorted(scores, reverse=True) and scores[0] > scores[-1] > 0

    @given(query=words, text=words)
    @relaxed
    def test_whatever_is_typed_is_words(self, anew: Any, query: str, text: str) -> None:
        """No text is an error of the database: it finds something, or nothing, or says that there is no word in it."""
        desk = Desk(anew())
        desk.put_one()
        tell(desk, "one", text=text)
        try:
            parse_query(query)
        except InvalidInput:
            return
        assert len(ids(desk, query)) <= 1

    @given(text=words)
    @relaxed
    def test_every_text_is_found_by_itself(self, anew: Any, text: str) -> None:
        """Whatever its script: quoted, as a phrase, unless it has no word at all."""
        desk = Desk(anew())
        number = desk.put_one()
        tell(desk, "one", text=text)
        try:
            parse_query(quoted := '"' + text.replace('"', " ") + '"')
        except InvalidInput:
            return
        assert ids(desk, quoted) == [number]

    @pytest.mark.parametrize(
        "query", ["a AND", "NOT x", "NEAR(a b)", '"', "a OR b", "col:x", "^a", "(((", "a*b*", "{t}:a"]
    )
    def test_operators_of_engines_are_words(self, desk: Desk, query: str) -> None:
        """They are neither obeyed nor an error."""
        desk.put_one(artifact="nothing-of-it")
        try:
            assert ids(desk, query) == []
        except InvalidInput as problem:
            assert "no word to look for" in str(problem)

    def test_the_index_follows_what_happens(self, desk: Desk) -> None:
        """New, changed, told anew, without its text, forgotten, recalled: found as it is now, never as it was."""
        number = desk.put_one("one", "first")
        other = desk.put_one("two", "second")
        assert (desk.catalog.unindexed(), index(desk), desk.catalog.unindexed(), index(desk)) == (2, 2, 0, 0)
        tell(desk, "one", text="ancient words")
        assert desk.catalog.search(parse_query("first")) == []  # not indexed as it is now
        assert desk.catalog.unindexed() == 1
        assert ids(desk, "ancient") == [number]
        tell(desk, "one", text="modern words")
        assert (ids(desk, "ancient"), ids(desk, "modern")) == ([], [number])
        desk.put_one("three", "first", as_of=NOW + DAY)
        assert (ids(desk, "modern"), ids(desk, "first")) == ([], [number])
        desk.put_one("one", "first", as_of=NOW + 2 * DAY)
        assert ids(desk, "modern") == [number]
        assert desk.catalog.drop_texts() == 1
        assert (ids(desk, "modern"), ids(desk, "first")) == ([], [number])
        assert desk.forget(other) == ""
        assert desk.catalog.search(parse_query("second")) == []
        with desk.catalog.hand("e" * 64, as_of=NOW + 3 * DAY) as hand:
            assert hand.recall(other, sha("two")) == ""
        assert ids(desk, "second") == [other]

    def test_documents_of_one_content_are_found_each(self, desk: Desk) -> None:
        """By its words all of them, by a name only the one that has it."""
        one, two = desk.put_one("one", "left"), desk.put_one("one", "right")
        tell(desk, "one", text="shared")
        assert ids(desk, "shared") == [two, one]
        assert ids(desk, "shared left") == [one]
        assert desk.catalog.texts_of([one, two, 99]) == {one: "shared", two: "shared"}

    @pytest.mark.parametrize(
        ("clause", "found"),
        [
            ("tenant=acme", "b"), ("tenant!=acme", "ac"), ("resolver=core", "a"), ("resolver~COR", "a"),
            ("artifact_id>=b", "bc"), ("bytes>3", "c"), ("bytes<=3B", "ab"), ("language=en", "a"),
            ("language=en-GB", "a"), ("language=en-US", ""), ("language!=en", "bc"), ("language=de", "b"),
            ("page_count>=10", "a"), ("page_count<10", "b"), ("page_count!=10", "bc"), ("title~café", "a"),
            ("title~CAFE", "a"), ("title=Given", "c"), ("author=Ada", "a"), ("author~AD", "a"), ("author!=Ada", "bc"),
            ("media_type=application/pdf", "ab"), ("media_type=text/plain", "c"), ("created_at>=2026-05-02", "c"),
            ("created_at<2026-05-02", "ab"), ("created_at<=2026-05-01", "ab"), ("created_at>2026-05-01", "c"),
            ("written_at<2001-01-01", "a"), ("metadata.doi=10.1/x", "a"), ("metadata.deep.er=yes", "b"),
            ("metadata.year>=2000", "b"), ("metadata.year=1999", "a"), ("metadata.year!=1999", "bc"),
            ("metadata.open=true", "a"), ("metadata.open=1", "b"), ("metadata.doi~10.1", "a"), ("more.made=tool", "b"),
            ("sha256=" + str(sha("one")), "a"), ("id>=2", "bc"), ("extractor=pdf", "ab"), ("reason=damaged", "b"),
            ("source_url~EXAMPLE.ORG/a", "a"), ("source_url=https://example.org/b", "b"), ("variant=accepted", "b"),
            ("run_id=r1", "b"), ("run_id!=r1", "ac"), ("content_type=text/html", "c"), ("content_type~PDF", "ab"),
            ("fetched_at<2026-04-01", "a"), ("fetched_at>=2026-04-01", "b"), ("changed_at>=2026-05-02", "c"),
            ("modified_at<2002-01-01", "a"), ("detected_language=de", "b"), ("detected_language!=de", "ac"),
            ("text_chars>=9", "b"), ("text_chars<9", "a"), ("encrypted=true", "b"), ("encrypted=false", "a"),
            ("encrypted!=true", "ac"), ("warning=truncated", "a"), ("warning!=truncated", "bc"), ("warning~RUNC", "a"),
            ("keyword=sea birds", "a"), ("keyword~BIRD", "ab"), ("keyword!=birds", "ac"), ("subject=Ornithology", "a"),
            ("subject~ORNI", "a"), ("description~café", "b"), ("more.subject=Ornithology", "a"),
        ],
    )  # fmt: skip
    def test_filters_hold_beside_the_words(self, desk: Desk, clause: str, found: str) -> None:
        """By every field, of the document, of its content, and inside what the downloader and the extractor told."""
        given = {"doi": "10.1/x", "year": 1999, "open": True}
        pdf = {"content_type": "application/pdf"}
        old, new = NOW.replace(month=3), NOW.replace(month=4, day=2)
        desk.put_one(
            "one", "a", resolver="core", source_url="https://example.org/a", fetched_at=old, metadata=given, **pdf
        )
        given = {"deep": {"er": "yes"}, "year": 2001, "open": 1}
        desk.put_one(
            "two", "b", tenant="acme", source_url="https://example.org/b", variant="accepted", run_id="r1",
            fetched_at=new, metadata=given, **pdf,
        )  # fmt: skip
        given = {"title": "Given", "year": "unknown"}
        desk.put_one("three", "c", as_of=NOW + DAY, content_type="text/html", metadata=given)
        written = NOW.replace(year=2000)
        tell(
            desk, "one", title="Café", authors=("Ada", "Bob"), language="en-GB", page_count=10, created_at=written,
            modified_at=written + DAY, subject="Ornithology", keywords=("sea birds", "islands"),
            warnings=("truncated",), text="short", text_chars=5,
        )  # fmt: skip
        tell(
            desk, "two", detected_language="de", page_count=9, more={"made": "tool"}, reason="damaged", encrypted=True,
            keywords=("birds",), description="In the CAFE\u0301", text_chars=99, warnings=("repaired",),
        )  # fmt: skip
        names = {1: "a", 2: "b", 3: "c"}
        assert "".join(sorted(names[one] for one in ids(desk, "example", clause))) == found

    def test_filters_hold_together(self, desk: Desk) -> None:
        """All of them."""
        for name in "ab":
            desk.put_one(name, name, resolver="core", tenant=f"t-{name}")
        assert ids(desk, "core", "resolver=core", "tenant=t-a", "bytes>=1") == [1]
        assert ids(desk, "core", "resolver=core", "tenant=t-a", "bytes>1") == []

    def test_what_is_not_a_question_is_refused(self, desk: Desk) -> None:
        """No word that is wanted, no place for an answer."""
        terms = parse_query("x")
        for wrong in ({"limit": 0}, {"offset": -1}):
            with pytest.raises(InvalidInput):
                desk.catalog.search(terms, **wrong)
        with pytest.raises(InvalidInput):
            desk.catalog.search([])
        with pytest.raises(InvalidInput):
            desk.catalog.index_documents(0)
        assert desk.catalog.search(terms) == []
