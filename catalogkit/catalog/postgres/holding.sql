-- A hold on a document keeps every content that the document has had since, not only the one it has now: whoever holds
-- it wants what was there when the hold was placed, and a changed download must not take that away. Where nothing is held,
-- which is nearly always, no history is read.
CREATE OR REPLACE VIEW kept AS
SELECT h.sha256, k.id AS moment, k.kind, k.name, k.expires_us
FROM moments k JOIN documents_history h ON h.hid > k.changes AND h.id <= k.last_id
WHERE k.released_us IS NULL AND (h.op = 'update' OR h.op = 'delete')
AND NOT EXISTS (
    SELECT 1 FROM documents_history e
    WHERE e.id = h.id AND e.hid > k.changes AND e.hid < h.hid AND e.op <> 'older'
)
UNION ALL
SELECT h.sha256, -s.id AS moment, 'region' COLLATE "C" AS kind, s.name, NULL::bigint AS expires_us
FROM sites own JOIN reaches r ON r.origin_id = own.id JOIN sites s ON s.id = r.site_id
CROSS JOIN blobs b JOIN documents_history h ON h.sha256 = b.sha256
WHERE own.own = 1 AND s.own = 0 AND s.expired_us IS NULL AND b.garbage_since_us IS NOT NULL
AND (h.op = 'update' OR h.op = 'delete')
AND NOT EXISTS (
    SELECT 1 FROM elsewhere e WHERE e.sha256 = h.sha256 AND e.site_id = s.id AND e.copies > 0
    AND (e.outcome IS NULL OR e.outcome = 'ok')
)
AND (
    h.hid > r.changes
    OR EXISTS (
        SELECT 1 FROM documents d JOIN records c ON c.document_id = d.id AND c.seq > r.seq
        WHERE d.artifact_id = h.artifact_id AND d.source_url = h.source_url AND d.resolver = h.resolver AND d.variant = h.variant AND d.tenant = h.tenant
    )
    OR EXISTS (
        SELECT 1 FROM records c WHERE c.seq > r.seq
        AND c.artifact_id = h.artifact_id AND c.source_url = h.source_url AND c.resolver = h.resolver AND c.variant = h.variant AND c.tenant = h.tenant
    )
)
UNION ALL
SELECT h.sha256, 0 AS moment, 'hold' COLLATE "C" AS kind, o.reason AS name, o.expires_us
FROM (SELECT 1 AS held FROM holds WHERE document_id IS NOT NULL AND released_us IS NULL LIMIT 1) x
CROSS JOIN documents_history h JOIN holds o ON o.document_id = h.id
WHERE o.released_us IS NULL AND h.ended_us >= o.placed_us AND (h.op = 'update' OR h.op = 'delete');
