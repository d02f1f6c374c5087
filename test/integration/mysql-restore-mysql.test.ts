import { describeRestoring } from '../fixtures/mysql-restoring.ts';
import { startMysql } from '../servers/mysql.ts';

describeRestoring('MySQL 9', startMysql);
