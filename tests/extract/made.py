"""Small documents that tests make themselves, good ones and hostile ones."""

from __future__ import annotations

import io
import zipfile
from typing import Final

CONTAINER: Final = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="{where}" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
PROSE: Final = (
    "The birds of the northern islands arrive in spring and leave before the first storms of autumn. "
    "Nobody has counted them for twenty years, and the keeper of the lighthouse says there were more of them once. "
)


def pdf(
    *pages: str, info: str = "", catalog: str = "", xmp: str = "", extra: dict[int, str] | None = None, tail: str = ""
) -> bytes:
    """A PDF file: a page for each text, what its Info dictionary and its catalog have, an XMP packet."""
    count = len(pages) or 1
    objects: dict[int, bytes] = {
        1: f"<< /Type /Catalog /Pages 2 0 R {catalog} {'/Metadata 4 0 R' if xmp else ''} >>".encode(),
        2: f"<< /Type /Pages /Count {count} /Kids [{' '.join(f'{10 + 2 * n} 0 R' for n in range(count))}] >>".encode(),
        3: f"<< {info} >>".encode("latin-1"),
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    }
    if xmp:
        objects[4] = _stream(xmp.encode(), "/Type /Metadata /Subtype /XML")
    for number, text in enumerate(pages or ("",)):
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in text.split("\n") if line)
        objects[10 + 2 * number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {11 + 2 * number} 0 R"
            " /Resources << /Font << /F1 5 0 R >> >> >>"
        ).encode()
        objects[11 + 2 * number] = _stream(f"BT /F1 12 Tf 20 700 Td {lines} ET".encode("latin-1"))
    objects |= {number: text.encode() for number, text in (extra or {}).items()}
    out, places = bytearray(b"%PDF-1.7\n"), {}
    for number, body in sorted(objects.items()):
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start, size = len(out), max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        out += b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 00000 f \n"
    out += f"trailer << /Size {size} /Root 1 0 R /Info 3 0 R {tail} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


def _stream(body: bytes, about: str = "") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(body), about.encode(), body)


def xmp(body: str) -> str:
    """An XMP packet with these properties."""
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        f' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">{body}'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


def zipped(members: dict[str, str | bytes], *, stored: tuple[str, ...] = ("mimetype",)) -> bytes:
    """A zip archive of these members, in this sequence."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body, zipfile.ZIP_STORED if name in stored else None)
    return file.getvalue()


def epub(
    metadata: str,
    manifest: str = "",
    spine: str = "",
    parts: dict[str, str] | None = None,
    *,
    version: str = "3.0",
    where: str = "OEBPS/book.opf",
    toc: str = "",
    around: str = "",
    mimetype: bool = True,
) -> bytes:
    """An EPUB: what its package file has, and its parts, named from the folder of that file."""
    folder = where.rpartition("/")[0]
    package = (
        f'<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="{version}">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf">'
        f"{metadata}</metadata><manifest>{manifest}</manifest><spine {toc}>{spine}</spine></package>"
    )
    members: dict[str, str | bytes] = {"mimetype": "application/epub+zip"} if mimetype else {}
    members |= {f"{around}META-INF/container.xml": CONTAINER.format(where=where), around + where: package}
    members |= {f"{around}{folder}/{name}" if folder else around + name: body for name, body in (parts or {}).items()}
    return zipped(members)


def page(body: str, title: str = "") -> str:
    """A page of a book."""
    return f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{title}</title></head><body>{body}</body></html>'


def docx(core: str, body: str) -> bytes:
    """A DOCX document: its core properties, the paragraphs of its body."""
    return zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "docProps/core.xml": '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/'
            'core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">'
            f"{core}</cp:coreProperties>",
            "docProps/app.xml": "<Properties><Pages>7</Pages><Application>Words</Application></Properties>",
            "word/document.xml": '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
            f"<w:body>{body}</w:body></w:document>",
        }
    )


def odt(meta: str, body: str, manifest: str = "") -> bytes:
    """An ODT document."""
    space = (
        'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:meta="urn:oasis:names:tc:opendocument:xmlns:meta:1.0"'
        ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    )
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"<office:document {space}><office:body>{body}</office:body></office:document>",
            "meta.xml": f"<office:document-meta {space}><office:meta>{meta}</office:meta></office:document-meta>",
            "META-INF/manifest.xml": f"<manifest>{manifest}</manifest>",
        }
    )


def laughs(root: str = "lol") -> bytes:
    """Billion laughs: entities within entities, some gigabytes of them."""
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE {root} [<!ENTITY l0 "lol">{entities}]><{root}>&l9;</{root}>'.encode()


def overlapping(members: int, size: int) -> bytes:
    """A zip archive whose members all are the same compressed bytes (after David Fifield's overlapping files)."""
    whole = zipped({"a": b"\0" * size})
    start = whole.index(b"PK\x01\x02")
    end = whole.index(b"PK\x05\x06")
    entry = whole[start:end]
    central = b"".join(entry[:-1] + bytes([97 + n]) for n in range(members))
    tail = bytearray(whole[end:])
    tail[8:12] = members.to_bytes(2, "little") * 2
    tail[12:16] = len(central).to_bytes(4, "little")
    return whole[:start] + central + bytes(tail)
