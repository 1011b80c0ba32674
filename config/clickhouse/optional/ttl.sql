-- The server deletes days by itself, for ClickHouse 19.6 and later. Beside `tracehop store engine retain`, which notes what is gone: without that note an answer would say
-- "we were not looking" where it must say "out of retention". The days are those of [store.engine] retention_days, and one more, so that the note comes first.
-- Run it at one replica of every shard.

ALTER TABLE tracehop.records_local MODIFY TTL toDateTime(intDiv(begun_at, 1000000000)) + INTERVAL 549 DAY;
ALTER TABLE tracehop.numbers_local MODIFY TTL toDateTime(intDiv(begun_at, 1000000000)) + INTERVAL 549 DAY;
ALTER TABLE tracehop.ends_local MODIFY TTL toDateTime(hour * 3600) + INTERVAL 549 DAY;
ALTER TABLE tracehop.coverage_local MODIFY TTL toDateTime(intDiv(from_time, 1000000000)) + INTERVAL 549 DAY;
