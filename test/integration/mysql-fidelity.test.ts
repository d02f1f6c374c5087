import { describeFidelity } from '../fixtures/mysql-fidelity.ts';
import { startMysql } from '../servers/mysql.ts';

describeFidelity('MySQL 9', startMysql);
