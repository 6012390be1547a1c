SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- What was done on two persons' word is held against that word: the books can be verified without the right to read
-- who may sign in. A request answers for itself (its persons, what they were shown), a row for the request it names.
CREATE FUNCTION access.unjudged() RETURNS TABLE (request text, kind text, fault text) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT r.public_id, r.kind, 'what was shown is not what its digest was made of'
      FROM request r
     WHERE sha256(r.shown) <> r.shown_sha256
        OR convert_from(r.shown, 'UTF8')::jsonb - 'asked_by' IS DISTINCT FROM jsonb_build_object(
               'kind', r.kind, 'subject', r.subject, 'payload', r.payload, 'reason', r.reason, 'state', r.state)
    UNION ALL
    SELECT r.public_id, r.kind, 'it is done, and ' || g.hands || ' of ' || r.checkers
               || ' other persons agreed to what was shown'
      FROM execution e JOIN request r ON r.id = e.request_id
     CROSS JOIN LATERAL (SELECT count(DISTINCT a.person_id) AS hands FROM answer a
                          WHERE a.request_id = r.id AND a.agreed AND a.person_id <> r.requested_by
                            AND a.shown_sha256 = r.shown_sha256) g
     WHERE e.outcome = 'done' AND g.hands < r.checkers
    UNION ALL
    SELECT r.public_id, r.kind, 'it is done, and a person refused it'
      FROM execution e JOIN request r ON r.id = e.request_id
     WHERE e.outcome = 'done' AND EXISTS (SELECT FROM answer a WHERE a.request_id = r.id AND NOT a.agreed)
    UNION ALL
    SELECT coalesce(r.public_id, 'number ' || w.approval_id), w.wanted, w.row_of || ' stands on it, and '
               || CASE WHEN r.id IS NULL THEN 'it is gone' WHEN e.request_id IS NULL THEN 'it was never done'
                       ELSE 'it is a request of kind ' || r.kind END
      FROM (SELECT 'payment_match', 'match', approval_id FROM payment_match
            UNION ALL SELECT 'match_reversal', 'match_reversal', approval_id FROM match_reversal v
                       WHERE NOT EXISTS (SELECT FROM money_move w WHERE w.approval_id = v.approval_id)
            UNION ALL SELECT 'money_move', 'move_money', approval_id FROM money_move
            UNION ALL SELECT 'invoice_cancellation', 'bill_cancel', approval_id FROM invoice_cancellation
            UNION ALL SELECT 'payer_link_answer', 'link', approval_id FROM payer_link_answer
            UNION ALL SELECT 'policy_activation', 'policy', approval_id FROM policy_activation
            UNION ALL SELECT 'statement_drop', 'statement_drop', approval_id FROM statement_drop)
           w (row_of, wanted, approval_id)
      LEFT JOIN request r ON r.id = w.approval_id
      LEFT JOIN execution e ON e.request_id = r.id AND e.outcome = 'done'
     WHERE w.approval_id IS NOT NULL AND (r.id IS NULL OR e.request_id IS NULL OR r.kind <> w.wanted)
    UNION ALL
    SELECT r.public_id, r.kind, 'it is about another payment or another bill than the match that stands on it'
      FROM payment_match m JOIN request r ON r.id = m.approval_id
     WHERE (r.payload ->> 'payment_id')::bigint IS DISTINCT FROM m.payment_id
        OR (r.payload ->> 'invoice_id')::bigint IS DISTINCT FROM m.invoice_id
$$;
REVOKE ALL ON FUNCTION access.unjudged() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.unjudged() TO revenue_report, revenue_worker, revenue_api;

-- When an answer was kept is the database's word: an api process that could date it back would have it forgotten.
REVOKE INSERT ON idempotency_key FROM revenue_api;
GRANT INSERT (person_id, key, fingerprint, status, media_type, body) ON idempotency_key TO revenue_api;
RESET ROLE;
