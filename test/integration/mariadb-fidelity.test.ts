import { describeFidelity } from '../fixtures/mysql-fidelity.ts';
import { startMariadb } from '../servers/mariadb.ts';

describeFidelity('MariaDB 10.11', startMariadb);
