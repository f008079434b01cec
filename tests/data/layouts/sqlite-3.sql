BEGIN TRANSACTION;
CREATE TABLE rota_jobs (
	id VARCHAR(191) NOT NULL, 
	name TEXT NOT NULL, 
	func TEXT NOT NULL, 
	trigger_spec TEXT NOT NULL, 
	args TEXT NOT NULL, 
	kwargs TEXT NOT NULL, 
	options TEXT NOT NULL, 
	executor VARCHAR(191) NOT NULL, 
	next_nominal BIGINT, 
	next_due BIGINT, 
	version BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	running BIGINT NOT NULL, 
	error TEXT, 
	created BIGINT NOT NULL, 
	updated BIGINT NOT NULL, 
	PRIMARY KEY (id)
)
 WITHOUT ROWID

;
INSERT INTO "rota_jobs" VALUES('broken','task','rota.testing.contracts.store_jobs:task','{"type":"interval","seconds":60,"start_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"}','[]','{}','{}','default',1767225600000000,NULL,341774401273,'quarantined',0,'its code is gone',1795982133466644,1767225600000000);
INSERT INTO "rota_jobs" VALUES('busy','task','rota.testing.contracts.store_jobs:task','{"type":"interval","seconds":60,"start_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"}','[]','{}','{}','default',1767225660000000,1767225660000000,249635991206,'active',1,NULL,1795982133546605,1767225600000000);
INSERT INTO "rota_jobs" VALUES('given back','task','rota.testing.contracts.store_jobs:task','{"type":"interval","seconds":60,"start_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"}','[]','{}','{}','default',1767225660000000,1767225660000000,817338668060,'active',1,NULL,1795982133482658,1767225600000000);
INSERT INTO "rota_jobs" VALUES('hourly','the hourly job','rota.testing.contracts.store_jobs:task','{"type":"interval","seconds":60,"start_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"}','[1,"é"]','{}','{}','default',1767225660000000,1767225660000000,455558396830,'active',0,NULL,1795982133264265,1767225600000000);
INSERT INTO "rota_jobs" VALUES('paused','task','rota.testing.contracts.store_jobs:task','{"type":"interval","seconds":60,"start_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"}','[]','{}','{}','default',NULL,NULL,878058837811,'paused',0,NULL,1795982133577291,1795982133577291);
CREATE TABLE rota_meta (
	"key" VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
)
 WITHOUT ROWID

;
INSERT INTO "rota_meta" VALUES('identity','dcea0bb789961c1c369f201a1eb68b4d');
INSERT INTO "rota_meta" VALUES('schema','3');
CREATE TABLE rota_nodes (
	id VARCHAR(64) NOT NULL, 
	lease_until BIGINT NOT NULL, 
	started BIGINT NOT NULL, 
	renewals BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id)
)
 WITHOUT ROWID

;
INSERT INTO "rota_nodes" VALUES('node-1',1767225615000000,1767225600000000,2);
CREATE TABLE rota_runs (
	job_id VARCHAR(191) NOT NULL, 
	nominal BIGINT NOT NULL, 
	last BIGINT NOT NULL, 
	times BIGINT NOT NULL, 
	due BIGINT NOT NULL, 
	attempt BIGINT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	reason TEXT, 
	owner VARCHAR(64), 
	executor VARCHAR(191) NOT NULL, 
	claimed BIGINT, 
	started BIGINT, 
	finished BIGINT, 
	result TEXT, 
	error_type TEXT, 
	error TEXT, 
	traceback TEXT, 
	name TEXT, 
	func TEXT, 
	signature TEXT, 
	CONSTRAINT pk_rota_runs PRIMARY KEY (job_id, nominal)
)
 WITHOUT ROWID

;
INSERT INTO "rota_runs" VALUES('busy',1767225600000000,1767225600000000,1,1767225600000000,1,'claimed',NULL,'node-1','default',1767225600000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "rota_runs" VALUES('given back',1767225600000000,1767225600000000,1,1767225600000000,1,'claimed',NULL,NULL,'default',1767225600000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "rota_runs" VALUES('hourly',1767225600000000,1767225600000000,1,1767225600000000,1,'succeeded',NULL,'node-1','default',1767225600000000,1767225600000000,1767225601000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "rota_runs" VALUES('once',1767225600000000,1767225600000000,1,1767225600000000,1,'succeeded',NULL,'node-1','default',1767225600000000,1767225600000000,1767225601000000,NULL,NULL,NULL,NULL,'the once job','rota.testing.contracts.store_jobs:task',NULL);
CREATE INDEX ix_rota_jobs_due ON rota_jobs (state, executor, next_due);
CREATE INDEX ix_rota_runs_status ON rota_runs (status, nominal);
COMMIT;
