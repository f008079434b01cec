--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: rota_jobs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.rota_jobs (
    id character varying(191) NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    func text NOT NULL,
    trigger_spec text NOT NULL,
    args text NOT NULL,
    kwargs text NOT NULL,
    options text NOT NULL,
    executor character varying(191) NOT NULL COLLATE pg_catalog."C",
    next_nominal bigint,
    next_due bigint,
    version bigint NOT NULL,
    state character varying(16) NOT NULL COLLATE pg_catalog."C",
    running bigint NOT NULL,
    error text,
    created bigint NOT NULL,
    updated bigint NOT NULL
)
WITH (fillfactor='50');


--
-- Name: rota_meta; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.rota_meta (
    key character varying(64) NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL
)
WITH (fillfactor='50');


--
-- Name: rota_nodes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.rota_nodes (
    id character varying(64) NOT NULL COLLATE pg_catalog."C",
    lease_until bigint NOT NULL,
    started bigint NOT NULL,
    renewals bigint DEFAULT '0'::bigint NOT NULL
)
WITH (fillfactor='50');


--
-- Name: rota_runs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.rota_runs (
    job_id character varying(191) NOT NULL COLLATE pg_catalog."C",
    nominal bigint NOT NULL,
    last bigint NOT NULL,
    times bigint NOT NULL,
    due bigint NOT NULL,
    attempt bigint NOT NULL,
    status character varying(16) NOT NULL COLLATE pg_catalog."C",
    reason text,
    owner character varying(64) COLLATE pg_catalog."C",
    executor character varying(191) NOT NULL COLLATE pg_catalog."C",
    claimed bigint,
    started bigint,
    finished bigint,
    result text,
    error_type text,
    error text,
    traceback text,
    name text,
    func text,
    signature text
)
WITH (fillfactor='50');


--
-- Data for Name: rota_jobs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.rota_jobs VALUES ('hourly', 'the hourly job', 'rota.testing.contracts.store_jobs:task', '{"type":"interval","seconds":60,"start_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"}', '[1,"é"]', '{}', '{}', 'default', 1767225660000000, 1767225660000000, 1044605458665, 'active', 0, NULL, 1795982143550593, 1767225600000000);
INSERT INTO public.rota_jobs VALUES ('broken', 'task', 'rota.testing.contracts.store_jobs:task', '{"type":"interval","seconds":60,"start_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"}', '[]', '{}', '{}', 'default', 1767225600000000, NULL, 790662395117, 'quarantined', 0, 'its code is gone', 1795982143862790, 1767225600000000);
INSERT INTO public.rota_jobs VALUES ('given back', 'task', 'rota.testing.contracts.store_jobs:task', '{"type":"interval","seconds":60,"start_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"}', '[]', '{}', '{}', 'default', 1767225660000000, 1767225660000000, 459086249725, 'active', 1, NULL, 1795982143887754, 1767225600000000);
INSERT INTO public.rota_jobs VALUES ('busy', 'task', 'rota.testing.contracts.store_jobs:task', '{"type":"interval","seconds":60,"start_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"}', '[]', '{}', '{}', 'default', 1767225660000000, 1767225660000000, 1043183302295, 'active', 1, NULL, 1795982143986442, 1767225600000000);
INSERT INTO public.rota_jobs VALUES ('paused', 'task', 'rota.testing.contracts.store_jobs:task', '{"type":"interval","seconds":60,"start_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"}', '[]', '{}', '{}', 'default', NULL, NULL, 971810261352, 'paused', 0, NULL, 1795982144038789, 1795982144038789);


--
-- Data for Name: rota_meta; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.rota_meta VALUES ('schema', '3');
INSERT INTO public.rota_meta VALUES ('identity', 'b75aca2c6108ff46f7a6d942bf56c05f');


--
-- Data for Name: rota_nodes; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.rota_nodes VALUES ('node-1', 1767225615000000, 1767225600000000, 2);


--
-- Data for Name: rota_runs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.rota_runs VALUES ('hourly', 1767225600000000, 1767225600000000, 1, 1767225600000000, 1, 'succeeded', NULL, 'node-1', 'default', 1767225600000000, 1767225600000000, 1767225601000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.rota_runs VALUES ('once', 1767225600000000, 1767225600000000, 1, 1767225600000000, 1, 'succeeded', NULL, 'node-1', 'default', 1767225600000000, 1767225600000000, 1767225601000000, NULL, NULL, NULL, NULL, 'the once job', 'rota.testing.contracts.store_jobs:task', NULL);
INSERT INTO public.rota_runs VALUES ('given back', 1767225600000000, 1767225600000000, 1, 1767225600000000, 1, 'claimed', NULL, NULL, 'default', 1767225600000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.rota_runs VALUES ('busy', 1767225600000000, 1767225600000000, 1, 1767225600000000, 1, 'claimed', NULL, 'node-1', 'default', 1767225600000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);


--
-- Name: rota_runs pk_rota_runs; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rota_runs
    ADD CONSTRAINT pk_rota_runs PRIMARY KEY (job_id, nominal);


--
-- Name: rota_jobs rota_jobs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rota_jobs
    ADD CONSTRAINT rota_jobs_pkey PRIMARY KEY (id);


--
-- Name: rota_meta rota_meta_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rota_meta
    ADD CONSTRAINT rota_meta_pkey PRIMARY KEY (key);


--
-- Name: rota_nodes rota_nodes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rota_nodes
    ADD CONSTRAINT rota_nodes_pkey PRIMARY KEY (id);


--
-- Name: ix_rota_jobs_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_rota_jobs_due ON public.rota_jobs USING btree (state, executor, next_due);


--
-- Name: ix_rota_runs_status; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_rota_runs_status ON public.rota_runs USING btree (status, nominal);


--
-- PostgreSQL database dump complete
--


