"""The report page: complete, honest, self-contained, and deaf to what hosts try to write into it."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_builder import make_catalogue, make_host, make_results, make_rule, make_verdict, make_waiver

from pgssi.catalogue import Catalogue
from pgssi.errors import InvalidInput
from pgssi.report import load_results, write

CATALOGUE = make_catalogue()
VOID = frozenset({"meta", "input", "br", "path", "rect", "circle", "use", "img"})
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)></style>]]>{{7*7}}{%x%}${x}\u202e\x00\x1b[31m&lt;"


class Page(HTMLParser):
    """What a browser would make of the page, as far as the tests ask."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.languages: Counter[str] = Counter()
        self.words: list[str] = []
        self.script = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        found = dict(attrs)
        self.attributes |= set(found)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "data", "poster")]
        if tag in ("span", "tspan", "text") and found.get("lang"):
            self.languages[found["lang"] or ""] += 1
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.script += data
        elif "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(results: dict[str, Any], directory: Path, catalogue: Catalogue = CATALOGUE) -> tuple[str, Page]:
    """Write the report; return its source and what it contains."""
    source = write(results, directory, catalogue).read_text("utf-8")
    return source, Page(source)


def mixed(**more: Any) -> dict[str, Any]:
    """Fabricate results with every verdict, a lost host, a waiver, attestations and evidence."""

    def decide(host: str, rule: Any) -> Any:
        if rule.id == "password-length-min" and host == "log1":
            waiver = make_waiver(rule.id, "2026-12-20")
            return {"verdict": "derogation", "raw": "non_conforme", "waiver": waiver}
        if rule.palier == 3:
            return "non_conforme"
        if rule.palier == 2 and host == "ws1":
            return "non_verifie"
        return "non_applicable" if rule.id == "backup-daily" and host == "gw1" else "conforme"

    results = make_results(CATALOGUE, decide=decide, **more)
    results["hosts"][1] |= {"status": "unreachable", "message": "Connection timed out"}
    results["attestations"] = [
        {
            "requirement": "2.1.1.1",
            "answer": "yes",
            "by": "Direction",
            "date": "2026-02-10",
            "expires": "2027-02-10",
        },
        {
            "requirement": "7.4.5.9",
            "answer": "yes",
            "by": "DSI",
            "date": "2025-02-10",
            "expires": "2026-02-10",
        },
    ]
    results["evidence"] = [
        {
            "kind": "restore_drill",
            "id": "r1",
            "when": "2026-10-01T10:00:00Z",
            "result": "success",
            "where": ["dpi1"],
        }
    ]
    return results


def test_page_is_well_formed_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    """Tags close, ids are unique, and links inside the page have their target."""
    _, page = page_of(mixed(), tmp_path)
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_page_is_self_contained(tmp_path: Path) -> None:
    """Nothing is fetched: no address, no import, no font, no outside link."""
    source, page = page_of(mixed(), tmp_path)
    assert all(link.startswith("#") for link in page.links)
    assert page.tags["link"] == page.tags["img"] == page.tags["iframe"] == 0
    assert "@import" not in source and "@font-face" not in source
    assert set(re.findall(r"url\(([^)]*)\)", source)) == {"#hatch"}
    assert "default-src 'none'" in source


def test_policy_allows_exactly_the_script_of_the_page(tmp_path: Path) -> None:
    """The digest in the content policy is that of the one inline script."""
    source, page = page_of(mixed(), tmp_path)
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert page.tags["script"] == 1
    assert f"script-src 'sha256-{digest}'" in source


