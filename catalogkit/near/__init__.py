"""Near-duplicates: texts and sketches go in, clusters with evidence come out; pure.

`shingles` says what two texts have in common, `sketches` how much of that without the texts, `pairs` which texts are
worth comparing, `clusters` which are the same. Nothing here is ever linked or forgotten: these are candidates.
"""
