"""Makes the two clients of a bucket from its settings and the environment; no other code sees a key."""

from __future__ import annotations

import base64
import binascii
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import InvalidInput, StoreUnreachable
from catalogkit.stores.s3.settings import SSE_C_KEY

if TYPE_CHECKING:
    import obstore.store

    from catalogkit.stores.s3.settings import S3Settings

CONNECTIONS: Final = 32
CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60
# Together about a minute: a server that says 503 for longer is not there.
RETRIES: Final = 6
RETRY_SECONDS: Final = 60


def api_of(settings: S3Settings) -> Any:
    """botocore's client: for what obstore has no verb for. Making it takes longer than many a request.

    It is the client that boto3 has, without what boto3 adds, which takes as long to load again.
    """
    import botocore.exceptions
    from botocore.config import Config

    session, region, endpoint, style = who(settings)
    config = Config(
        # All bytes are hashed as a whole, and parts have a checksum: nobody would look at one more SHA-256 of each,
        # which botocore makes wherever it is not the one to make the checksum.
        s3={"addressing_style": style, "payload_signing_enabled": False},
        retries={"mode": "standard", "total_max_attempts": RETRIES},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",  # the parts are given theirs
        response_checksum_validation="when_required",  # what is read is hashed
    )
    try:
        return session.create_client("s3", region_name=region, endpoint_url=endpoint or None, config=config)
    except (botocore.exceptions.BotoCoreError, ValueError) as problem:
        raise InvalidInput(f"{settings.place()} cannot be spoken to as the environment says: {problem}") from None


def data_of(settings: S3Settings) -> obstore.store.S3Store:
    """obstore's client: for bytes and looks."""
    import obstore.store

    endpoint, style = _where(settings)
    if known := _at_hand(settings):
        keys, region = known
        provider = None
    else:
        keys, (session, region, *_) = {}, who(settings)
        provider = partial(_renewed, session)
    options: dict[str, Any] = {
        **keys,
        "region": region,
        "virtual_hosted_style_request": style == "virtual",
        "checksum_algorithm": "SHA256",
    }
    if endpoint:
        scheme, _, host = endpoint.partition("://")
        options["endpoint"] = endpoint if style == "path" else f"{scheme}://{settings.bucket}.{host}"
    if settings.requester_pays:
        options["request_payer"] = True
    if settings.sse:
        options["server_side_encryption"] = settings.sse
    if settings.kms_key:
        options["sse_kms_key_id"] = settings.kms_key
    if settings.sse == "sse-c":
        options["sse_customer_key_base64"] = base64.b64encode(customer_key(settings)).decode()
    return obstore.store.S3Store(
        settings.bucket,
        prefix=settings.prefix or None,
        config=options,  # type: ignore[arg-type]
        **how(endpoint),
        credential_provider=provider,
    )


def how(endpoint: str) -> dict[str, Any]:
    """How long every client of obstore's waits, and how often it tries again."""
    return {
        "client_options": {
            "allow_http": endpoint.startswith("http:"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=READ_SECONDS),
            "timeout": timedelta(seconds=10 * READ_SECONDS),
        },
        "retry_config": {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
    }


def who(settings: S3Settings) -> tuple[Any, str, str, str]:
    """Who asks, where, and how: a session that finds the keys, the region, the endpoint, the style.

    Raises
    ------
    StoreUnreachable, InvalidInput
        If there are no keys, or the profile that has them.
    """
    import botocore.exceptions
    import botocore.session

    session = botocore.session.Session(profile=settings.profile or None)
    try:
        known, region = session.get_credentials(), _region(settings) or session.get_config_variable("region")
    except botocore.exceptions.ProfileNotFound:
        raise InvalidInput(f"your AWS settings have no profile {settings.profile!r}") from None
    if known is None:
        raise StoreUnreachable(
            f"no keys for {settings.place()}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of"
            " your AWS settings (?profile=...)"
        )
    return session, region or "us-east-1", *_where(settings)


def _at_hand(settings: S3Settings) -> tuple[dict[str, str], str] | None:
    """The keys and the region that the environment says, where that is all there is to know.

    It is what a session would find first, and spares making one, which takes longer than many a request.
    """
    names = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    keys, region = {name: os.environ.get(variable, "") for name, variable in names.items()}, _region(settings)
    if settings.profile or not region or not all(keys.values()) or os.environ.get("AWS_CREDENTIAL_EXPIRATION"):
        return None
    token = os.environ.get("AWS_SESSION_TOKEN") or os.environ.get("AWS_SECURITY_TOKEN")
    return keys | ({"token": token} if token else {}), region


def _renewed(session: Any) -> Any:
    """What a session knows now, as obstore wants it."""
    now = session.get_credentials().get_frozen_credentials()
    # Asked for again in good time: botocore renews what is about to run out, and keeps what is not.
    until = datetime.now(UTC) + timedelta(minutes=5)
    keys = {"access_key_id": now.access_key, "secret_access_key": now.secret_key, "token": now.token}
    return {**keys, "expires_at": until}


def _region(settings: S3Settings) -> str:
    """What the URL says, or the environment; nothing where it is left to the AWS settings."""
    return settings.region or os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION", "")


def _where(settings: S3Settings) -> tuple[str, str]:
    """The server's address, nothing for Amazon's; and how a request names the bucket."""
    endpoint = settings.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    style = settings.style if settings.style != "auto" else "path" if endpoint else "virtual"
    return endpoint, style


def customer_key(settings: S3Settings) -> bytes:
    """The key that the customer keeps, for this store; `InvalidInput` without one."""
    variable = settings.sse_c_env or SSE_C_KEY
    try:
        key = base64.b64decode(os.environ.get(variable, ""), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 32:
        raise InvalidInput(f"sse=sse-c needs ${variable}: 32 bytes in base64")
    return key
