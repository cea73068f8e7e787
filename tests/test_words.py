"""The words of the glossary: each term has a plain replacement."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What to write instead, and patterns of whole words or phrases. Underscores count as spaces, and line ends in comments too. Words that
# have a second, plain meaning appear only in a phrase: "machine", "role", "turn", "take", "give", "together", "following", "part", "look up".
WORDS = {
    "print, report, return, show; distinguish": r"told|tells?|telling|says? so|(is|are|was|were) said",
    "exists, existing, already exists": r"(is|are|was|were|be) there|there already|the one that is there",
    "missing, not found, does not exist": r"(is|are|was|were) not there|there (is|are|was|were) (?-i:none)|(cannot|can) be had",
    "is, appears, is listed, applies, is stored": r"stands|stood|lies",
    "continue, proceed; resume": r"(go|goes|going|gone|went) on(?! \w+day)",
    "follow, stop following": r"look(s|ed|ing)? on",
    "again, recreate, retry": r"anew|once more|over again|again and again|tries left",
    "fix, correct": r"mend(s|ed|ing)?",
    "roll back, delete, revert": r"(take|takes|took|taken|taking|put|puts|putting|bring|brings|bringing|brought) (\w+ )?back",
    "receive, be notified, listen": r"hear|hears|heard|hearing",
    "failed, without effect": r"in vain",
    "the caller, the client, the first request; name the user, the process": r"(?<!user )(?<!users )who|whom|whoever",
    "another process, another user, a concurrent update": r"somebody|someone|(was|were) quicker",
    "no process, no user, unused": r"nobody|no one",
    "other than, except, unless": r"else than|but for",
    "depends on, consists of, is built from": r"made of",
    "cycle, circular dependency": r"circles?",
    "in progress": r"under way",
    "stop, is interrupted, fails midway": r"(break|breaks|broke|broken|breaking|cut) off",
    "available, cached, known": r"at hand",
    "without the option": r"without a word|without the word|no word of|is the word of",
    "anyway, still": r"all the same",
    "forever, without limit": r"for ever",
    "no new event, unchanged status": r"no news|news",
    "up to date, no changes": r"as (it|they) should be|nothing to do",
    "package, layer, module": r"rooms?",
    "import existing resources; adopt a stack": r"(take|takes|took|taken|taking) (\w+ )?over",
    "create a stack, render a template, build an image": r"(make|makes|made|making) (a |an |the |no |new |its |their )*(stack|image|template)s?",
    "retain, is retained": r"(leave|leaves|left) standing|outlive[sd]?",
    "apply a plan, execute a change set": r"(carry|carries|carried|carrying) (\w+ )?out",
    "approve, confirm, reject": r"(say|says|said) (yes|no)",
    "prompt for confirmation": r"whether to go on",
    "call an API, request, query": r"(ask|asks|asked|asking) (aws|ec2|ecs|ecr|s3|sts|cloudformation|codebuild|github)|(is|are|was|were) asked",
    "transient, retryable": r"passing (error|failure|reason|refusal|problem)s?",
    "time out, timeout": r"(give|gives|gave|given|giving) up|patience|patient|impatient",
    "poll every N seconds": r"(a|the|each|every|next|first|last|one|two) looks?|looks (again|at|into)",
    "throttled, rate limit, token bucket": r"pace[ds]?|deaf|budgets?",
    "lock, acquire, release, wait in FIFO order": r"(in|its|their|whose) turn|takes? turns",
    "unchanged, keeps its value": r"(leave|leaves|left) (\w+ )?alone|(stay|stays|stayed|left|kept) as (it|they) (is|are|was|were)",
    "valid, invalid, matches": r"fits|misfits?|unfit",
    "reject, refuse": r"(does|do|did) not take",
    "broadens access, grants more permissions": r"more access than there was",
    "public access, allow": r"whole world|lets? in",
    "drift, drifted, revert the drift": r"something else (has )?changed",
    "final status, root cause": r"how (it|they) ended|in the way",
    "nested stack": r"(the|an) inside",
    "name the subject: resource, value, file": r"(?-i:things?)",
    "default; if omitted": r"nothing is said",
    "omit": r"(leave|leaves|left|leaving) (\w+ )?out",
    "temporary file, incomplete": r"unfinished",
    "in parallel; immediately; sequentially": r"at once|one after the other",
    "clean up, delete leftovers": r"tidy(?!-imports)|tidied|sweeps?|swept|what is left",
    "stack monitor, reporter, context": r"tellers?",
    "dry run, collect declarations": r"rehears\w*|only heard",
    "preview, estimate": r"(become|becomes|became) of",
    "redact": r"discreet\w*",
    "identifier": r"knows it by|aws knows",
    "American spelling": r"behaviours?|colour\w*|cancelled|licence\w*|normalis\w+|catalogues?|serialis\w+|recognis\w+|centre\w*|grey|neighbour\w*",
}
PATTERN = re.compile("|".join(rf"\b(?:{pattern})\b" for pattern in WORDS.values()), re.IGNORECASE)

# Paths and words that remain, with the reason.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("*.toml", "tidy"): "name of a group of rules of ruff",
    ("CHANGELOG.md", "patience"): "former name of an argument",
    ("exasol_ci_setup/sandbox/launch.py", "tell"): "method of files in Python",
    ("docs/github-actions.md", "cancelled"): "function of GitHub Actions",
    ("tests/*", "nobody"): "user of Unix",
    ("exasol_ci_setup/*", "cancelled"): "method of futures in Python, value of AWS, value of the JSON records",
    ("tests/*", "cancelled"): "method of futures in Python, value of AWS, value of the JSON records",
}
PARTS = ("exasol_ci_setup", "templates", "docs", "tests", "benchmarks", ".ci")
SUFFIXES = {"", ".py", ".md", ".yaml", ".yml", ".j2", ".sh", ".toml", ".txt", ".conf", ".service", ".json", ".rst"}
# Expected cost tables with words of AWS, and the patterns themselves.
FOREIGN = ("tests/golden/cost/*", "tests/test_words.py")


def texts() -> Iterator[Path]:
    yield from (ROOT / name for name in ("README.md", "CHANGELOG.md", "Makefile", "action.yml"))
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.is_file() and path.suffix in SUFFIXES and not any(fnmatch(name, each) for each in FOREIGN):
                yield path


def plain(text: str) -> str:
    return re.sub(r"\s*\n\s*(#|>)?\s*", " ", text.replace("_", " "))


def found(text: str, name: str = "") -> list[str]:
    """Return each forbidden word in `text` with the words around it, except those of the file `name`."""
    text = plain(text)
    allowed = {word for (pattern, word) in EXCEPTIONS if fnmatch(name, pattern)}
    return [
        text[max(0, match.start() - 40) : match.end() + 40]
        for match in PATTERN.finditer(text)
        if match[0].lower() not in allowed
    ]


def test_texts_use_words_of_glossary():
    names = {path.relative_to(ROOT).as_posix(): path for path in texts()}
    wrong = {name: found(path.read_text(encoding="utf-8"), name) for name, path in names.items()}

    assert {"README.md", "exasol_ci_setup/cli/main.py"} <= names.keys()
    assert {name: words for name, words in wrong.items() if words} == {}


@pytest.mark.parametrize("text", ["a stack\n    # under way", "is_there", "Told", "for ever"])
def test_word_is_found_over_line_end_in_name_and_capitals(text):
    assert found(text) != []


def test_names_of_tests_are_short_and_have_no_article():
    names = [
        (path.relative_to(ROOT).as_posix(), name)
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]

    assert names
    assert [name for name in names if len(name[1]) >= 70 or re.search(r"_(a|an|the)(_|$)", name[1])] == []
