"""Searching by words: each begins a word of what is found, in any case and any order, with or without accents."""

from typing import Final

# The parameter `search` as a tsquery: `'ada':* & 'exam':*`; null, which finds nothing, when it has no word.
# `search_words` leaves letters and digits: no word of it can be anything but a word in a tsquery.
BEGINNINGS: Final = """(
    select cast(string_agg(quote_literal(word) || ':*', ' & ') as tsquery)
    from unnest(string_to_array(search_words(:search), ' ')) word where word <> ''
)"""
