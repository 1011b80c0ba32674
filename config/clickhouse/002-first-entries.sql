-- A first entry in every table's log. Without one, system.replicas shows the same for a log that is empty and for one whose only entry has not been read
-- yet, and nobody could say whether the replica has caught up. The rows are of the first day of 1970, and where a table is partitioned by the day they go again.

INSERT INTO tracehop.records_local (begun_at) VALUES (0);
ALTER TABLE tracehop.records_local DROP PARTITION 0;
INSERT INTO tracehop.numbers_local (begun_at) VALUES (0);
ALTER TABLE tracehop.numbers_local DROP PARTITION 0;
INSERT INTO tracehop.ends_local (hour) VALUES (0);
ALTER TABLE tracehop.ends_local DROP PARTITION 0;
INSERT INTO tracehop.coverage_local (from_time) VALUES (0);
ALTER TABLE tracehop.coverage_local DROP PARTITION 0;
INSERT INTO tracehop.probes_local (probe) VALUES (0);
INSERT INTO tracehop.forgotten_local (before) VALUES (0);
