"""Search by words: the rarest of a text that the store knows, ranked by bm25 in SQLite, by ts_rank in PostgreSQL.

A search that takes every word of a goal reads half the store at 100,000 entries. So stop words and words that stand
nearly everywhere are dropped, and few are left: the rarest, until what they stand in is as much as may be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from activities.knowledge.rows import kind_tag, scope_tag
from workflows.contracts.knowledge import Kind

MAX_WORDS = 8
"""Words of one search."""
MAX_CANDIDATES = 48
"""Different words of a text that are looked up, from its beginning and its end."""
COMMON = 2_000
"""A word that stands in as many entries is only searched for when there is none that is rarer."""
MAX_READ = 5_000
"""Entries that one search ranks: the newest of those that have one of the words."""
_LONGEST_TEXT = 20_000
_LONGEST_WORD = 64
_WORD = re.compile(r"[^\W_]+(?:_[^\W_]+)*")
_STOP = frozenset(
    """
    a about after again all also am an and any are as at be because been before being below between both but by can
    could did do does doing down during each few for from further get got had has have having he her here hers him
    his how i if in into is it its itself just let like make me more most my need no nor not now of off on once only
    or other our out over own please same she should so some such than that the their them then there these they
    this those through to too under until up use using very want was we were what when where which while who whom
    why will with would you your
    """.split()  # noqa: SIM905 - to be read
)

Scope = str | None
"""A project's key, nothing for what is everywhere, ``EVERYTHING`` for all."""
EVERYTHING = "*"
Scored = list[tuple[int, float]]
"""Numbers of entries, each with its score between 0 and 1, the best first."""


