//! A year of cases, written straight into the portal's database: charts and lists need something to show.

use std::path::Path;

use rusqlite::Connection;
use tracehop::host::clock;

/// 400 cases over the last year at four providers, two campaigns, three reports. No two runs differ but for the day.
pub fn year(folder: &Path) {
    let database = Connection::open(folder.join("portal/state/portal.db"));
    let database = database.unwrap();
    database
        .busy_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    let now = clock::now().nanos();
    let sql = "
BEGIN IMMEDIATE;
INSERT INTO campaign (id, name, category, summary, created, created_by) VALUES
    (1, 'Card services impostor', 'business-impersonation', 'A voice says that a large charge was made to the card, and asks to press 1.', NOW - 30000000000000000, 'user:ann'),
    (2, 'Tax refund', 'government-impersonation', 'Claims to be the tax office.', NOW - 20000000000000000, 'user:ann');
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 399)
INSERT INTO trace (id, state, outcome, priority, campaign, requester, organisation, evidence, called, calling, called_at, call, first_provider, ended_at,
    originator, summary, hops, verified, opened, changed, closed, created)
SELECT printf('TB-2025-%06d', i + 1), iif(i < 25, 'open', 'closed'),
    iif(i < 25, NULL, CASE WHEN i % 10 < 5 THEN 'originator' WHEN i % 10 < 7 THEN 'point-of-entry' WHEN i % 10 = 7 THEN 'non-responsive' WHEN i % 10 = 8 THEN 'not-found' ELSE 'no-record' END),
    iif(i % 40 = 3, 1, 0), iif(i % 3 = 0, NULL, 1 + i % 2), 'rita', 'Example Bureau', 'A recorded voice.', printf('+1202555%04d', 100 + i % 100),
    printf('+1303555%04d', 100 + i % 90), NOW - i * 78840000000000, '{}', 'alpha', iif(i < 25, NULL, CASE i % 3 WHEN 0 THEN 'bravo' WHEN 1 THEN 'charlie' ELSE 'delta' END),
    iif(i % 10 IN (5, 6), json_object('name', 'Abroad Tel', 'country', CASE i % 4 WHEN 0 THEN 'GB' WHEN 1 THEN 'IN' ELSE 'PH' END), NULL), '', iif(i < 25, 1, 2 + i % 5), 1,
    NOW - i * 78840000000000, NOW - i * 78840000000000, iif(i < 25, NULL, NOW - i * 78840000000000 + 86400000000000), NOW - i * 78840000000000 FROM n;
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1599)
INSERT INTO hop (id, trace, n, depth, branch, provider, downstream, state, octets, sha256, issued, due, deadline, answered, resolution, named, in_time)
SELECT printf('TB-2025-%06d-%02d', i / 4 + 1, i % 4 + 1), printf('TB-2025-%06d', i / 4 + 1), i % 4 + 1, i % 4 + 1, 'main',
    CASE i % 4 WHEN 0 THEN 'alpha' WHEN 1 THEN 'bravo' WHEN 2 THEN 'charlie' ELSE 'delta' END, CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN 'alpha' WHEN 2 THEN 'bravo' ELSE 'charlie' END,
    iif(i % 29 = 7, 'non-responsive', 'answered'), CAST('{}' AS BLOB), '', NOW - (i / 4) * 78840000000000, NOW - (i / 4) * 78840000000000 + 86400000000000, '{}',
    iif(i % 29 = 7, NULL, NOW - (i / 4) * 78840000000000 + (20 + (i * i * 37) % 50000 + iif(i % 31 = 3, 90000, 0)) * 1000000000), iif(i % 29 = 7, NULL, 'UPSTREAM_DOMESTIC'),
    iif(i % 29 = 7, NULL, CASE i % 4 WHEN 0 THEN 'bravo' WHEN 1 THEN 'charlie' WHEN 2 THEN 'delta' END), iif(i % 29 = 7, NULL, i % 31 <> 3) FROM n;
INSERT INTO report (provider, key, received, octets, upstream, summary, campaign, seen_by)
SELECT 'alpha', 'report-' || value, NOW - value * 3600000000000, CAST(json_object('campaign', json_object('flag', 'spoofed', 'calls', 1200 * value, 'first', '2026-11-20T10:00:00Z',
    'last', '2026-11-24T09:00:00Z', 'state', 'active'), 'upstream', json_object('name', 'Bravo Networks', 'portal_id', 'bravo', 'country', 'US'), 'examples', json_array(
    json_object('at', '2026-11-24T09:30:07Z', 'called', '+12025550123', 'calling', '+13035550147'), json_object('at', '2026-11-24T09:31:40Z'))) AS BLOB),
    'bravo', '1,200 calls with a number that is not theirs', iif(value = 3, 1, NULL), iif(value > 1, 'user:ann', NULL) FROM json_each('[1,2,3]');
COMMIT;"
        .replace("NOW", &now.to_string());
    database.execute_batch(&sql).unwrap();
}
