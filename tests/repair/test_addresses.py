"""What the text of a URL tells: whether it may be fetched at all, and what people may see of it."""

from __future__ import annotations

import pytest

from catalogkit.addresses import is_public, redacted, unfit


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "239.1.1.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1",
        "fe80::1%eth0", "fc00::1", "ff02::1", "ff0e::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b:1::1",
        "2001:0:7f00:1::", "::ffff:169.254.169.254",
    ],
)  # fmt: skip
def test_addresses_that_are_nobodys_business(address: str) -> None:
    """Private, loopback, link-local, multicast, reserved: as they are, or inside an IPv6 address."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_of_the_public_internet(address: str) -> None:
    """What is public stays so, inside an IPv6 address, too."""
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "it came by file,"),
        ("ftp://example.org/a", "it came by ftp,"),
        ("/home/somebody/a.pdf", "it came by a path,"),
        ("s3://bucket/key", "it came by s3,"),
        ("http:///a", "no host"),
        ("http://[::1/a", "cannot be read"),
        ("http://example.org:port/a", "cannot be read"),
        ("http://127.0.0.1/a", "private address"),
        ("http://me:secret@[::1]:80/a", "private address"),
        ("https://localhost/a", "private address"),
        ("https://api.localhost./a", "private address"),
        ("http://10.0.0.1./a", "private address"),
    ],
)
def test_what_is_not_fit_to_be_fetched(url: str, said: str) -> None:
    """The scheme and the host tell; the reason never tells a secret."""
    assert said in unfit(url)
    assert "secret" not in unfit(url)


def test_what_is_fit_to_be_fetched() -> None:
    """Names are looked up when their time comes; private addresses are a matter of permission, schemes never are."""
    assert not unfit("https://example.org/a.pdf")
    assert not unfit("HTTP://93.184.215.14/")
    assert not unfit("http://127.0.0.1:8000/a", private=True)
    assert unfit("file:///etc/passwd", private=True)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org/a.pdf", "https://example.org/a.pdf"),
        ("https://me:se@cret@example.org:8/a?key=secret#secret", "https://***@example.org:8/a?***"),
        ("https://secret@example.org", "https://***@example.org"),
        ("http://[secret", "a URL that cannot be read"),
    ],
)
def test_what_people_see_of_a_url(url: str, shown: str) -> None:
    """No user, no password, no query."""
    assert redacted(url) == shown
