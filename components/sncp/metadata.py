"""Title, project and date of a note, and where the date was found."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from components.sncp.document import DateSource

__all__ = ["find_date", "find_local", "front_matter", "header_lines", "outside_fences", "project_of", "title_of"]

_LINE = 500
HEADER_LINES = 15
"""How far from the top a note still speaks about itself."""

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("gennaio gen january jan", "febbraio feb february", "marzo mar march", "aprile apr april",
         "maggio mag may", "giugno giu june jun", "luglio lug july jul", "agosto ago august aug",
         "settembre set sett september sep sept", "ottobre ott october oct", "novembre nov november",
         "dicembre dic december dec"),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATES = re.compile(
    rf"""(?ix) (?<!\d) (?:
      (?P<y1>(?:19|20)\d\d) ([-/._]) (?P<m1>\d\d?) \2 (?P<d1>\d\d?)
    | (?P<y2>(?:19|20)\d\d) (?P<m2>\d\d) (?P<d2>\d\d)
    | (?P<d3>\d\d?) ([-/.]) (?P<m3>\d\d?) \9 (?P<y3>(?:19|20)?\d\d)
    | (?: \d\d? \s*[-–/]\s* )? (?P<d4>\d\d?) (?:°|º|st|nd|rd|th)? \s+ (?:di\s+|of\s+)?
      (?P<m4>{_MONTH})\.? ,? \s+ (?:del\s+)? (?P<y4>(?:19|20)\d\d)
    | (?P<m5>{_MONTH})\.? \s+ (?P<d5>\d\d?) (?:st|nd|rd|th)? ,? \s+ (?P<y5>(?:19|20)\d\d)
    ) (?!\d)"""
)
_LABEL = re.compile(
    r"""(?ix) ^\W* (?P<label>
      (?P<updated>
        (?:ultim[oa]\s+)? (?:aggiornament[oi]|aggiornat[oaie]|modific[ah]e?|modificat[oaie]|revisione|rivist[oa])
        | (?:last[\s_-]+)? (?:updated|update|modified|edited|revised|reviewed) | data[\s_]+(?:di\s+)?(?:ultimo\s+)?
          (?:aggiornamento|modifica|revisione) )
    | (?P<created> creat[oaie] | (?:data[\s_]+(?:di\s+)?)? creazione | creation | created | nat[oa] )
    | (?P<written> datat[oa] | data | date | dated | giorno | scritt[oa] | written
        | (?:ricerca|analisi|studio|audit|report)\s+complet(?:at[oaie]) | completat[oaie] | completed )
    ) \b (?P<more> [^:|=\d]{0,24}? ) \s* (?: [:|=] | \s[-–—]\s | (?<=\s)(?=\d) | \b(?=il\s) ) (?P<rest> .* )$"""
)
# A date of something else than the note: a deadline, a release.
_OTHER_DAY = re.compile(
    r"(?i)scaden|target|previst|lancio|launch|due|fine|release|rimozion|entro|deadline|inizio|start"
)
_RANKS: tuple[str, ...] = ("updated", "written", "created", "heading", "byline")
_PRIVACY = ("privacy", "private", "privato", "privata")
_HERE = frozenset("local locale private privato privata riservato riservata confidential".split())
_ANYWHERE = frozenset("public pubblico pubblica shared condiviso condivisa".split())
_YES = frozenset("true yes on si sì vero 1".split())
_NO = frozenset("false no off falso 0".split())
# Front matter that cannot be read, or never ends, or is TOML, may still say it.
_PRIVACY_LINE = re.compile(rf"(?im)^[ \t]*[\"']?(?:{'|'.join(_PRIVACY)})[\"']?[ \t]*[:=]")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")


def front_matter(text: str) -> tuple[dict[str, Any], int, str | None]:
    """YAML between `---` lines at the very top: (values, lines it takes, what is wrong with it or None).

    Without one, or with one that cannot be read, the values are empty; the line count still leads past it.
    """
    if not text.startswith("---"):
        return {}, 0, None
    lines = text.split("\n", 200)[:200]
    if lines[0].rstrip() != "---":
        return {}, 0, None
    end = next((at for at, line in enumerate(lines) if at and line.rstrip() in ("---", "...")), None)
    if end is None or not any(re.match(r"[\w\"'#][^:]*:", line) for line in lines[1:end]):
        return {}, 0, None  # a thematic break, not front matter
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    body = "\n".join(lines[1:end])
    if len(body) > 20_000 or re.search(r"(?m)[:\-\[,]\s*[&*]\w", body):
        return {}, end + 1, "it is too long, or uses YAML anchors, which are not read here"
    try:
        value = YAML(typ="safe", pure=True).load(body)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 2}: " if mark else ""
        return {}, end + 1, f"{where}{getattr(error, 'problem', None) or 'it is no YAML'}"
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        return {}, end + 1, f"a value cannot be read ({type(error).__name__})"
    if not isinstance(value, Mapping):
        return {}, end + 1, f"names with values expected, found {type(value).__name__}"
    if "\\u" in body.lower():
        value = _whole(value)
    return {str(key).strip().lower(): item for key, item in value.items()}, end + 1, None


def _whole(value: Any) -> Any:
    """The value with letters that JSON writes as two escapes joined; half a letter becomes U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def find_local(text: str, *, matter: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Whether a note says that it must not leave this machine: (it does, what is odd about how it says so or None).

    `privacy: local` (or private, privato, riservato ...), `private: true`, `privato: true` in its front matter. A value
    that is not known counts as yes, and so does a front matter that names the key but cannot be read. Nothing but
    front matter counts: no tag, no word in the text.
    """
    local, odd = False, None
    for key in _PRIVACY:
        if key not in matter:
            continue
        value = matter[key]
        said = str(value).strip().lower() if isinstance(value, str | bool | int) else ""
        here, anywhere = (_HERE, _ANYWHERE) if key == "privacy" else (_HERE | _YES, _ANYWHERE | _NO)
        if said in here:
            local = True
        elif said not in anywhere:
            local, odd = True, f"{key}: {str(value)[:40]!r} is not known, so the note is kept on this machine"
    if not matter and text.startswith(("---", "+++")):
        head = "\n".join(text.split("\n", 200)[:200])
        end = re.search(r"(?m)^(?:---|\+\+\+|\.\.\.)\s*$", head[3:])
        if _PRIVACY_LINE.search(head[: end.start() + 3] if end else head):
            local, odd = (
                True,
                "what the front matter says of privacy cannot be read, so the note is kept on this machine",
            )
    return local, odd


def header_lines(text: str, *, skip: int, count: int = HEADER_LINES) -> list[str]:
    """The first lines after the front matter, each cut to 500 characters."""
    return [line[:_LINE] for line in text.split("\n", skip + count)[skip : skip + count]]


def outside_fences(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """(index, line) of those that are no fenced code."""
    fence = ""
    for at, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line.strip(" `~"):
            fence = ""
        elif not fence:
            yield at, line


def _plain(markdown: str) -> str:
    """A heading without its marks: emphasis, code, links, closing hashes."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"\[\[(?:[^\]|]*\|)?([^\]]*)\]\]", r"\1", text)
    text = re.sub(r"\s#+\s*$", "", text)
    return " ".join(re.sub(r"\*\*|__|`|(?<!\w)[*_]|[*_](?!\w)", "", text).split())


