"""The settings of a bucket, all in its URL, none of them secret.

``s3://bucket/prefix?region=eu-central-1&sse=aws:kms``, ``gs://bucket/prefix`` or ``az://container/prefix?account=papers``.
Keys, tokens and customer encryption keys come from the environment, or from a profile of the AWS settings; a URL that
has one is refused, and not repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from catalogkit.errors import InvalidInput
from catalogkit.units import parse_bytes

SSE_C_KEY: Final = "CATALOGKIT_S3_SSE_C_KEY"
_SSE: Final = ("", "AES256", "aws:kms", "aws:kms:dsse", "sse-c")
_STYLES: Final = ("auto", "path", "virtual")
_RESTORES: Final = ("Standard", "Bulk", "Expedited")
# Classes whose objects have to be restored before they can be read, and within what time they are, by how that is
# asked for: Amazon S3 User Guide, "Understanding archive retrieval options".
ARCHIVES: Final = {
    "GLACIER": {"Expedited": timedelta(minutes=5), "Standard": timedelta(hours=5), "Bulk": timedelta(hours=12)},
    "DEEP_ARCHIVE": {"Standard": timedelta(hours=12), "Bulk": timedelta(hours=48)},
}
_SECRETS: Final = re.compile(r"secret|token|password|signature|credential|access_?key|customer", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN: Final = ("account", "region", "profile", "style", "sse", "kms_key", "sse_c_env", "storage_class", "restore")
_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
# Amazon's rules, and those of servers that take more: capital letters, underscores, longer names. What a server of its
# own rules does not take, it says itself.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


class Service(NamedTuple):
    """What a kind of service is called, what its URLs can say, where its keys are looked for, how buckets are named."""

    name: str
    known: frozenset[str]
    keys: str
    names: str


_S3: Final = ("conditional", "kms_key", "profile", "region", "requester_pays", "restore", "sse", "sse_c_env")
SERVICES: Final = {
    "s3": Service(
        "S3",
        frozenset({*_S3, "bandwidth", "endpoint", "storage_class", "style"}),
        f"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN or {SSE_C_KEY}, or name a profile of your AWS"
        " settings (?profile=...)",
        "a bucket's name is 3 to 63 small letters, digits, dots and hyphens, a letter or digit first and last",
    ),
    "gs": Service(
        "Google Cloud Storage",
        frozenset({"bandwidth", "endpoint"}),
        "the file that GOOGLE_APPLICATION_CREDENTIALS names",
        "a bucket's name is 3 to 63 small letters, digits, hyphens, underscores and dots, a letter or digit first and"
        " last",
    ),
    "az": Service(
        "Azure Blob Storage",
        frozenset({"account", "bandwidth", "endpoint"}),
        "AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
        "a container's name is 3 to 63 small letters, digits and single hyphens, a letter or digit first and last",
    ),
}
EXAMPLES: Final = "s3://bucket/prefix, gs://bucket/prefix or az://container/prefix?account=NAME"


def is_bucket(url: str) -> bool:
    """Whether a URL leads to a bucket, of any service."""
    scheme, found, _ = url.partition("://")
    return bool(found) and scheme in SERVICES


@dataclass(frozen=True, slots=True)
class S3Settings:
    """A bucket and how to speak to it.

    Attributes
    ----------
    bucket, prefix
        Where keys lie; the prefix has no slash at either end. A bucket of Azure's is called a container there.
    scheme
        Which service: ``s3``, or what speaks like it; ``gs``, Google's; ``az``, Azure's.
    account
        Whose container, at Azure's; without it, what ``AZURE_STORAGE_ACCOUNT_NAME`` says.
    endpoint, region, profile
        Where the server is and whose keys are used; without them, what the environment and the AWS settings say.
    style
        How requests name the bucket: ``path``, ``virtual`` (in the host name), or ``auto``: by path for an endpoint
        of one's own.
    sse, kms_key
        Encryption by the server: ``AES256``, ``aws:kms``, ``aws:kms:dsse`` or ``sse-c``, whose key, 32 bytes in
        base64, is in an environment variable.
    sse_c_env
        The name of that variable, never the key, where it is not ``CATALOGKIT_S3_SSE_C_KEY``: so that each tenant's
        store can have a key of its own.
    storage_class
        For new objects; of an archive (``GLACIER``, ``DEEP_ARCHIVE``) they have to be restored before they are read.
    restore
        How that is asked for: ``Standard``, ``Bulk`` (slower, cheaper) or ``Expedited``.
    requester_pays
        Whether the one who asks pays.
    bandwidth
        Bytes a second, at most, each way; 0 for no limit.
    conditional
        False for a server that takes no notice of conditions: one looks first, and writes then.
    """

    bucket: str
    prefix: str = ""
    scheme: str = "s3"
    account: str = ""
    endpoint: str = ""
    region: str = ""
    profile: str = ""
    style: str = "auto"
    sse: str = ""
    kms_key: str = ""
    sse_c_env: str = ""
    storage_class: str = ""
    restore: str = "Standard"
    requester_pays: bool = False
    bandwidth: int = 0
    conditional: bool = True

    @classmethod
    def parse(cls, url: str) -> S3Settings:
        """The settings that a URL says.

        Raises
        ------
        InvalidInput
            If it says something that is not known, or a secret.

        Examples
        --------
        >>> S3Settings.parse("s3://papers/main?sse=AES256").key("cas/00")
        'main/cas/00'
        """
        try:
            parts = urlsplit(url)
            host, user = parts.netloc, parts.username
        except ValueError:
            raise InvalidInput(f"not the URL of a bucket: use {EXAMPLES}") from None
        service = SERVICES.get(parts.scheme)
        name = host.rpartition("@")[2]
        if service is None or not name or parts.fragment:
            raise InvalidInput(f"not the URL of a bucket: use {EXAMPLES}")
        if not _BUCKET.fullmatch(name):  # it is not repeated: it may be a key
            raise InvalidInput(f"not the URL of a bucket: {service.names}")
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        if user is not None or any(_SECRETS.search(name) for name, _ in pairs):
            raise InvalidInput(f"a URL is no place for keys: put them into {service.keys}")
        if unknown := [name for name, _ in pairs if name not in service.known]:
            known = ", ".join(sorted(service.known))
            raise InvalidInput(f"{parts.scheme}://{host} has no setting {unknown[0]!r}; use {known}")
        values = dict(pairs)
        prefix = unquote(parts.path).strip("/")
        if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
            raise InvalidInput(f"a prefix of plain names is needed, not {prefix!r}")
        for name, allowed in (("sse", _SSE), ("style", _STYLES), ("restore", _RESTORES)):
            if values.get(name, allowed[0]) not in allowed:
                raise InvalidInput(f"{name} is one of {', '.join(filter(None, allowed))}, not {values[name]!r}")
        if values.get("kms_key") and not values.get("sse", "").startswith("aws:kms"):
            raise InvalidInput("kms_key goes with sse=aws:kms")
        if (variable := values.get("sse_c_env")) and values.get("sse") != "sse-c":
            raise InvalidInput("sse_c_env goes with sse=sse-c")
        if variable and not _VARIABLE.fullmatch(variable):  # it may be the key itself
            raise InvalidInput("sse_c_env is the name of an environment variable that has the key, such as ACME_KEY")
        if "restore" in values and values["restore"] not in ARCHIVES.get(values.get("storage_class", ""), ()):
            raise InvalidInput(
                f"restore={values['restore']} goes with a storage_class that knows it: GLACIER, for most"
            )
        if not _ACCOUNT.fullmatch(values.get("account", "papers")):
            raise InvalidInput("account is the name of a storage account: 3 to 24 small letters and digits")
        endpoint = values.get("endpoint", "").rstrip("/")
        if endpoint:
            at = urlsplit(endpoint)
            if at.scheme not in ("http", "https") or not at.hostname or at.username or at.query:
                raise InvalidInput("endpoint is an http or https address, such as https://s3.example.org")
        return cls(
            bucket=host,
            prefix=prefix,
            scheme=parts.scheme,
            endpoint=endpoint,
            requester_pays=_flag(values, "requester_pays", False),
            bandwidth=parse_bytes(values["bandwidth"]) if values.get("bandwidth") else 0,
            conditional=_flag(values, "conditional", True),
            **{name: values[name] for name in _PLAIN if name in values},
        )

    @property
    def url(self) -> str:
        """The URL that says all of this."""
        said = {}
        for field in fields(self)[3:]:
            value = getattr(self, field.name)
            if value != field.default:
                said[field.name] = str(value).lower() if isinstance(value, bool) else str(value)
        place = f"{self.scheme}://{self.bucket}/{quote(self.prefix)}".rstrip("/")
        return f"{place}?{urlencode(said, safe=':/')}" if said else place

    @property
    def s3(self) -> bool:
        """Whether it speaks S3, with all that only S3 has: rules, inventories, uploads that are taken up again."""
        return self.scheme == "s3"

    @property
    def archive(self) -> bool:
        """Whether what is written cannot be read before it is restored."""
        return self.storage_class in ARCHIVES

    @property
    def wait(self) -> timedelta | None:
        """Within what time bytes can be read, where that is not at once."""
        return ARCHIVES.get(self.storage_class, {}).get(self.restore)

    @property
    def latency(self) -> str:
        """The same in words."""
        if self.wait is None:
            return ""
        minutes = self.wait // timedelta(minutes=1)
        return f"{minutes // 60} hours" if minutes >= 60 else f"{minutes} minutes"

    def key(self, key: str) -> str:
        """The name of an object in the bucket."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def place(self, key: str = "") -> str:
        """A place as a person names it; without the settings."""
        return f"{self.scheme}://{self.bucket}/{self.key(key)}".rstrip("/")


def _flag(values: dict[str, str], name: str, default: bool) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    try:
        return words[values[name].lower()] if name in values else default
    except KeyError:
        raise InvalidInput(f"{name} is true or false, not {values[name]!r}") from None
