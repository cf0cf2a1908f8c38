-- The role of the workers. Run it as the role that runs `fleet init`, before or after it.
CREATE ROLE worker LOGIN;
CREATE SCHEMA IF NOT EXISTS agora_queue;
CREATE SCHEMA IF NOT EXISTS agora_ledger;
GRANT USAGE ON SCHEMA agora_queue, agora_ledger TO worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA agora_queue TO worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA agora_queue TO worker;
-- For what `fleet init` creates afterwards.
ALTER DEFAULT PRIVILEGES IN SCHEMA agora_queue GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO worker;
ALTER DEFAULT PRIVILEGES IN SCHEMA agora_queue GRANT USAGE ON SEQUENCES TO worker;
