"""The registry: one school one code, one person one number (一校一码、一人一号).

Owns the rules of every code and number (school code, unified social credit code, citizen ID number, person number,
division code), the names of people and institutions, the frozen models of school, person and affiliation with the
source each fact came from, and the contract of the store that keeps them.

Refuses to be the source of a fact: every fact names the system it came from and when, and a disagreement between two
sources becomes a conflict for a person to settle, never a silent change. Refuses to derive the person number from
anything: it is random, so it reveals nothing and cannot be enumerated. Refuses to hand out an ID number or a phone
number with a person: they are sealed, and opened only by the verb that says so.
"""
