from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from components.index.shingles import Shingles, words_of

TEXTS = st.lists(st.sampled_from("uno due tre quattro cinque sei".split()), max_size=60).map(" ".join)


def triples(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return set(zip(words, words[1:], words[2:], strict=False)) if len(words) > 2 else {tuple(words)}


@given(TEXTS, st.data())
def test_texts_that_are_alike_share_a_triple_of_their_prefixes(text: str, data: st.DataObject) -> None:
    words = text.split()
    for _ in range(data.draw(st.integers(0, 4))):  # as somebody edits a copy
        at = data.draw(st.integers(0, len(words)))
        words[at : at + data.draw(st.integers(0, 1))] = data.draw(
            st.lists(st.sampled_from(["sei", "nuovo"]), max_size=2)
        )
    one, other = Shingles.of(text), Shingles.of(" ".join(words))
    both = triples(text), triples(" ".join(words))
    assert one.resemblance(other) == len(both[0] & both[1]) / len(both[0] | both[1])
    if one.resemblance(other) >= 0.8:
        assert set(one.prefix(0.8)) & set(other.prefix(0.8))


def test_case_and_marks_do_not_count() -> None:
    assert Shingles.of("Il forno, apre: ALLE sei!").resemblance(Shingles.of("il forno apre alle sei")) == 1.0
    assert Shingles.of("").resemblance(Shingles.of("...")) == 1.0
    assert Shingles.of("uno due").resemblance(Shingles.of("due uno")) == 0.0
