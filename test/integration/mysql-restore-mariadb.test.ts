import { describeRestoring } from '../fixtures/mysql-restoring.ts';
import { startMariadb } from '../servers/mariadb.ts';

describeRestoring('MariaDB 10.11', startMariadb);
