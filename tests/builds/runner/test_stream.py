"""Tests of splitting a stream of any chunks into output and exit statuses, with redacted secrets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.builds.runner.stream import Splitter, redact

MARKER = "\x1eab12 "


def pieces(splitter: Splitter, *chunks: bytes) -> tuple[bytes, list[int]]:
    found = [piece for chunk in chunks for piece in splitter.feed(chunk)] + list(splitter.end())
    return b"".join(p for p in found if isinstance(p, bytes)), [p for p in found if isinstance(p, int)]


@given(st.data())
def test_chunk_boundaries_do_not_change_result(data):
    outputs = data.draw(st.lists(st.binary(max_size=20).filter(lambda each: b"\x1e" not in each), max_size=5))
    statuses = data.draw(st.lists(st.integers(0, 255), min_size=len(outputs), max_size=len(outputs)))
    stream = b"".join(out + f"{MARKER}{status}\n".encode() for out, status in zip(outputs, statuses, strict=True))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert pieces(Splitter(MARKER), *chunks) == (b"".join(outputs), statuses)


@given(st.data())
def test_secret_is_redacted_across_chunks(data):
    secret = data.draw(st.text("ab\n", min_size=4, max_size=8))
    text = data.draw(st.lists(st.sampled_from([secret, "a", "b", "\n", "c", secret[:-1]]), max_size=12).map("".join))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[start:end].encode() for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    output, _ = pieces(Splitter(MARKER, [secret]), *chunks)

    assert output == text.replace(secret, "***").encode()


def test_incomplete_line_is_passed_on_immediately():
    splitter = Splitter(MARKER, ["sesame"])

    assert list(splitter.feed(b"50 %")) == [b"50 %"]
    assert list(splitter.feed(b" ses")) == [b" "]
    assert list(splitter.feed(b"sion")) == [b"session"]


def test_longer_of_two_secrets_is_redacted_completely():
    assert pieces(Splitter(MARKER, ["pass", "password"]), b"a password, a pass") == (b"a ***, a ***", [])


def test_short_secret_is_redacted_only_as_whole_text():
    assert redact("https://me:password@host", ["pass", "password", ""]) == "https://me:***@host"
    assert (redact("x", ["x"]), redact("exit", ["x"]), redact("", [""])) == ("***", "exit", "")


def test_short_secret_is_not_redacted_in_output():
    assert pieces(Splitter(MARKER, ["x", ""]), b"exit") == (b"exit", [])
