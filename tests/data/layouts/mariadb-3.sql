/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: 127.0.0.1    Database: rota
-- ------------------------------------------------------
-- Server version	10.11.19-MariaDB-0+deb12u1

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

--
-- Table structure for table `rota_jobs`
--

DROP TABLE IF EXISTS `rota_jobs`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `rota_jobs` (
  `id` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `name` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `func` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `trigger_spec` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `args` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `kwargs` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `options` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `executor` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `next_nominal` bigint(20) DEFAULT NULL,
  `next_due` bigint(20) DEFAULT NULL,
  `version` bigint(20) NOT NULL,
  `state` varchar(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `running` bigint(20) NOT NULL,
  `error` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `created` bigint(20) NOT NULL,
  `updated` bigint(20) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_rota_jobs_due` (`state`,`executor`,`next_due`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `rota_jobs`
--

LOCK TABLES `rota_jobs` WRITE;
/*!40000 ALTER TABLE `rota_jobs` DISABLE KEYS */;
INSERT INTO `rota_jobs` VALUES
('broken','task','rota.testing.contracts.store_jobs:task','{\"type\":\"interval\",\"seconds\":60,\"start_date\":\"2026-01-01T00:00:00+00:00\",\"timezone\":\"UTC\"}','[]','{}','{}','default',1767225600000000,NULL,706443171230,'quarantined',0,'its code is gone',1795982161330152,1767225600000000),
('busy','task','rota.testing.contracts.store_jobs:task','{\"type\":\"interval\",\"seconds\":60,\"start_date\":\"2026-01-01T00:00:00+00:00\",\"timezone\":\"UTC\"}','[]','{}','{}','default',1767225660000000,1767225660000000,69099109685,'active',1,NULL,1795982161444827,1767225600000000),
('given back','task','rota.testing.contracts.store_jobs:task','{\"type\":\"interval\",\"seconds\":60,\"start_date\":\"2026-01-01T00:00:00+00:00\",\"timezone\":\"UTC\"}','[]','{}','{}','default',1767225660000000,1767225660000000,73765199877,'active',1,NULL,1795982161358540,1767225600000000),
('hourly','the hourly job','rota.testing.contracts.store_jobs:task','{\"type\":\"interval\",\"seconds\":60,\"start_date\":\"2026-01-01T00:00:00+00:00\",\"timezone\":\"UTC\"}','[1,\"é\"]','{}','{}','default',1767225660000000,1767225660000000,1017138818140,'active',0,NULL,1795982160921703,1767225600000000),
('paused','task','rota.testing.contracts.store_jobs:task','{\"type\":\"interval\",\"seconds\":60,\"start_date\":\"2026-01-01T00:00:00+00:00\",\"timezone\":\"UTC\"}','[]','{}','{}','default',NULL,NULL,886571143914,'paused',0,NULL,1795982161510642,1795982161510642);
/*!40000 ALTER TABLE `rota_jobs` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `rota_meta`
--

DROP TABLE IF EXISTS `rota_meta`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `rota_meta` (
  `key` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `value` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (`key`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `rota_meta`
--

LOCK TABLES `rota_meta` WRITE;
/*!40000 ALTER TABLE `rota_meta` DISABLE KEYS */;
INSERT INTO `rota_meta` VALUES
('identity','b04892b3a1d2dcb2ffe716d1eefd05ef'),
('schema','3');
/*!40000 ALTER TABLE `rota_meta` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `rota_nodes`
--

DROP TABLE IF EXISTS `rota_nodes`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `rota_nodes` (
  `id` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `lease_until` bigint(20) NOT NULL,
  `started` bigint(20) NOT NULL,
  `renewals` bigint(20) NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `rota_nodes`
--

LOCK TABLES `rota_nodes` WRITE;
/*!40000 ALTER TABLE `rota_nodes` DISABLE KEYS */;
INSERT INTO `rota_nodes` VALUES
('node-1',1767225615000000,1767225600000000,2);
/*!40000 ALTER TABLE `rota_nodes` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `rota_runs`
--

DROP TABLE IF EXISTS `rota_runs`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `rota_runs` (
  `job_id` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `nominal` bigint(20) NOT NULL,
  `last` bigint(20) NOT NULL,
  `times` bigint(20) NOT NULL,
  `due` bigint(20) NOT NULL,
  `attempt` bigint(20) NOT NULL,
  `status` varchar(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `reason` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `owner` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL,
  `executor` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `claimed` bigint(20) DEFAULT NULL,
  `started` bigint(20) DEFAULT NULL,
  `finished` bigint(20) DEFAULT NULL,
  `result` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `error_type` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `error` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `traceback` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `name` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `func` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `signature` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  PRIMARY KEY (`job_id`,`nominal`),
  KEY `ix_rota_runs_status` (`status`,`nominal`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `rota_runs`
--

LOCK TABLES `rota_runs` WRITE;
/*!40000 ALTER TABLE `rota_runs` DISABLE KEYS */;
INSERT INTO `rota_runs` VALUES
('busy',1767225600000000,1767225600000000,1,1767225600000000,1,'claimed',NULL,'node-1','default',1767225600000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
('given back',1767225600000000,1767225600000000,1,1767225600000000,1,'claimed',NULL,NULL,'default',1767225600000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
('hourly',1767225600000000,1767225600000000,1,1767225600000000,1,'succeeded',NULL,'node-1','default',1767225600000000,1767225600000000,1767225601000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
('once',1767225600000000,1767225600000000,1,1767225600000000,1,'succeeded',NULL,'node-1','default',1767225600000000,1767225600000000,1767225601000000,NULL,NULL,NULL,NULL,'the once job','rota.testing.contracts.store_jobs:task',NULL);
/*!40000 ALTER TABLE `rota_runs` ENABLE KEYS */;
UNLOCK TABLES;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed on 2026-11-29 19:56:01
