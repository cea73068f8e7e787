"""`report`: one HTML page about stacks, opened in a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests import browser

pytestmark = pytest.mark.live

SECTIONS = ("Resources", "Last operation", "Drift", "Outputs", "Cost", "Access")
REGISTRY = ("deploy-registry", "--yes", "--no-lint")
PROGRAM = """
from exasol_ci_setup import Registry, Scope

def run():
    scope = Scope(name="team", region="eu-central-1")
    for name in ("one", "two"):
        Registry(scope=scope, name=name).deploy()
"""
FLEET = """
targets: {main: {region: eu-central-1}}
stacks:
  topic: {template: topic.yaml}
  absent: {template: topic.yaml}
"""


class Page(HTMLParser):
    """The visible text and the addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.addresses, self._hidden = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._hidden += tag in {"style", "script", "title"}
        self.addresses += [value for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag):
        self._hidden -= tag in {"style", "script", "title"}

    def handle_data(self, data):
        if not self._hidden and data.strip():
            self.texts.append(data.strip())


@pytest.fixture
def registry(here):
    """The program with an account that has a stack."""
    assert here(*REGISTRY, "--name", "images", "--stack-name", "Images").code == 0
    return here


def test_page_is_readable_in_browser_without_scripts(registry, tmp_path):
    page = tmp_path / "report.html"
    ran = registry("report", "Images", "-o", str(page), "--output", "json")
    assert (ran.code, ran.records[-1]["stacks"]) == (0, ["Images"]), ran.stderr

    text = page.read_text(encoding="utf-8")
    picture = browser.pictured(page, tmp_path / "page.png")
    # The policy in the page forbids scripts, as a browser without them does.
    page.write_text(text.replace("</body>", "<script>document.body.textContent = 'ran'</script></body>"))
    document = browser.opened(page, "--dump-dom")
    shown = Page(document)

    assert re.findall(r"<summary>(.*?)</summary>", document) == [*SECTIONS]
    assert {"Images", "AWS::ECR::Repository", "CREATE_COMPLETE", "RepositoryUri"} <= set(shown.texts)
    assert [each for each in shown.addresses if not each.startswith("#")] == []
    assert "<script" not in text
    # An empty page of this size has less than 10 kB.
    assert len(picture) > 40_000


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_page_uses_width_and_color_scheme(registry, tmp_path, width, scheme):
    page = tmp_path / "report.html"
    assert registry("report", "Images", "--to", str(page), "--no-drift").code == 0
    text = page.read_text(encoding="utf-8")
    # A copy that measures itself: the page has no scripts.
    measure = (
        "<script>document.title = [document.documentElement.scrollWidth <= innerWidth,"
        " getComputedStyle(document.body).backgroundColor].join()</script></body>"
    )
    page.write_text(re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", measure), encoding="utf-8")

    shown = browser.opened(page, "--dump-dom", f"--blink-settings=preferredColorScheme={scheme}", width=width)

    background = ["rgb(20, 24, 29)", "rgb(255, 255, 255)"][scheme]
    assert re.findall(r"<title>(.*)</title>", shown) == [f"true,{background}"]


def test_names_and_outputs_are_escaped(here, live, tmp_path):
    body = """
Resources: {Topic: {Type: "AWS::SNS::Topic"}}
Outputs: {Text: {Value: "<script>alert(1)</script> & \\u202e"}}
"""
    live.client("cloudformation").create_stack(
        StackName="Odd", TemplateBody=body, Tags=[{"Key": "exasol-ci-setup:construct", "Value": "X"}]
    )
    page = tmp_path / "report.html"

    assert here("report", "Odd", "-o", str(page)).code == 0

    text = page.read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in text
    assert "<script" not in text
    assert "\u202e" not in text


def test_scope_has_section_for_each_stack(here, write, tmp_path):
    assert here("up", write(PROGRAM), "--yes", "--no-lint").code == 0
    page = tmp_path / "report.html"

    ran = here("report", "team", "-o", str(page))

    assert ran.code == 0, ran.stderr
    text = page.read_text(encoding="utf-8")
    assert "<h1>Scope team</h1>" in text
    assert len(re.findall("<section", text)) == 2


def test_fleet_has_existing_stacks_only(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topic.yaml").write_text('Resources: {Topic: {Type: "AWS::SNS::Topic"}}')
    (tmp_path / "fleet.yaml").write_text(FLEET)
    missing = here("report", "fleet.yaml", "-o", "page.html")
    assert here("deploy-fleet", "fleet.yaml", "--select", "topic", "--yes", "--no-lint").code == 0

    ran = here("report", "fleet.yaml", "-o", "page.html")

    assert missing.code == 1
    assert "no stack that fleet.yaml declares exists" in missing.stderr
    assert ran.code == 0, ran.stderr
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"<h2>(.*?)</h2>", text) == ["main/topic"]


@pytest.mark.parametrize(("arguments", "code"), [(("Nowhere", "-o", "x.html"), 1), (("Nowhere", "-o", "x.pdf"), 2)])
def test_missing_stack_and_other_file_are_errors(here, tmp_path, monkeypatch, arguments, code):
    monkeypatch.chdir(tmp_path)

    assert here("report", *arguments).code == code
    assert list(tmp_path.iterdir()) == []
