"""Schools, people, affiliations, conflicts between sources, and offices.

Every table of records carries the province that keeps it (`region`) and a shard fixed at birth. Sealed columns are bytes
that only the column key opens; `person.id_index` is the blind index (HMAC-SM3) by which an ID number is found.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _place() -> tuple[sa.Column[str], sa.Column[int]]:
    return sa.Column("region", sa.Text, nullable=False), sa.Column("shard", sa.SmallInteger, nullable=False)


def _source() -> tuple[sa.Column[str], sa.Column[int]]:
    return sa.Column("source", sa.Text, nullable=False), sa.Column("verified_at", sa.BigInteger, nullable=False)


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    """One school one code, one person one number, one open affiliation a kind, one system officer a unit."""
    _schools()
    _people()
    _affiliations()
    _offices()


def _schools() -> None:
    op.create_table(
        "division",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
    )
    op.create_table(
        "school",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("uscc", sa.Text, unique=True),
        sa.Column("division", sa.Text, nullable=False),
        sa.Column("supervisor", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("governing_body", sa.Text, nullable=False),
        sa.Column("remarks", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("successor", sa.Text, sa.ForeignKey("school.code")),
        sa.Column("closed_on", sa.Text),
        *_source(),
        *_place(),
        sa.CheckConstraint("status IN ('open', 'closed')", name="school_status"),
        sa.CheckConstraint("(status = 'closed') = (closed_on IS NOT NULL)", name="school_closed_on"),
    )
    op.create_index("school_region", "school", ["region", "code"])
    op.create_table(
        "school_name",
        sa.Column("school", sa.Text, sa.ForeignKey("school.code"), primary_key=True),
        sa.Column("position", sa.SmallInteger, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger),
    )


def _people() -> None:
    op.create_table(
        "person",
        sa.Column("number", sa.Text, primary_key=True),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("real_name", sa.LargeBinary),
        sa.Column("foreign_name", sa.LargeBinary),
        sa.Column("birth", sa.LargeBinary),
        sa.Column("id_number", sa.LargeBinary),
        sa.Column("id_index", sa.LargeBinary, unique=True),
        sa.Column("phone", sa.LargeBinary),
        sa.Column("proofing", sa.SmallInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        *_source(),
        *_place(),
        sa.CheckConstraint("proofing BETWEEN 0 AND 3", name="person_proofing"),
        sa.CheckConstraint("status IN ('active', 'locked', 'disabled', 'deleted')", name="person_status"),
        # What can be found can be opened, and what is deleted is neither.
        sa.CheckConstraint("(id_number IS NULL) = (id_index IS NULL)", name="person_id_index"),
        sa.CheckConstraint("(status = 'deleted') = (real_name IS NULL)", name="person_real_name"),
    )
    op.create_table(
        "registry_conflict",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("person", sa.Text, sa.ForeignKey("person.number"), nullable=False),
        sa.Column("fact", sa.Text, nullable=False),
        sa.Column("stated", sa.LargeBinary),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("raised_at", sa.BigInteger, nullable=False),
        sa.Column("settled_at", sa.BigInteger),
        sa.Column("settled_by", sa.Text, sa.ForeignKey("person.number")),
        sa.Column("accepted", sa.SmallInteger),
        *_place(),
    )
    _partial_index("conflict_open", "registry_conflict", ["id"], "settled_at IS NULL", unique=False)
    op.create_index("conflict_person", "registry_conflict", ["person"])


def _affiliations() -> None:
    op.create_table(
        "affiliation",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("person", sa.Text, sa.ForeignKey("person.number"), nullable=False),
        sa.Column("school", sa.Text, sa.ForeignKey("school.code"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("local_number", sa.Text),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("until", sa.Text),
        sa.Column("end_reason", sa.Text),
        *_source(),
        *_place(),
        sa.CheckConstraint("kind IN ('student', 'teacher', 'staff')", name="affiliation_kind"),
        sa.CheckConstraint("(until IS NULL) = (end_reason IS NULL)", name="affiliation_end"),
    )
    op.create_index("affiliation_person", "affiliation", ["person"])
    _partial_index("affiliation_open", "affiliation", ["school", "person", "kind"], "until IS NULL", unique=True)
    _partial_index(
        "affiliation_local_number",
        "affiliation",
        ["school", "kind", "local_number"],
        "until IS NULL AND local_number IS NOT NULL",
        unique=True,
    )


def _offices() -> None:
    op.create_table(
        "office",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("person", sa.Text, sa.ForeignKey("person.number"), nullable=False),
        sa.Column("unit_code", sa.Text, nullable=False),
        sa.Column("unit_level", sa.Text, nullable=False),
        # "/000000/610000/": each superior between slashes, so that one LIKE finds a subtree.
        sa.Column("unit_path", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("duties", sa.Text, nullable=False),
        sa.Column("granted_by", sa.Text, sa.ForeignKey("person.number")),
        sa.Column("granted_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_by", sa.Text, sa.ForeignKey("person.number")),
        sa.Column("revoked_at", sa.BigInteger),
        *_place(),
        sa.CheckConstraint("kind IN ('system', 'information', 'query')", name="office_kind"),
        sa.CheckConstraint(
            "unit_level IN ('nation', 'province', 'city', 'county', 'school')", name="office_unit_level"
        ),
    )
    active = "revoked_at IS NULL"
    _partial_index("office_of_person", "office", ["person", "unit_code"], active, unique=True)
    _partial_index("office_system", "office", ["unit_code"], f"kind = 'system' AND {active}", unique=True)
    _partial_index("office_of_unit", "office", ["unit_code", "id"], active, unique=False)


def downgrade() -> None:
    """Remove the tables, and all they held."""
    for table in ("office", "affiliation", "registry_conflict", "person", "school_name", "school", "division"):
        op.drop_table(table)
