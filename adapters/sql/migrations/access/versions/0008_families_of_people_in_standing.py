"""A token family begins only while all that stands behind its code is in force; one round trip asks and writes.

It does what `SqlTokens.start_family` does statement by statement on SQLite. The rows it depends on are locked for others to
read, not to write: a sign-out, a withdrawal or a client being disabled comes before (and is seen) or after (and revokes).
The person's standing is looked at here and again whenever one of the tokens is used, so it needs no lock.
"""

from alembic import op

revision = "access_0008"
down_revision = "access_0007"
branch_labels = None
depends_on = None

ARGUMENTS = """
    f_id text, f_code bytea, f_client text, f_person text, f_session text, f_scope text, f_offline smallint,
    f_auth_time bigint, f_acr text, f_amr text, f_created bigint, f_until bigint, f_region text, f_shard smallint,
    f_resources text, f_claims text, a_hash bytea, a_expires bigint, a_scope text, a_audience text,
    r_hash bytea, r_expires bigint
"""

WRITES = """
    INSERT INTO token_family (family_id, code_hash, client_id, person, session_reference, scope, offline, auth_time, acr,
        amr, created_at, used_at, absolute_until, revoked_at, region, shard, resources, id_token_claims)
    VALUES (f_id, f_code, f_client, f_person, f_session, f_scope, f_offline, f_auth_time, f_acr, f_amr, f_created,
        f_created, f_until, CASE WHEN live THEN NULL ELSE f_created END, f_region, f_shard, f_resources, f_claims);
    INSERT INTO access_token (token_hash, family_id, expires_at, scope, audience)
    VALUES (a_hash, f_id, a_expires, a_scope, a_audience);
    IF r_hash IS NOT NULL THEN
        INSERT INTO refresh_token (token_hash, family_id, expires_at, used_at) VALUES (r_hash, f_id, r_expires, NULL);
    END IF;
"""

FUNCTION = f"""
CREATE FUNCTION begin_token_family({ARGUMENTS}) RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
    live boolean;
    allowed text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || '/code/' || encode(f_code, 'hex'), 0));
    PERFORM 1 FROM account a JOIN person p ON p.number = a.person
        WHERE a.person = f_person AND a.state = 'active' AND p.status = 'active';
    IF NOT FOUND THEN RETURN 'refused'; END IF;
    PERFORM 1 FROM login_session WHERE reference = f_session AND person = f_person AND ended_at IS NULL
        AND idle_until > f_created AND absolute_until > f_created FOR SHARE;
    IF NOT FOUND THEN RETURN 'refused'; END IF;
    SELECT granted INTO allowed FROM consent WHERE person = f_person AND client_id = f_client FOR SHARE;
    IF NOT FOUND OR NOT string_to_array(f_scope, ' ') <@ string_to_array(allowed, ' ') THEN RETURN 'refused'; END IF;
    PERFORM 1 FROM client WHERE client_id = f_client AND state = 'active' FOR SHARE;
    IF NOT FOUND THEN RETURN 'refused'; END IF;
    PERFORM 1 FROM replayed_code WHERE code_hash = f_code;
    live := NOT FOUND;
    {WRITES}
    RETURN CASE WHEN live THEN 'live' ELSE 'replayed' END;
END
$function$
"""  # noqa: S608  # constants

BEFORE = f"""
CREATE FUNCTION start_token_family({ARGUMENTS}) RETURNS boolean LANGUAGE plpgsql AS $function$
DECLARE
    live boolean;
    allowed text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || '/code/' || encode(f_code, 'hex'), 0));
    PERFORM 1 FROM login_session WHERE reference = f_session AND ended_at IS NULL FOR SHARE;
    live := FOUND;
    SELECT granted INTO allowed FROM consent WHERE person = f_person AND client_id = f_client FOR SHARE;
    live := live AND FOUND AND string_to_array(f_scope, ' ') <@ string_to_array(allowed, ' ');
    PERFORM 1 FROM client WHERE client_id = f_client AND state = 'active' FOR SHARE;
    live := live AND FOUND;
    PERFORM 1 FROM replayed_code WHERE code_hash = f_code;
    live := live AND NOT FOUND;
    {WRITES}
    RETURN live;
END
$function$
"""  # noqa: S608  # constants


def upgrade() -> None:
    """Replace the function."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION start_token_family")
        op.execute(FUNCTION)


def downgrade() -> None:
    """Bring back the one before."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION begin_token_family")
        op.execute(BEFORE)
