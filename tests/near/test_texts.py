"""Which texts are the same, and which are not: shingles, sketches, stock pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit.near.shingles import FEWEST, SHORT, Shingles, compared
from catalogkit.near.sketches import NUMBERS, sketched, version
from catalogkit.near.stock import is_stock
from tests.near.texts import hyphenated, page, prose, watermarked

TEXT = prose("text")
CHINESE = "".join(chr(0x4E00 + (n * n * 7919 + n) % 5000) for n in range(600))


def same(a: str, b: str) -> bool:
    """Whether two texts are the same, whichever is named first."""
    there, back = compared(Shingles(a), Shingles(b)), compared(Shingles(b), Shingles(a))
    assert (there.same, there.jaccard, there.containment) == (back.same, back.jaccard, back.containment)
    return there.same


@pytest.mark.parametrize(
    "other",
    [
        TEXT.upper(), TEXT.replace(" ", "\n"), watermarked(TEXT), hyphenated(TEXT), page(TEXT),
        TEXT[len(TEXT) // 8 :], TEXT.replace(".", " !"), "Title Page\n1\n" + TEXT,
    ],
)  # fmt: skip
def test_the_same_text_in_other_bytes(other: str) -> None:
    """Case, line ends, hyphens, watermarks, page numbers, menus, a page less."""
    assert same(TEXT, other)


@pytest.mark.parametrize(
    "other", [prose("another"), TEXT[: len(TEXT) // 2], TEXT + prose("more", 500), page(prose("x"), "b", 900), ""]
)
def test_another_text(other: str) -> None:
    """Of the same words, the half of it, a book that has it as a chapter, nothing."""
    assert not same(TEXT, other)


def test_a_translation_that_kept_its_examples_is_another_text() -> None:
    """Most of both together is common, but each has more of its own than a watermark or a menu would be."""
    words, mine, theirs = prose("examples", 900).split(), prose("english").split(), prose("deutsch").split()
    common = words[:780]
    likeness = compared(Shingles(" ".join(common + mine[:210])), Shingles(" ".join(common + theirs[:210])))
    assert likeness.jaccard > 0.62 and not likeness.same


def test_pages_of_one_site_are_not_the_same() -> None:
    """However much of them is menu and footer."""
    assert not same(page(prose("a", 120), "site", 100), page(prose("b", 120), "site", 100))


def test_texts_without_spaces() -> None:
    """Every letter begins a shingle, so a change in one place changes little."""
    assert same(CHINESE, CHINESE[:300] + "水印" + CHINESE[300:])
    assert not same(CHINESE, "".join(reversed(CHINESE)))


def test_a_short_text_must_agree_nearly_whole() -> None:
    """In a form of forty words another name or sum may be all that counts; below twenty nothing is compared."""
    form = prose("form", 40).split()
    assert FEWEST <= len(Shingles(" ".join(form))) < SHORT
    assert same(" ".join(form), " ".join(form).upper())
    changed = [*form[:10], "ada", "lovelace", *form[12:25], "seventeen", *form[26:]]
    assert not same(" ".join(form), " ".join(changed))
    few = " ".join(form[:15])
    assert not same(few, few)


def test_what_differs_is_told_in_its_own_words() -> None:
    """The first words that only one of them has, as they are written there; nothing where nothing differs."""
    a, b = Shingles(TEXT), Shingles("Draft of Monday, not Final. " + TEXT)
    assert b.only(a).startswith("Draft of Monday not Final")
    assert a.only(b) == "" == a.only(a)
    likeness = compared(a, b)
    assert (likeness.only_a, likeness.containment) == (0, 1.0) and likeness.only_b > 0 and likeness.jaccard < 1


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_texts_can_be_compared(a: str, b: str) -> None:
    """Shares are shares, and a text is like itself."""
    likeness = compared(Shingles(a), Shingles(b))
    assert 0 <= likeness.jaccard <= likeness.containment <= 1
    own = compared(Shingles(a), Shingles(a))
    assert own.jaccard in (0.0, 1.0) and own.same == (len(Shingles(a)) >= FEWEST)


@pytest.mark.parametrize(
    "text",
    [
        "404 Not Found. The page you asked for could not be found on this server.",
        "Please enable JavaScript and cookies to continue.",
        "We and our partners use cookies to give you the best experience; accept all cookies?",
        "This website uses cookies. Manage preferences.",
        "Access denied. You do not have permission to view this resource.",
        "503 Service temporarily unavailable",
        "Checking if you are human. This may take a few seconds.",
        "Sign in to continue to the journal. Forgot your password?",
        "Our systems have detected unusual traffic from your network.",
        "Get access to this article for 35 USD. Purchase PDF.",
        "The document you requested is no longer available.",
        "Fehler 404: Die angeforderte Seite wurde leider nicht gefunden.",
        "Wir verwenden auf dieser Website Cookies. Alle Cookies akzeptieren?",
        "Bitte melden Sie sich mit Ihrer Kennung an.",
        "Oups\u202f! Cette page n\u2019existe plus.",
        "Ce site utilise des cookies. Acceptez les cookies pour continuer.",
        "Acce\u0300s refuse\u0301",
        "Página no encontrada",
        "Este sitio usa cookies propias y de terceros.",
        "Inicia sesión para leer el artículo completo.",
        "Accesso negato",
        "Questo sito utilizza i cookie.",
        "Página não encontrada",
        "Faça login para continuar.",
        "Deze website maakt gebruik van cookies.",
        "Sidan kunde inte hittas.",
        "Strona nie została znaleziona.",
        "Stránka nebyla nalezena.",
        "Доступ запрещён. СТРАНИЦА НЕ НАЙДЕНА.",
    ],
)
def test_stock_pages(text: str) -> None:
    """What servers say instead of a document; in the middle of a long text it says nothing."""
    assert is_stock(text) and is_stock(text + " " + prose("site", 60))
    assert not is_stock(prose("before") + text + prose("after"))


@pytest.mark.parametrize(
    "text",
    [
        "Auf der nächsten Seite steht, was in den Archiven gefunden wurde; der Zugriff war einfach.",
        "La page du livre que nous avons trouvée parle des robots et de l'accès aux ports.",
        "En la página siguiente se encuentra el servicio que utilizan los barcos.",
        "Il servizio dei traghetti non era disponibile prima dell'estate.",
        "На странице найдена старая карта островов.",
    ],
)
def test_prose_is_no_stock(text: str) -> None:
    """Words that such pages have are no sign as long as they say something else."""
    assert not is_stock(text)


def test_sketches_say_why_a_text_is_not_compared() -> None:
    """Scans have no text, titles are too short, stock pages are nobody's duplicate; all others have a signature."""
    stock = "404 Not Found " + prose("server", 50)
    made = sketched(["", " \n\t", "A title and no more", stock, TEXT])
    assert [one.why_not for one in made] == ["empty", "empty", "short", "stock", ""]
    assert [len(one.numbers) for one in made] == [0, 0, 0, 0, 4 * NUMBERS]
    assert made[-1].shingles == len(Shingles(TEXT))


def test_a_signature_is_the_same_on_every_machine() -> None:
    """It is kept, and compared with those of other days; if this fails, the version of sketches has to change."""
    [one] = sketched([TEXT])
    assert (version(), one.numbers[:8].hex()) == ("16-2-128-1-2", "03c8fa1e3f58e725")
    assert sketched([TEXT.upper()]) == [one]