def poison(value: Any) -> Any:
    """Replace every free text of a results document by a hostile one."""
    fixed = {
        "schema",
        "generated",
        "digest",
        "guidance",
        "verdict",
        "raw",
        "outcome",
        "status",
        "expires",
        "date",
    }
    fixed |= {"when", "result", "by_date", "limit"}
    if isinstance(value, dict):
        return {
            key: item if key in fixed or (key == "by" and str(item)[:2] == "20") else poison(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [poison(item) for item in value]
    return HOSTILE + value if isinstance(value, str) else value


def test_hostile_text_stays_text_wherever_it_comes_from(tmp_path: Path) -> None:
    """Markup, template code and control characters in any field neither act nor hide."""
    source, page = page_of(poison(mixed()), tmp_path)
    assert page.tags["script"] == 1 and page.tags["img"] == 0 and page.tags["style"] == 1
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "49" not in re.findall(r"\{\{7\*7\}\}|49", page.text)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", source)
    assert "\\u202e" in page.text and "\\u001b" in page.text


def test_hostile_catalogue_text_stays_text(tmp_path: Path) -> None:
    """A title with markup is shown, not obeyed."""
    title = {"fr": f"<b>{HOSTILE}", "en": f"<b>{HOSTILE}"}
    catalogue = make_catalogue([make_rule("one", title=title, statement=title, why=title)])
    _, page = page_of(make_results(catalogue, [make_host("h")]), tmp_path, catalogue)
    assert page.tags["script"] == 1 and page.tags["img"] == 0


def test_site_name_cannot_leave_its_css_string(tmp_path: Path) -> None:
    """The running header of printed pages holds the name as a fully escaped string."""
    results = mixed()
    results["site"]["name"] = 'CH "x"; } body { display: none } /* \\'
    source, _ = page_of(results, tmp_path)
    header = re.search(r"@top-left \{ content: (.*?); \} \}", source)
    assert header and re.fullmatch(r'"(?:[A-Za-z0-9]|\\[0-9a-f]{6})*"', header[1])


def test_every_sentence_stands_in_both_languages(tmp_path: Path) -> None:
    """French and English texts come in pairs, French is shown first, and no script is needed to switch."""
    source, page = page_of(mixed(), tmp_path)
    assert page.languages["fr"] == page.languages["en"] > 500
    assert 'id="lang-fr" class="language" checked' in source
    assert '#lang-en:checked ~ * [lang="en"]' in source


def test_summary_says_palier_target_and_denominators(tmp_path: Path) -> None:
    """The first screen answers: where are we, where do we go, out of how many."""
    results = mixed()
    del results["hosts"][1]
    results["verdicts"] = [v for v in results["verdicts"] if v["host"] != "bastion1"]
    _, page = page_of(results, tmp_path)
    assert "cible 2" in page.text
    assert re.search(r"conformes : \d+ sur \d+ applicables", page.text)
    assert "22 novembre 2026" in page.text and "22 November 2026" in page.text
    assert "pgssi 0.1.0" in page.text and CATALOGUE.digest in page.text
    assert re.search("Hôtes qui retiennent le site : .{0,40} ws1 ", page.text)


def test_unreachable_host_is_named_and_not_graded(tmp_path: Path) -> None:
    """It appears in the warning, in the matrix as not established, and in the gap list with its cause."""
    _, page = page_of(mixed(), tmp_path)
    assert "1 hôte(s) injoignable(s)" in page.text
    assert "non établi" in page.text
    assert "Connection timed out" in page.text


def test_nothing_measured_shows_nothing_good(tmp_path: Path) -> None:
    """With every host lost there is no conforming mark, no filled step and no palier anywhere."""
    results = make_results(CATALOGUE)
    for host in results["hosts"]:
        host["status"] = "unreachable"
    source, page = page_of(results, tmp_path)
    body = source[source.index("<main") : source.index('id="method"')]
    assert 'class="on' not in body and "step proven" not in body and "b-conforme" not in body
    assert re.search("Hosts observed 0 / 6", page.text)
    assert "big unknown" in body and "Non établi" in page.text
    assert len(re.findall('v v-conforme"', body)) == 2  # the two legends, which say 0


def test_waiver_is_apart_and_flagged_before_it_ends(tmp_path: Path) -> None:
    """Owner, reason and days left are shown; it never joins the conforming count."""
    _, page = page_of(mixed(), tmp_path)
    assert "Nadia Lefèvre" in page.text and "Automate de biologie" in page.text
    assert "expire dans 28 j" in page.text


def test_expired_waiver_is_shown_as_without_effect(tmp_path: Path) -> None:
    """A verdict that leans on it is marked, warned about and judged on what was observed."""
    results = mixed()
    for verdict in results["verdicts"]:
        if verdict["waiver"]:
            verdict["waiver"]["expires"] = "2026-11-01"
    _, page = page_of(results, tmp_path)
    assert "Dérogations sans effet" in page.text and "sans effet" in page.text


def test_expired_attestation_is_shown_as_not_counting(tmp_path: Path) -> None:
    """The valid one stands beside it without a flag."""
    _, page = page_of(mixed(), tmp_path)
    assert page.text.count("ne compte pas") == 1


def test_results_of_another_catalogue_carry_a_visible_warning(tmp_path: Path) -> None:
    """Both digests are named."""
    results = mixed()
    results["catalogue"]["digest"] = "sha256:" + "0" * 64
    _, page = page_of(results, tmp_path)
    assert "autre catalogue" in page.text and "sha256:" + "0" * 64 in page.text


def test_partial_selection_is_announced(tmp_path: Path) -> None:
    """Neither fewer hosts nor fewer rules can pass for a whole measurement."""
    selection = {"palier": 1, "limit": "dpi1", "guides": ["backup"], "rules": [], "acting": False}
    _, page = page_of(mixed(selection=selection), tmp_path)
    for words in ("partie des hôtes", "partie des règles", "n'étaient pas autorisés", "palier ≤ 1"):
        assert words in page.text


def test_rule_that_the_catalogue_does_not_know_is_shown(tmp_path: Path) -> None:
    """It keeps its id and counts."""
    results = mixed()
    results["verdicts"].append(make_verdict("dpi1", make_rule("from-the-future"), "non_conforme"))
    _, page = page_of(results, tmp_path)
    assert "from-the-future" in page.text and "Règle inconnue" in page.text


def test_all_requirements_are_listed(tmp_path: Path) -> None:
    """Covered or not, each has its row."""
    _, page = page_of(mixed(), tmp_path)
    assert {f"req-{identifier}" for identifier in CATALOGUE.requirements} <= set(page.ids)


def test_page_of_an_empty_run_can_be_written(tmp_path: Path) -> None:
    """No host at all: nothing is established, and nothing breaks."""
    _, page = page_of(make_results(CATALOGUE, []), tmp_path)
    assert "Aucune règle n'a pu être observée" in page.text


def test_big_fleet_stays_light(tmp_path: Path) -> None:
    """50 hosts x 80 rules, all failing in their own words, weigh a quarter of what 200 may: 10 MB."""
    catalogue = make_catalogue([make_rule(f"rule-{i:02}", f"guide{i % 4}", 1 + i % 3) for i in range(80)])
    results = make_results(
        catalogue,
        [make_host(f"host{i:03}") for i in range(50)],
        lambda host, _: {
            "verdict": "non_conforme",
            "raw": "non_conforme",
            "observed": [f"obtenu 8 sur {host}"] * 2,
        },
    )
    source, page = page_of(results, tmp_path, catalogue)
    assert len(source.encode()) < 2_500_000
    assert page.text.count("host049") > 80


def test_long_observations_are_cut_and_say_so(tmp_path: Path) -> None:
    """A test that observes a whole log does not drown the page."""
    results = make_results(CATALOGUE, [make_host("h")], lambda *_: {"observed": ["x" * 5000]})
    _, page = page_of(results, tmp_path)
    assert "[…+4400]" in page.text and "x" * 601 not in page.text


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"schema": "pgssi-results/9"}, "schema"),
        ({"verdicts": [{"host": "h"}]}, "$.verdicts[0]"),
        ({"hosts": [{**make_host("h"), "status": "maybe"}]}, "$.hosts[0].status"),
        ({"hosts": [make_host("h"), make_host("h")]}, "$.hosts[1].name"),
        ({"hosts": []}, "$.verdicts[0].host"),
        ({"generated": "yesterday"}, "$.generated"),
    ],
)
def test_bad_document_is_refused_with_key_and_remedy(tmp_path: Path, change: dict[str, Any], key: str) -> None:
    """Nothing is written from a document that does not follow its schema."""
    good = make_results(CATALOGUE, [make_host("h")])
    with pytest.raises(InvalidInput) as refusal:
        write({**copy.deepcopy(good), **change}, tmp_path / "out", CATALOGUE)
    assert key in {problem.key for problem in refusal.value.problems}
    assert all(problem.remedy for problem in refusal.value.problems)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff\xfe"])
def test_file_that_is_no_results_document_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty, broken, of another shape, or not even text."""
    path = tmp_path / "results.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=re.escape(str(path))):
        load_results(path)
