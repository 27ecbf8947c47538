"""The demonstration: real lists of schools and divisions, an invented province, and the platforms people sign in to.

Owns the readers of the two public lists and the maker of a synthetic population, all of which return frozen records and
write nothing; the loader passes them to the stores through the same verbs every deployment uses.

Refuses to look real: the invented schools say 演示 in their names and bear higher-education codes nobody was given, the
people's ID numbers name a division no county has, and the phone numbers begin with a prefix no operator was given.
"""
