import type { DestinationDriver } from '../lib/destinations/driver.ts';
import { BackupError } from '../lib/errors.ts';
import type { ScheduleWatch } from '../lib/health/schedule-check.ts';
import type { EncryptionKey, KeyRing } from '../lib/keys/keys.ts';
import type { Channel } from '../lib/notifiers/notifier.ts';
import type { DestinationBinding } from '../lib/plan/bindings.ts';
import type { RetentionPolicy } from '../lib/retention/policy.ts';
import type { MysqlServer } from '../lib/sources/mysql/options.ts';
import type { PostgresServer } from '../lib/sources/postgres/options.ts';
import type { SshOptions } from '../lib/ssh/options.ts';

/** Names what one node offers to others, and the type of it. */
export interface ServiceKey<Service> {
  /** What it is, for errors: `storage`. */
  readonly name: string;
  /** Only a type, never a value. */
  readonly service?: Service;
}

/** A storage, offered by its config node. */
export interface StorageService {
  driver(): DestinationDriver;
}

/** Keys, offered by a key config node. */
export interface KeyService {
  /** Who shall be able to open a new file. */
  encryptionKey(): Promise<EncryptionKey>;
  /** What existing files can be opened with. */
  keyRing(): Promise<KeyRing>;
}

/** A database server, offered by its config node. */
export interface ServerService<Server> {
  /** How to reach it and sign in, through its bastion where it has one. */
  server(): Server;
}

/** A host that is reached by SSH, offered by its config node. */
export interface SshService {
  options(): SshOptions;
}

/** A place that backup sets are written to, offered by a destination node. */
export interface PlaceService {
  binding(): DestinationBinding;
}

/** Which backup sets are kept, offered by a retention node. */
export interface RetentionService {
  /** @throws BackupError `invalid-config` when it keeps nothing */
  policy(): RetentionPolicy;
}

/** A schedule, offered by its node. */
export interface ScheduleService {
  /** Fires now, whatever the schedule says. */
  fire(): Promise<void>;
  /** @throws BackupError when that cannot be recorded */
  pause(): Promise<void>;
  /** @throws BackupError when that cannot be recorded */
  resume(): Promise<void>;
  /** How it is doing. */
  watch(): ScheduleWatch;
}

/** A channel that people are told through, offered by a notifier node. */
export interface NotifierService {
  channel(): Channel;
}

export const NOTIFIER: ServiceKey<NotifierService> = { name: 'notifier' };
export const RETENTION: ServiceKey<RetentionService> = { name: 'retention policy' };
export const SCHEDULE: ServiceKey<ScheduleService> = { name: 'schedule' };
export const POSTGRES_SERVER: ServiceKey<ServerService<PostgresServer>> = { name: 'PostgreSQL server' };
export const MYSQL_SERVER: ServiceKey<ServerService<MysqlServer>> = { name: 'MySQL server' };
export const SSH: ServiceKey<SshService> = { name: 'SSH host' };
export const STORAGE: ServiceKey<StorageService> = { name: 'storage' };
export const KEY: ServiceKey<KeyService> = { name: 'key' };
export const PLACE: ServiceKey<PlaceService> = { name: 'destination' };

/** What a node offers: made with `offer`, so that key and value agree. */
export interface Offer {
  readonly name: string;
  readonly service: unknown;
}

export function offer<Service>(key: ServiceKey<Service>, service: Service): Offer {
  return { name: key.name, service };
}

/** Part of RED that finds a running node. */
export interface NodeLookup {
  readonly nodes: { getNode(id: string): object | null | undefined };
}

/** Finds the service of a node that a setting refers to. @throws BackupError `invalid-config` when there is none */
export type ServiceUse = <Service>(key: ServiceKey<Service>, nodeId: string) => Service;

/** The service among what a node offers. */
export function findOffer<Service>(offers: readonly Offer[], key: ServiceKey<Service>): Service | undefined {
  return offers.find(({ name }) => name === key.name)?.service as Service | undefined;
}

const OFFERS: unique symbol = Symbol.for('@dbackup/node-red.offers');

export function attachOffers(node: object, offers: readonly Offer[]): void {
  Object.defineProperty(node, OFFERS, { value: offers, enumerable: false, configurable: true });
}

/**
 * The service of a node that a setting refers to.
 * @throws BackupError `invalid-config` when the node is missing, disabled, of another kind or not set up
 */
export function serviceOf<Service>(RED: NodeLookup, key: ServiceKey<Service>, nodeId: string): Service {
  const service = findService(RED, key, nodeId);
  if (service !== undefined) return service;
  throw new BackupError(
    'invalid-config',
    `The ${key.name} that this node refers to is missing, disabled or not fully set up: open the node, choose a ${key.name} and deploy`,
  );
}

/** The same, undefined when there is none. */
export function findService<Service>(
  RED: NodeLookup,
  key: ServiceKey<Service>,
  nodeId: string,
): Service | undefined {
  const node = RED.nodes.getNode(nodeId);
  if (node === null || node === undefined || !(OFFERS in node)) return undefined;
  return findOffer((node as { [OFFERS]: readonly Offer[] })[OFFERS], key);
}
