"""Authority: which person may do what, for which unit.

Owns the five levels (nation, province, city, county, school), the three offices (system, information, query), the
duties an office may carry (registrar, approver, auditor), the scope of a subtree, the two-person rule, and the assurance
a duty demands of the sign-in behind it.

Refuses to guess: an unknown unit, an unknown assurance level or an office of another subtree is a refusal, and a system
officer, who appoints others, never touches data. Decisions are pure functions of what they are given; the store keeps
offices and appoints nobody by itself.
"""