def words_of(query: str) -> list[str]:
    """The different words of a text that may tell it from others, as they come; of a long text both its ends."""
    half = _LONGEST_TEXT // 2
    shown = query if len(query) <= _LONGEST_TEXT else f"{query[:half]} {query[-half:]}"
    found = dict.fromkeys(word for word in _WORD.findall(shown.lower()) if word not in _STOP)
    words = [word for word in found if len(word) <= _LONGEST_WORD and (len(word) > 1 or not word.isascii())]
    if len(words) <= MAX_CANDIDATES:
        return words
    return words[: MAX_CANDIDATES // 2] + words[-MAX_CANDIDATES // 2 :]


def chosen(counts: Sequence[tuple[str, int]]) -> tuple[list[str], bool]:
    """The words to search for, of these with their numbers of entries; and whether an entry must have all of them."""
    known = sorted((pair for pair in counts if pair[1] > 0), key=lambda pair: pair[1])
    rare = [pair for pair in known if pair[1] < COMMON]
    if not rare:
        return [word for word, _ in known[:MAX_WORDS]], True
    taken: list[str] = []
    read = 0
    for word, count in rare[:MAX_WORDS]:
        if taken and read + count > MAX_READ:
            break
        taken.append(word)
        read += count
    return taken, False


def search(connection: Connection, query: str, scope: Scope, kinds: Sequence[Kind], limit: int) -> Scored:
    """The entries of this scope that fit best."""
    words = words_of(query)
    if not words:
        return []
    if connection.dialect.name == "postgresql":
        return _in_postgres(connection, words, scope, kinds, limit)
    return _in_sqlite(connection, words, scope, kinds, limit)


def _in_sqlite(connection: Connection, words: list[str], scope: Scope, kinds: Sequence[Kind], limit: int) -> Scored:
    within = _tags(scope, kinds)
    rare = words
    if not _few(connection, scope):
        # In a large scope, to see which entries have both a common word and the scope's is what takes long.
        rare = [word for word, count in _counted(connection, "", words) if 0 < count < COMMON]
    picked, all_of_them = chosen(_counted(connection, within, rare))
    if not picked and rare != words:
        picked, all_of_them = chosen(_counted(connection, within, words))
    if not picked:
        return []
    wanted = (" AND " if all_of_them else " OR ").join(map(_quoted, picked))
    found = connection.execute(
        text(
            "SELECT number, score FROM (SELECT s.rowid AS number, -bm25(knowledge_search, 0.0, 2.0, 4.0, 1.0) AS score"
            " FROM knowledge_search s WHERE knowledge_search MATCH :match ORDER BY s.rowid DESC LIMIT :most)"
            " ORDER BY score DESC, number DESC LIMIT :limit"
        ),
        {"match": f"{within}({wanted})", "most": MAX_READ, "limit": limit},
    )
    return [(number, _unit(score)) for number, score in found]


def _few(connection: Connection, scope: Scope) -> bool:
    """Whether no word of this scope can be common."""
    condition = "" if scope == EVERYTHING else "WHERE project IS NULL" if scope is None else "WHERE project = :project"
    given = {"most": COMMON} | ({"project": scope} if scope not in {EVERYTHING, None} else {})
    counting = f"SELECT count(*) FROM (SELECT 1 FROM knowledge_entries {condition} LIMIT :most) AS bounded"  # noqa: S608 - ours
    return int(connection.execute(text(counting), given).scalar_one()) < COMMON


def _counted(connection: Connection, within: str, words: list[str]) -> list[tuple[str, int]]:
    count = text(
        "SELECT count(*) FROM (SELECT 1 FROM knowledge_search WHERE knowledge_search MATCH :match LIMIT :most)"
    )
    return [
        (word, connection.execute(count, {"match": f"{within}{_quoted(word)}", "most": COMMON}).scalar_one())
        for word in words
    ]


def _tags(scope: Scope, kinds: Sequence[Kind]) -> str:
    parts = [] if scope == EVERYTHING else [f"tags : {scope_tag(scope)}"]
    if kinds:
        parts.append(f"tags : ({' OR '.join(map(kind_tag, kinds))})")
    return "".join(f"({part}) AND " for part in parts)


def _quoted(word: str) -> str:
    """Never an operator: quoted, and not in the column of tags. A word with underscores is a phrase."""
    return f'{{title cue advice}} : "{word}"'


def _unit(score: float) -> float:
    return min(1.0, max(0.0, score / (score + 10.0))) if score > 0 else 0.0


# What the server itself knows to be common, from its last ANALYZE: to count such words reads all that have them.
_RARE = """
SELECT w FROM unnest(:words) AS w WHERE NOT tsvector_to_array(to_tsvector('english', w)) && (
    SELECT coalesce(array_agg(word), '{}') FROM (
        SELECT most_common_elems AS words, most_common_elem_freqs AS shares FROM pg_stats
        WHERE schemaname = current_schema() AND tablename = 'knowledge_entries' AND attname = 'search'
    ) AS known, unnest(words::text::text[], shares) AS one (word, share)
    WHERE word IS NOT NULL
        AND share * (SELECT reltuples FROM pg_class WHERE oid = 'knowledge_entries'::regclass) >= :most
)
"""


def _in_postgres(connection: Connection, words: list[str], scope: Scope, kinds: Sequence[Kind], limit: int) -> Scored:
    given: dict[str, object] = {"project": scope, "kinds": list(kinds)}
    within = "" if scope == EVERYTHING else " AND project IS NULL" if scope is None else " AND project = :project"
    within += " AND kind = ANY(:kinds)" if kinds else ""
    counting = (
        "SELECT w, (SELECT count(*) FROM (SELECT 1 FROM knowledge_entries"  # noqa: S608 - ours
        f" WHERE search @@ phraseto_tsquery('english', w){within} LIMIT :most) AS bounded) FROM unnest(:words) AS w"
    )
    given["most"] = COMMON
    rare = words
    if not _few(connection, scope):
        rare = [row[0] for row in _run(connection, _RARE, {"words": words, "most": COMMON})]
    picked, all_of_them = chosen([(row[0], row[1]) for row in _run(connection, counting, {**given, "words": rare})])
    if not picked and rare != words:
        counts = _run(connection, counting, {**given, "words": words})
        picked, all_of_them = chosen([(row[0], row[1]) for row in counts])
    if not picked:
        return []
    parts = [f"phraseto_tsquery('english', :w{number})" for number in range(len(picked))]
    found = _run(
        connection,
        f"WITH q AS (SELECT {(' && ' if all_of_them else ' || ').join(parts)} AS query),"  # noqa: S608 - ours
        " found AS (SELECT seq, search FROM knowledge_entries, q"
        f" WHERE search @@ query{within} ORDER BY seq DESC LIMIT :most)"
        " SELECT seq, ts_rank('{0.1, 0.2, 0.5, 1.0}', search, query, 32) AS score FROM found, q"
        " ORDER BY score DESC, seq DESC LIMIT :limit",
        {**given, **{f"w{number}": word for number, word in enumerate(picked)}, "most": MAX_READ, "limit": limit},
    )
    return [(row[0], float(row[1])) for row in found]


def _run(connection: Connection, sql: str, given: dict[str, object]) -> list[tuple[Any, ...]]:
    used = {name: value for name, value in given.items() if f":{name}" in sql}
    lists = [bindparam(name, type_=ARRAY(Text)) for name, value in used.items() if isinstance(value, list)]
    return [tuple(row) for row in connection.execute(text(sql).bindparams(*lists), used)]
