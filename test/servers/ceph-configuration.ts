export const CLUSTER_ID = '11111111-2222-3333-4444-555555555555';

/** A key that the gateway encrypts with when it is asked to. */
export const KMS_KEY = 'test-key';

/** What is logged costs more than the work in a cluster that keeps everything in memory. */
const SILENT = ['none', 'ms', 'auth', 'mon', 'monc', 'osd', 'objclass', 'objecter', 'rados', 'rgw'];

/**
 * The ceph.conf of a cluster of one monitor, one OSD in memory and one gateway.
 * @param frontend the addresses of the gateway
 * @param more lines of the installation
 */
export function cephConfiguration(
  home: string,
  monitorPort: number,
  frontend: string,
  more: readonly string[],
): string {
  return `[global]
fsid = ${CLUSTER_ID}
mon_host = [v2:127.0.0.1:${monitorPort}/0]
keyring = ${home}/keyring
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv4 = true
ms_bind_msgr1 = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
osd_crush_chooseleaf_type = 0
run_dir = ${home}/run
admin_socket = ${home}/run/$name.asok
log_file = ${home}/log/$name.log
pid_file = ${home}/run/$name.pid
mon_data = ${home}/mon
osd_data = ${home}/osd
osd_objectstore = memstore
memstore_device_bytes = 8589934592
osd_op_num_shards = 2
rgw_data = ${home}/rgw
rgw_frontends = ${frontend}
rgw_thread_pool_size = 64
rgw_enable_gc_threads = true
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = ${KMS_KEY}=${Buffer.alloc(32, 7).toString('base64')}
rgw_gc_obj_min_wait = 1
rgw_gc_processor_period = 5
${SILENT.map((part) => `debug_${part} = 0/0`).join('\n')}
rgw_bucket_quota_ttl = 0
${more.join('\n')}
`;
}
