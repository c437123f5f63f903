/**
 * Numbered and never changed once released: a new need is a new step. Each runs in the transaction that records it.
 * Objects stand as JSON text and not as jsonb, so that they come back to the letter: ids are hashes over them, and jsonb cannot hold U+0000.
 */
export const datanetSteps: readonly string[] = [
  `CREATE TABLE datanets.datanet (name text PRIMARY KEY, id text UNIQUE NOT NULL, position bigserial, secret bytea NOT NULL, body text NOT NULL);
   CREATE TABLE datanets.contribution (
     datanet text NOT NULL REFERENCES datanets.datanet, id text NOT NULL, number integer NOT NULL, status text NOT NULL, body text NOT NULL,
     PRIMARY KEY (datanet, id), UNIQUE (datanet, number));
   CREATE TABLE datanets.record (
     datanet text NOT NULL, contribution text NOT NULL, position integer NOT NULL, id text NOT NULL, body text NOT NULL,
     PRIMARY KEY (datanet, contribution, position));
   CREATE INDEX record_id ON datanets.record (datanet, contribution, id);
   CREATE TABLE datanets.version (datanet text NOT NULL REFERENCES datanets.datanet, number integer NOT NULL, body text NOT NULL, PRIMARY KEY (datanet, number));
   CREATE TABLE datanets.context (id text PRIMARY KEY, body text NOT NULL);
   CREATE TABLE datanets.binding (datanet text NOT NULL REFERENCES datanets.datanet, identity text NOT NULL, body text NOT NULL, PRIMARY KEY (datanet, identity));`,
  // Content once, under its own hash, whoever contributes it. A body from before this step also names its first contribution; reading overrides that.
  `CREATE TABLE datanets.content (id text PRIMARY KEY, body text NOT NULL);
   INSERT INTO datanets.content SELECT DISTINCT ON (id) id, body FROM datanets.record ORDER BY id;
   DROP INDEX datanets.record_id;
   ALTER TABLE datanets.record DROP COLUMN body;`,
  `CREATE TABLE datanets.annotation (
     datanet text NOT NULL REFERENCES datanets.datanet, id text NOT NULL, number integer NOT NULL, body text NOT NULL,
     PRIMARY KEY (datanet, id), UNIQUE (datanet, number));`,
];