def title_of(text: str, *, path: str, matter: Mapping[str, Any], skip: int) -> str:
    """Front matter `title`/`titolo`, else the first H1, else the file name in words. Never empty."""
    for key in ("title", "titolo"):
        if isinstance(matter.get(key), str | int | float) and str(matter[key]).strip():
            return " ".join(str(matter[key]).split())
    before = ""
    for _, whole in outside_fences(text.split("\n")[skip:]):
        line = whole[:_LINE]
        if (heading := re.match(r" {0,3}#[ \t]+(.*\S)", line)) and (plain := _plain(heading[1])):
            return plain
        if re.fullmatch(r" {0,3}=+\s*", line) and re.match(r" {0,3}[^\s>|#+=-]", before):
            return _plain(before) or before.strip()
        before = line
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    words = re.sub(r"^\W*\d{4}[-_]?\d\d[-_]?\d\d[-_ ]+", "", stem).replace("_", " ").strip(" -.")
    return " ".join(words.split()) or stem


def project_of(path: str, *, matter: Mapping[str, Any]) -> str | None:
    """The path segment after `progetti/` (or `projects/`), else the front matter's `project`/`progetto`."""
    parts = path.split("/")
    for before, name in zip(parts, parts[1:-1], strict=False):
        if before in ("progetti", "projects"):
            return name
    for key in ("project", "progetto"):
        if isinstance(matter.get(key), str) and matter[key].strip():
            return str(matter[key]).strip()
    return None


