"""What others may have written, or done: files, records, words, archives and answers that no good one looks like.

`corpus` makes them, `warm` runs commands on them as real processes with limits. Each command succeeds, or says in one line what is wrong.
"""
