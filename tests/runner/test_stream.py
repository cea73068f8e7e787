"""Output, secrets and exit statuses taken out of a stream that comes in any pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.runner.stream import Splitter, hidden

MARKER = "\x1eab12 "


def pieces(splitter: Splitter, *chunks: bytes) -> tuple[bytes, list[int]]:
    found = [piece for chunk in chunks for piece in splitter.feed(chunk)] + list(splitter.end())
    return b"".join(p for p in found if isinstance(p, bytes)), [p for p in found if isinstance(p, int)]


@given(st.data())
def test_the_pieces_in_which_it_comes_make_no_difference(data):
    outputs = data.draw(st.lists(st.binary(max_size=20).filter(lambda each: b"\x1e" not in each), max_size=5))
    statuses = data.draw(st.lists(st.integers(0, 255), min_size=len(outputs), max_size=len(outputs)))
    stream = b"".join(out + f"{MARKER}{status}\n".encode() for out, status in zip(outputs, statuses, strict=True))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert pieces(Splitter(MARKER), *chunks) == (b"".join(outputs), statuses)


@given(st.data())
def test_a_secret_never_comes_through_wherever_the_stream_is_cut(data):
    secret = data.draw(st.text("ab\n", min_size=4, max_size=8))
    text = data.draw(st.lists(st.sampled_from([secret, "a", "b", "\n", "c", secret[:-1]]), max_size=12).map("".join))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[start:end].encode() for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    output, _ = pieces(Splitter(MARKER, [secret]), *chunks)

    assert output == text.replace(secret, "***").encode()


def test_a_line_that_is_not_finished_is_handed_on_at_once():
    splitter = Splitter(MARKER, ["sesame"])

    assert list(splitter.feed(b"50 %")) == [b"50 %"]
    assert list(splitter.feed(b" ses")) == [b" "]
    assert list(splitter.feed(b"sion")) == [b"session"]


def test_the_longer_of_two_secrets_is_hidden_whole():
    assert pieces(Splitter(MARKER, ["pass", "password"]), b"a password, a pass") == (b"a ***, a ***", [])


def test_secrets_are_hidden_inside_of_a_text_short_ones_where_they_are_all_of_it():
    assert hidden("https://me:password@host", ["pass", "password", ""]) == "https://me:***@host"
    assert (hidden("x", ["x"]), hidden("exit", ["x"]), hidden("", [""])) == ("***", "exit", "")


def test_a_very_short_secret_is_left_alone_as_it_would_hide_everything():
    assert pieces(Splitter(MARKER, ["x", ""]), b"exit") == (b"exit", [])
