"""Extraction: what documents are, what they state of themselves, their text.

A module for each format reads bytes and nothing else; `registry` says which one reads what, `reading` calls it and
makes a `ContentMetadata` of what it found. Real documents are read in processes of their own (`sandbox`), because the
libraries that read them can crash, hang and take all memory.
"""