def parse_date(text: str) -> date | None:
    """The first date written in a text, Italian or English; 3/4/2026 is read day first."""
    for match in _DATES.finditer(text):
        part = match.groupdict()
        if part["y1"]:
            year, month, day = part["y1"], part["m1"], part["d1"]
        elif part["y2"]:
            year, month, day = part["y2"], part["m2"], part["d2"]
        elif part["y3"]:
            year, month, day = part["y3"], part["m3"], part["d3"]
            if int(month) > 12 >= int(day):
                month, day = day, month
        elif part["y4"]:
            year, month, day = part["y4"], str(_MONTHS[part["m4"].lower()]), part["d4"]
        else:
            year, month, day = part["y5"], str(_MONTHS[part["m5"].lower()]), part["d5"]
        try:
            return date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day))
        except ValueError:
            continue
    return None


def _from_matter(matter: Mapping[str, Any]) -> date | None:
    keys = ("updated", "last_updated", "last updated", "modified", "aggiornato", "ultimo_aggiornamento",
            "ultimo aggiornamento", "date", "data", "created", "creato")  # fmt: skip
    for key in keys:
        value = matter.get(key)
        if isinstance(value, datetime):
            return value.date()
        if isinstance(value, date):
            return value
        if isinstance(value, str | int) and (found := parse_date(str(value))):
            return found
    return None


def _from_header(lines: Sequence[str]) -> date | None:
    found: dict[str, date] = {}
    for _, line in outside_fences(lines):
        for piece in line.split("|") if line.count("|") == 1 else [line]:
            bare = re.sub(r"[*_`>]+", " ", piece).strip(" |")
            label = _LABEL.match(bare)
            if label:
                rank = next(name for name in _RANKS[:3] if label[name])
                day = None if _OTHER_DAY.search(label["more"]) else parse_date(label["rest"])
            elif re.match(r" {0,3}#{1,6}\s", line):
                rank, day = "heading", parse_date(re.split(_OTHER_DAY, bare)[0])
            else:
                rank = "byline"
                byline = re.fullmatch(r"(?:[\w .'’&]{2,40}\s[-–—]\s)?([^-–—].{5,20})", bare)
                day = parse_date(byline[1]) if byline and line.lstrip().startswith((">", "*", "_")) else None
            if day:
                found.setdefault(rank, day)
    return next((found[rank] for rank in _RANKS if rank in found), None)


def find_date(*, path: str, matter: Mapping[str, Any], header: Sequence[str], file_day: str) -> tuple[str, DateSource]:
    """(ISO day, where it was found): front matter, header of the note, file name, time of the file.

    In the header "last updated" goes before the date, the date before "created"; then a heading with a
    day in it (`# OGGI - 20 Gennaio 2026`), then a byline.
    """
    if day := _from_matter(matter):
        return day.isoformat(), "front matter"
    if day := _from_header(header):
        return day.isoformat(), "header"
    name = unicodedata.normalize("NFC", path.rsplit("/", 1)[-1])
    if day := parse_date(name):
        return day.isoformat(), "file name"
    return file_day, "file time"
