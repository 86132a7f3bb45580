"""Recognizes stock pages, which servers send instead of a document."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# A page that says one of these things and little else; a document about them is longer.
LONGEST_WORDS: Final = 200
_SIGNS: Final = re.compile(
    r"""
      \b 40[0134] \b .{0,40} \b (?: not\ found | forbidden | unauthorized | bad\ request | error ) \b
    | \b (?: page | file | document | url | resource ) \b .{0,40} \b (?: not\ found | could\ not\ be\ found
        | cannot\ be\ found | no\ longer\ (?: exists | available ) | does\ not\ exist ) \b
    | \b (?: access | permission ) \ denied \b
    | \b 50[0234] \b .{0,40} \b (?: error | bad\ gateway | unavailable | time-?out ) \b
    | \b service \ (?: is \ )? (?: temporarily \ )? unavailable \b
    | \b (?: enable | turn\ on | accept | allow | disabled ) \b .{0,30} \b (?: cookies | javascript ) \b
    | \b (?: we | this \ (?: web)? site | our \ (?: web)? site ) \b .{0,30} \b uses? \b .{0,20} \b cookies \b
    | \b (?: verify | prove | confirm | checking ) \b .{0,30} \b (?: you \ are | you're | if ) \b .{0,20} \b human \b
    | \b (?: captcha | unusual\ traffic | automated\ (?: access | requests | queries ) | rate\ limit\ exceeded ) \b
    | \b (?: log | sign ) \ ?-? in \b .{0,40} \b (?: to \ (?: continue | view | access | read | your ) | required ) \b
    | \b (?: you \ (?: must | need \ to ) \ (?: log | sign ) \ ?-? in ) \b
    | \b (?: purchase | buy | get | request ) \ (?: this \ )? (?: access | article | pdf ) \b
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)

# The same in other languages of Europe: not found, denied, unavailable, cookies, JavaScript, logins, robots.
_ELSEWHERE: Final = {
    "de": (
        r"seite .{0,30}nicht gefunden",
        r"zugriff verweigert",
        r"(dienst|server|seite) (ist )?.{0,20}nicht (verfügbar|erreichbar)",
        r"(verwenden|verwendet|nutzen|nutzt) .{0,20}cookies",
        r"cookies (akzeptieren|zulassen|aktivieren)",
        r"(aktivieren sie .{0,20}javascript|javascript .{0,20}(aktivieren|deaktiviert))",
        r"(melden sie sich .{0,20}an|anmelden, um|einloggen, um)",
        r"kein (roboter|bot)",
    ),
    "fr": (
        r"page (introuvable|non trouvée|est introuvable|n'existe (pas|plus))",
        r"accès (refusé|interdit)",
        r"service (est )?(temporairement )?indisponible",
        r"(utilise|utilisent|utilisons) des cookies",
        r"(accepter|acceptez) (tous )?les cookies",
        r"(activer|activez) (le )?(javascript|les cookies)",
        r"(connectez-vous pour|vous devez (vous connecter|être connecté))",
        r"pas un robot",
    ),
    "es": (
        r"página no (encontrada|existe)",
        r"no se (ha |pudo )?(encontrado|encontró|encontrar) la página",
        r"acceso denegado",
        r"servicio (temporalmente )?no disponible",
        r"(utiliza|utilizamos|usa|usamos) cookies",
        r"aceptar (todas )?(las )?cookies",
        r"(active|activar|habilite|habilitar) (javascript|las cookies)",
        r"(inicia|inicie|iniciar) sesión para",
        r"no (eres|es|soy) un robot",
    ),
    "it": (
        r"pagina non (trovata|esiste)",
        r"accesso negato",
        r"servizio (temporaneamente )?non disponibile",
        r"(utilizza|utilizziamo|usa) (i )?cookie",
        r"(accetta|accettare) (tutti )?i cookie",
        r"(attiva|attivare|abilita|abilitare) (javascript|i cookie)",
        r"(accedi|effettua l'accesso|effettua il login) per",
        r"non sei un robot",
    ),
    "pt": (
        r"página não (encontrada|existe)",
        r"acesso negado",
        r"serviço (temporariamente )?indisponível",
        r"(utiliza|utilizamos|usa|usamos) cookies",
        r"aceitar (todos )?(os )?cookies",
        r"(ative|ativar|habilite|habilitar) (o )?(javascript|os cookies)",
        r"faça (o )?login para",
        r"não é um robô",
    ),
    "nl": (
        r"pagina (is )?niet gevonden",
        r"toegang geweigerd",
        r"(dienst|service) (is )?(tijdelijk )?niet beschikbaar",
        r"(gebruikt|gebruiken|maakt gebruik van) cookies",
        r"cookies (accepteren|toestaan)",
        r"schakel javascript in",
        r"log in om",
        r"geen robot",
    ),
    "sv": (
        r"sidan (kunde inte hittas|hittades inte|finns inte)",
        r"åtkomst nekad",
        r"tjänsten är (tillfälligt )?otillgänglig",
        r"använder (vi )?cookies",
        r"(acceptera|godkänn|tillåt) (alla )?cookies",
        r"aktivera javascript",
        r"logga in för att",
        r"inte är en robot",
    ),
    "pl": (
        r"nie znaleziono strony",
        r"strona nie (została znaleziona|istnieje)",
        r"odmowa dostępu",
        r"usługa (jest )?(chwilowo |tymczasowo )?niedostępna",
        r"(używa|używamy|wykorzystuje|korzysta z) (plików )?cookies?",
        r"włącz (obsługę )?javascript",
        r"zaloguj się, aby",
        r"nie jesteś robotem",
    ),
    "cs": (
        r"stránka (nenalezena|nebyla nalezena|neexistuje)",
        r"přístup odepřen",
        r"služba (je )?(dočasně )?nedostupná",
        r"(používá|používáme) (soubory )?cookies?",
        r"povolte javascript",
        r"přihlaste se",
        r"nejste robot",
    ),
    "ru": (
        r"страница не (найдена|существует)",
        r"доступ (запрещ[её]н|закрыт)",
        r"(сервис|сервер) (временно )?недоступен",
        r"использует (файлы )?cookie",
        r"включите javascript",
        r"войдите, чтобы",
        r"вы не робот",
    ),
}
_SIGNS_ELSEWHERE: Final = re.compile(
    r"\b(" + "|".join(phrase for phrases in _ELSEWHERE.values() for phrase in phrases) + r")\b", re.IGNORECASE
)
# Sketches say which version of these phrases they were made with.
VERSION: Final = 2


def is_stock(text: str) -> bool:
    """Whether a text looks like what a server says instead of the document.

    Examples
    --------
    >>> is_stock("404 Not Found. The page you asked for could not be found on this server.")
    True
    >>> is_stock("Die angeforderte Seite wurde leider nicht gefunden.")
    True
    >>> is_stock("The cell is the unit of life.")
    False
    """
    words = text.split()
    if len(words) > LONGEST_WORDS:
        return False
    line = unicodedata.normalize("NFC", " ".join(words)).replace("\u2019", "'")
    return any(signs.search(line) for signs in (_SIGNS, _SIGNS_ELSEWHERE))
