-- Three in five documents have a content of their own; the others share those of a hot tenth.
CREATE TEMP TABLE contents_of AS SELECT n, c, sha256(int8send(c)) AS d FROM (
    SELECT n, CASE WHEN n % 5 < 3 THEN n
        ELSE (((n * 2654435761 % 4294967296) / 4294967296.0) ^ 3 * {count} / 10)::bigint END AS c
    FROM generate_series(0, {count} - 1::bigint) n
) x;

INSERT INTO blobs (sha256, bytes, media_type, state, refs, created_us, changed_us)
SELECT d, 2000 + c * 7919 % 3000000,
    (ARRAY['application/pdf', 'text/html', 'application/xml', 'application/epub+zip'])[c % 4 + 1], 'live',
    count(*), 1672531200000000, 1672531200000000
FROM contents_of GROUP BY d, c ORDER BY d;

INSERT INTO locations (store_id, key, layout, sha256, created_us, changed_us, checked_us, outcome)
SELECT 1, 'cas/' || substr(h, 1, 2) || '/' || h, 'cas', sha256, created_us, changed_us,
    created_us + bytes % 900 * 86400000000, 'ok'
FROM (SELECT *, encode(sha256, 'hex') AS h FROM blobs) b ORDER BY sha256;

INSERT INTO documents (tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id, fetched_us,
    created_us, changed_us, seen_us)
SELECT 'default', '10.5555/' || lpad(n::text, 8, '0'), 'https://example.org/' || lpad(n::text, 8, '0'),
    'resolver-' || n % 7, '', d, '', 'run-' || lpad((n / 5000)::text, 4, '0'), t, t, t, t
FROM (SELECT *, 1672531200000000 + n * (86400000000000 / {count}) AS t FROM contents_of) x ORDER BY n;

INSERT INTO checks (location_id, sha256, checked_us, outcome, bytes, method, detail, run_id)
SELECT l.id, l.sha256, l.checked_us, l.outcome, b.bytes, 'read', '', 'check-1'
FROM locations l JOIN blobs b USING (sha256) ORDER BY l.id;

-- One in a hundred is garbage.
WITH gone AS (SELECT id, sha256 FROM documents JOIN blobs b USING (sha256) WHERE b.refs = 1 LIMIT {count} / 100),
    away AS (DELETE FROM documents WHERE id IN (SELECT id FROM gone))
UPDATE blobs SET refs = 0, garbage_since_us = 1700000000000000 WHERE sha256 IN (SELECT sha256 FROM gone);
