import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type MemoryNode, startMemoryNode } from "../../node/testing/memoryNode.ts";
import { runLine } from "../testing/commandLine.ts";
import { commands } from "./program.ts";

let node: MemoryNode;
let folder: string;

beforeAll(async () => {
  node = await startMemoryNode();
  folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
  await writeFile(join(folder, "text.txt"), "some text");
  await writeFile(join(folder, "trust.json"), "{}");
  await writeFile(join(folder, "empty.json"), "[]");
});
afterAll(async () => {
  await node.stop();
  await rm(folder, { recursive: true, force: true });
});

const id = "0".repeat(64);
const address = `0x${"2".repeat(40)}`;
const account = `acct_${"0".repeat(24)}`;

/**
 * Three bad inputs of every command: exit code, code of the refusal, words of its message. `@` is the test's folder.
 * 64 the input is wrong, 65 it cannot be done with it, 66 not there, 69 away, 73 taken, 77 not allowed.
 */
const table = `
up                  | --port x                                          | 64 invalid_request | --port must be
up                  | --port 65536                                      | 64 invalid_request | --port must be
up                  | --host                                            | 64 invalid_request | argument missing
demo                | --port -1                                         | 64 invalid_request | --port must be
demo                | --twice                                           | 64 invalid_request | unknown option
demo                | --repo                                            | 64 invalid_request | argument missing
status              | --url ftp://x                                     | 64 invalid_request | is not an http URL
status              | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
status              | now                                               | 64 invalid_request | too many arguments
backup              |                                                   | 64 invalid_request | missing required argument
backup              | @/node.backup                                     | 66 not_found       | holds no ledger
backup              | here there                                        | 64 invalid_request | too many arguments
restore             |                                                   | 64 invalid_request | missing required argument
restore             | @/none.backup                                     | 66 not_found       | there is no file
restore             | @/text.txt                                        | 64 invalid_request | not a whole backup
datanet create      |                                                   | 64 invalid_request | missing required argument
datanet create      | d --licence MIT                                   | 64 invalid_request | --summary is missing
datanet create      | D! --summary s --licence MIT                      | 64 invalid_request | 1 to 64 of a-z
datanet list        | docs                                              | 64 invalid_request | too many arguments
datanet list        | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
datanet list        | --datanet                                         | 64 invalid_request | unknown option
datanet annotate    | d                                                 | 64 invalid_request | missing required argument
datanet annotate    | d 0x12 --text w                                   | 64 invalid_request | a record's id
datanet annotate    | d 0x12345678                                      | 64 invalid_request | --text is missing
datanet link        | d 0x12345678                                      | 64 invalid_request | missing required argument
datanet link        | d 0x12345678 x --text w                           | 64 invalid_request | a record's id
datanet link        | d 0x12345678 0x12345679                           | 64 invalid_request | --text is missing
datanet annotations |                                                   | 64 invalid_request | missing required argument
datanet annotations | none                                              | 66 not_found       | none
datanet annotations | d 0x12                                            | 64 invalid_request | either approves or rejects
datanet show        |                                                   | 64 invalid_request | missing required argument
datanet show        | none                                              | 66 not_found       | none
datanet show        | ..                                                | 66 not_found       | nothing at
datanet records     | none                                              | 66 not_found       | none
datanet records     | none --limit 0                                    | 64 invalid_request | --limit must be
datanet records     | none --offset -1                                  | 64 invalid_request | --offset must be
datanet contributors|                                                   | 64 invalid_request | missing required argument
datanet contributors| none                                              | 66 not_found       | none
datanet contributors| a b                                               | 64 invalid_request | too many arguments
datanet context     |                                                   | 64 invalid_request | missing required argument
datanet context     | none                                              | 66 not_found       | none
datanet context     | a b                                               | 64 invalid_request | too many arguments
datanet diff        | d 1                                               | 64 invalid_request | missing required argument
datanet diff        | d one 2                                           | 64 invalid_request | <from> must be
datanet diff        | none 1 2                                          | 66 not_found       | none
datanet review      | d c --reason because                              | 64 invalid_request | approves or rejects
datanet review      | d c --approve --reason x                          | 64 invalid_request | at least 3 characters
datanet review      | none c --approve --reason because                 | 66 not_found       | none
datanet publish     |                                                   | 64 invalid_request | missing required argument
datanet publish     | none                                              | 66 not_found       | none
datanet publish     | none --force                                      | 64 invalid_request | unknown option
datanet import      | d                                                 | 64 invalid_request | one source, got 0
datanet import      | d --folder @ --git @                              | 64 invalid_request | one source, got 2
datanet import      | d --folder @ --licence MIT --author Ann           | 64 invalid_request | does not name an author
datanet export      | d                                                 | 64 invalid_request | missing required argument
datanet export      | d @                                               | 73 already_exists  | is there already
datanet export      | none @/new                                        | 66 not_found       | none
datanet restore     |                                                   | 64 invalid_request | missing required argument
datanet restore     | @                                                 | 66 not_found       | holds no export
datanet restore     | @/nowhere                                         | 66 not_found       | nowhere
datanet leave       | d                                                 | 64 invalid_request | missing required argument
datanet leave       | d @/left                                          | 64 invalid_request | --to is missing
datanet leave       | none @/left --to us                               | 66 not_found       | none
datanet arrive      |                                                   | 64 invalid_request | missing required argument
datanet arrive      | @/none                                            | 66 not_found       | none
datanet arrive      | @                                                 | 66 not_found       | holds no export
model create        | m                                                 | 64 invalid_request | --datanet is missing
model create        | m --datanet none                                  | 66 not_found       | none
model create        | m --datanet d --royalty-out much                  | 64 invalid_request | not an amount of OPEN
model list          | m                                                 | 64 invalid_request | too many arguments
model list          | --url x                                           | 64 invalid_request | is not an http URL
model list          | --all                                             | 64 invalid_request | unknown option
model show          |                                                   | 64 invalid_request | missing required argument
model show          | none                                              | 66 model_not_found | none
model show          | a b                                               | 64 invalid_request | too many arguments
model card          |                                                   | 64 invalid_request | missing required argument
model card          | none                                              | 66 not_found       | nothing at
model card          | a b                                               | 64 invalid_request | too many arguments
model export        | m                                                 | 64 invalid_request | missing required argument
model export        | m @                                               | 73 already_exists  | is there already
model export        | m @/new --format zip                              | 64 invalid_request | --format
model bases         | house                                             | 64 invalid_request | too many arguments
model bases         | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
model bases         | --all                                             | 64 invalid_request | unknown option
model add-base      | small                                             | 64 invalid_request | missing required argument
model add-base      | small @ more                                      | 64 invalid_request | too many arguments
model add-base      | small @ --license MIT                             | 64 invalid_request | unknown option
model serve         |                                                   | 64 invalid_request | missing required argument
model serve         | a b                                               | 64 invalid_request | too many arguments
model serve         | house --as                                        | 64 invalid_request | argument missing
model measure       |                                                   | 64 invalid_request | missing required argument
model measure       | a b                                               | 64 invalid_request | too many arguments
model measure       | none                                              | 66 not_found       | nothing at
model import        |                                                   | 64 invalid_request | missing required argument
model import        | @/none                                            | 66 not_found       | there is no file
model import        | @/empty.json                                      | 64 invalid_request | names no model
operator attach     | gpu                                               | 64 invalid_request | --server is missing
operator attach     | gpu --server http://127.0.0.1:9/v1                | 64 invalid_request | --model is missing
operator attach     | gpu --server x --model m --adapter n=/x           | 64 invalid_request | a model that was named
operator list       | gpu                                               | 64 invalid_request | too many arguments
operator list       | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
operator list       | --all                                             | 64 invalid_request | unknown option
operator detach     |                                                   | 64 invalid_request | missing required argument
operator detach     | a b                                               | 64 invalid_request | too many arguments
operator detach     | none                                              | 66 not_found       | nothing at
ask                 | npm-docs                                          | 64 invalid_request | missing required argument
ask                 | none what                                         | 66 model_not_found | none
ask                 | npm-docs what --max-tokens 0                      | 64 invalid_request | --max-tokens must be
ingest              | @/text.txt                                        | 64 invalid_request | --format must be one of
ingest              | @/none --format litellm                           | 66 not_found       | there is no file
ingest              | @/text.txt --format csv --column what=a           | 64 invalid_request | there is no field what
shadow              | @/text.txt                                        | 64 invalid_request | --format must be one of
shadow              | @/none --format litellm                           | 66 not_found       | there is no file
shadow              | @/text.txt --format csv --datanet notes           | 64 invalid_request | must be NAME=FILE
terms show          |                                                   | 64 invalid_request | missing required argument
terms show          | none                                              | 66 model_not_found | none
terms show          | none --datanet                                    | 66 not_found       | none
terms read          |                                                   | 64 invalid_request | missing required argument
terms read          | @/nowhere.xml                                     | 66 not_found       | there is no file
terms read          | @/text.txt                                        | 64 invalid_request | no RSL document
model train         |                                                   | 64 invalid_request | missing required argument
model train         | house --epochs none --datanet d --yes             | 64 invalid_request | --epochs must be
model train         | house --file @/nowhere.jsonl --yes                | 66 not_found       | there is no file
model jobs          | all                                               | 64 invalid_request | too many arguments
model jobs          | --limit none                                      | 64 invalid_request | --limit must be
model jobs          | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
model job           |                                                   | 64 invalid_request | missing required argument
model job           | first                                             | 64 invalid_request | a job's id
model job           | ftjob-0123456789abcdef01234567                    | 66 not_found       | 
model follow        |                                                   | 64 invalid_request | missing required argument
model follow        | first                                             | 64 invalid_request | a job's id
model follow        | ftjob-0123456789abcdef01234567                    | 66 not_found       | 
model cancel        |                                                   | 64 invalid_request | missing required argument
model cancel        | first                                             | 64 invalid_request | a job's id
model cancel        | ftjob-0123456789abcdef01234567                    | 66 not_found       | 
model pause         |                                                   | 64 invalid_request | missing required argument
model pause         | first                                             | 64 invalid_request | a job's id
model pause         | ftjob-0123456789abcdef01234567                    | 66 not_found       | 
model resume        |                                                   | 64 invalid_request | missing required argument
model resume        | first                                             | 64 invalid_request | a job's id
model resume        | ftjob-0123456789abcdef01234567                    | 66 not_found       | 
model eval          |                                                   | 64 invalid_request | missing required argument
model eval          | first                                             | 64 invalid_request | a job's id
model eval          | ftjob-0123456789abcdef01234567                    | 66 not_found       | 
model deploy        |                                                   | 64 invalid_request | missing required argument
model deploy        | first                                             | 64 invalid_request | a job's id
model deploy        | ftjob-0123456789abcdef01234567                    | 66 not_found       | 
model price         |                                                   | 64 invalid_request | missing required argument
model price         | m                                                 | 64 invalid_request | 
model price         | m --royalty-out much                              | 64 invalid_request | --royalty-out
model training-prices | now                                             | 64 invalid_request | too many arguments
model training-prices | --cost much                                     | 64 invalid_request | --cost
model training-prices | --cost -1                                       | 64 invalid_request | 
model import-adapter| ftjob-0123456789abcdef01234567                    | 64 invalid_request | missing required argument
model import-adapter| first @                                           | 64 invalid_request | a job's id
model import-adapter| ftjob-0123456789abcdef01234567 @/none             | 66 not_found       | 
receipt explain     |                                                   | 64 invalid_request | missing required argument
receipt explain     | mine                                              | 64 invalid_request | <id>
receipt explain     | 0x00000000000000000000000000000000                | 66 not_found       | there is no receipt
receipt find        |                                                   | 64 invalid_request | missing required argument
receipt find        | x --source fax                                    | 64 invalid_request | --source
receipt find        | x                                                 | 66 not_found       | was reported here
receipt show        |                                                   | 64 invalid_request | missing required argument
receipt show        | 0x12                                              | 64 invalid_request | <id> must be a receipt id
receipt show        | ${"0".repeat(32)}                                 | 66 not_found       | there is no receipt
receipt list        | --limit 1001                                      | 64 invalid_request | --limit must be
receipt list        | --before x                                        | 64 invalid_request | --before must be
receipt list        | mine                                              | 64 invalid_request | too many arguments
key create          | ${account}                                        | 64 invalid_request | missing required argument
key create          | acct_1 laptop                                     | 64 invalid_request | an account id
key create          | ${account} laptop --in-flight 0                   | 64 invalid_request | --in-flight must be
key list            | all                                               | 64 invalid_request | too many arguments
key list            | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
key list            | --revoked                                         | 64 invalid_request | unknown option
key revoke          |                                                   | 64 invalid_request | missing required argument
key revoke          | key_1                                             | 64 invalid_request | a key id
key revoke          | key_${"0".repeat(24)}                             | 66 not_found       | there is no key
account create      |                                                   | 64 invalid_request | missing required argument
account create      | ${"x".repeat(121)}                                | 64 invalid_request | <name>
account create      | a b                                               | 64 invalid_request | too many arguments
account list        | all                                               | 64 invalid_request | too many arguments
account list        | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
account list        | --limit 3                                         | 64 invalid_request | unknown option
account show        | acct_1                                            | 64 invalid_request | an account id
account show        | ${account}                                        | 66 not_found       | there is no account
account show        | me you                                            | 64 invalid_request | too many arguments
account link        | me                                                | 64 invalid_request | missing required argument
account link        | me 0x12                                           | 64 invalid_request | an address
account link        | me ${address} --signature 0x${"1".repeat(130)}    | 64 invalid_request | --deadline: goes with --signature
account unlink      | acct_1                                            | 64 invalid_request | an account id
account unlink      | ${account}                                        | 66 not_found       | there is no account
account unlink      | me you                                            | 64 invalid_request | too many arguments
account own         |                                                   | 64 invalid_request | missing required argument
account own         | ${address} --key-file @/none                      | 66 not_found       | there is no file
account own         | ${address} --key-file @/text.txt                  | 64 invalid_request | does not hold a private key
account credit      | me                                                | 64 invalid_request | missing required argument
account credit      | me -1                                             | 64 invalid_request | not an amount of OPEN
account credit      | me 0                                              | 65 amount_out_of_range | more than nothing
account statement   | acct_1                                            | 64 invalid_request | an account id
account statement   | me --payee ${id}                                  | 64 invalid_request | of an account or of a payee
account statement   | me --from yesterday                               | 64 invalid_request | ISO 8601
org create          |                                                   | 64 invalid_request | missing required argument
org create          | ${"x".repeat(121)}                                | 64 invalid_request | <name>
org create          | acme --owner                                      | 64 invalid_request | argument missing
org list            | all                                               | 64 invalid_request | too many arguments
org list            | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
org list            | --limit 3                                         | 64 invalid_request | unknown option
org show            | acme                                              | 64 invalid_request | <org>
org show            | org_000000000000000000000000                      | 66 not_found | nothing at
org show            | me you                                            | 64 invalid_request | too many arguments
org rename          |                                                   | 64 invalid_request | missing required argument
org rename          | a b                                               | 64 invalid_request | too many arguments
org rename          | a --org acme                                      | 64 invalid_request | --org
org invite          | Ben                                               | 64 invalid_request | missing required argument
org invite          | Ben chief                                         | 64 invalid_request | <role>
org invite          | Ben builder --org acme                            | 64 invalid_request | --org
org join            |                                                   | 64 invalid_request | missing required argument
org join            | inv_1                                             | 64 invalid_request | <token>
org join            | inv_000000000000000000000000000000000000000000000000| 66 not_found | nothing at
org role            | Ben builder                                       | 64 invalid_request | <member>
ledger move         |                                                   | 64 invalid_request | --to-chain is missing
ledger move         | --to-chain --deposit much                         | 64 invalid_request | --deposit
ledger move         | --to-chain --dry-run                              | 66 not_found       | holds no ledger
org role            | mem_000000000000000000000000 chief                | 64 invalid_request | <role>
org role            | mem_000000000000000000000000 viewer               | 66 not_found | nothing at
org remove          |                                                   | 64 invalid_request | missing required argument
org remove          | key_000000000000000000000000                      | 64 invalid_request | <id>
org remove          | prj_000000000000000000000000                      | 66 not_found | nothing at
org transfer        |                                                   | 64 invalid_request | missing required argument
org transfer        | Ben                                               | 64 invalid_request | <member>
org transfer        | mem_000000000000000000000000                      | 66 not_found | nothing at
org project         |                                                   | 64 invalid_request | missing required argument
org project         | ${"x".repeat(121)}                                | 64 invalid_request | <name>
org project         | a --org acme                                      | 64 invalid_request | --org
org key             |                                                   | 64 invalid_request | missing required argument
org key             | prod --project                                    | 64 invalid_request | argument missing
org key             | prod                                              | 66 not_found | nothing at
org keys            | all                                               | 64 invalid_request | too many arguments
org keys            | --org acme                                        | 64 invalid_request | --org
org keys            |                                                   | 66 not_found | nothing at
org rotate          |                                                   | 64 invalid_request | missing required argument
org rotate          | key_1                                             | 64 invalid_request | <id>
org rotate          | key_000000000000000000000000                      | 66 not_found | nothing at
org revoke          |                                                   | 64 invalid_request | missing required argument
org revoke          | key_1                                             | 64 invalid_request | <id>
org revoke          | key_000000000000000000000000                      | 66 not_found | nothing at
org limit           |                                                   | 64 invalid_request | missing required argument
org limit           | everything                                        | 64 invalid_request | <id>
org limit           | me --open-per-day -1                              | 64 invalid_request | --open-per-day
org usage           | all                                               | 64 invalid_request | too many arguments
org usage           | --org acme                                        | 64 invalid_request | --org
org usage           |                                                   | 66 not_found | nothing at
org spending        |                                                   | 64 invalid_request | --from
org spending        | --from 2027-01-01 --until soon                    | 64 invalid_request | --until
org spending        | --from 2027-01-01 --until 2027-02-01              | 66 not_found | nothing at
org audit           | all                                               | 64 invalid_request | too many arguments
org audit           | --org acme                                        | 64 invalid_request | --org
org audit           | --node                                            | 66 not_found | nothing at
epoch list          | 1                                                 | 64 invalid_request | too many arguments
epoch list          | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
epoch list          | --open                                            | 64 invalid_request | unknown option
epoch show          |                                                   | 64 invalid_request | missing required argument
epoch show          | first                                             | 64 invalid_request | <epoch> must be
epoch show          | 9                                                 | 66 not_found       | epoch 9 is not closed
epoch close         | 1                                                 | 64 invalid_request | too many arguments
epoch close         |                                                   | 66 not_found       | not part of this node
epoch close         | --now                                             | 64 invalid_request | unknown option
epoch fund          | first --reference x                               | 64 invalid_request | <epoch> must be
epoch fund          | 1                                                 | 64 invalid_request | --reference
epoch fund          | 1 --reference x                                   | 65 conflict        | settles on its chain
epoch settle        | first --reference x                               | 64 invalid_request | <epoch> must be
epoch settle        | 1                                                 | 64 invalid_request | --reference
epoch settle        | 1 --reference x                                   | 65 conflict        | settles on its chain
payout create       | --currency euro                                   | 64 invalid_request | three capital letters
payout create       | --rate 0                                          | 64 invalid_request | --rate
payout create       | --minimum 1.5 --dry-run                           | 64 invalid_request | --minimum
payout list         | 1                                                 | 64 invalid_request | too many arguments
payout list         | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
payout list         |                                                   | 66 not_found       | 
payout show         |                                                   | 64 invalid_request | missing required argument
payout show         | first                                             | 64 invalid_request | <number> must be
payout show         | 0                                                 | 64 invalid_request | <number> must be
payout file         | 1                                                 | 64 invalid_request | missing required argument
payout file         | 1 out.xml --format mt101                          | 64 invalid_request | --format
payout file         | x out.xml                                         | 64 invalid_request | <number> must be
payout paid         | 1                                                 | 64 invalid_request | --reference
payout paid         | one --reference x                                 | 64 invalid_request | <number> must be
payout paid         | --reference x                                     | 64 invalid_request | missing required argument
payout cancel       | 1                                                 | 64 invalid_request | --reference
payout cancel       | -1 --reference x                                  | 64 invalid_request | 
payout cancel       | --reference x                                     | 64 invalid_request | missing required argument
payee set           | alice --name A --country DE --iban X              | 64 invalid_request | <payee> must be
payee set           | 0x1212121212121212121212121212121212121212121212121212121212121212 --country DE --iban X | 64 invalid_request | --name
payee set           | 0x1212121212121212121212121212121212121212121212121212121212121212 --name A --country DE --iban X --withholding 6000 | 64 invalid_request | --withholding
rate show           | now                                               | 64 invalid_request | too many arguments
rate show           | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
rate show           | --usd                                             | 64 invalid_request | unknown option
rate accept         |                                                   | 64 invalid_request | missing required argument
rate accept         | 0.5                                               | 64 invalid_request | <nano> must be
rate accept         | 5                                                 | 65 conflict | the rate is fixed
statement issue     |                                                   | 64 invalid_request | missing required argument
statement issue     | January                                           | 64 invalid_request | <month> must be
statement issue     | 2027-13                                           | 64 invalid_request | <month> must be
statement list      | --month soon                                      | 64 invalid_request | --month
statement list      | --payee alice                                     | 64 invalid_request | --payee
statement list      | 2027-01                                           | 64 invalid_request | too many arguments
statement show      |                                                   | 64 invalid_request | missing required argument
statement show      | zero                                              | 64 invalid_request | <number> must be
statement show      | 1 2                                               | 64 invalid_request | too many arguments
statement issuer    | --address Leeds                                   | 64 invalid_request | --name is missing
statement issuer    | --name Node --due-days soon                       | 64 invalid_request | --due-days
statement issuer    | Node                                              | 64 invalid_request | too many arguments
webhook add         |                                                   | 64 invalid_request | missing required argument
webhook add         | https://example.org --type everything             | 64 invalid_request | --type
webhook add         | https://example.org --account me                  | 64 invalid_request | --account
webhook list        | 1                                                 | 64 invalid_request | too many arguments
webhook list        | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
webhook list        |                                                   | 66 not_found       | 
webhook remove      |                                                   | 64 invalid_request | missing required argument
webhook remove      | all                                               | 64 invalid_request | <id>
webhook remove      | whk_000000000000000000000000 --force              | 64 invalid_request | unknown option
webhook resume      |                                                   | 64 invalid_request | missing required argument
webhook resume      | first                                             | 64 invalid_request | <id>
webhook resume      | whk_000000000000000000000000 --from start         | 64 invalid_request | --from
receipt correct     |                                                   | 64 invalid_request | missing required argument
receipt correct     | 0x00000000000000000000000000000000 --reason whim  | 64 invalid_request | --reason
receipt correct     | 0x00000000000000000000000000000000 --reason refund | 66 not_found       | there is no receipt
payee forget        |                                                   | 64 invalid_request | missing required argument
payee forget        | alice                                             | 64 invalid_request | <payee> must be
payee forget        | 0x1212121212121212121212121212121212121212121212121212121212121212 more | 64 invalid_request | too many arguments
claim               |                                                   | 64 invalid_request | missing required argument
claim               | 0x12                                              | 64 invalid_request | <payee> must be a payee id
claim               | ${id} --send                                      | 66 not_found       | knows no payee
relay show          | 1                                                 | 64 invalid_request | too many arguments
relay show          | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
relay show          |                                                   | 66 not_found       | 
relay quote         |                                                   | 64 invalid_request | missing required argument
relay quote         | ann                                               | 64 invalid_request | <payee> must be a payee id
relay quote         | ${id}                                             | 66 not_found       | 
relay agree         | ${id} --max-fee 201                               | 64 invalid_request | --max-fee
relay agree         | ${id} --signature 0x12                            | 64 invalid_request | --signature
relay agree         | ${id} --permit 0x${id}${id}11                     | 64 invalid_request | --permit
relay withdraw      |                                                   | 64 invalid_request | missing required argument
relay withdraw      | ${id} --signature mine                            | 64 invalid_request | --signature
relay withdraw      | ${id} --force                                     | 64 invalid_request | unknown option
relay send          | now                                               | 64 invalid_request | too many arguments
relay send          | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
relay send          |                                                   | 66 not_found       | 
relay history       |                                                   | 64 invalid_request | missing required argument
relay history       | ann                                               | 64 invalid_request | <payee> must be a payee id
relay history       | ${id} more                                        | 64 invalid_request | too many arguments
verify              | @                                                 | 66 not_found       | holds no journal
verify              | --opened @/text.txt                               | 64 invalid_request | with its index
verify              | $URL --trust @/trust.json                         | 64 invalid_request | does not hold a ledger's keys
probe               | --datanet d                                       | 64 invalid_request | --as is missing
probe               | --datanet d --as Ann                              | 64 invalid_request | is not an identity
probe               | --datanet none --as npm:x --model m               | 66 not_found       | none
attribute           | --datanet d                                       | 64 invalid_request | --text is missing
attribute           | --datanet d --text @/nowhere.txt                  | 66 not_found       | there is no file
attribute           | --datanet ./none --text @/text.txt                | 66 not_found       | there is no datanet
binding list        | d                                                 | 64 invalid_request | too many arguments
binding list        | --url http://127.0.0.1:9                          | 69 upstream_failed | does not answer
binding list        | --final                                           | 64 invalid_request | unknown option
binding notice      | d npm:x 0x${"1".repeat(40)}                       | 64 invalid_request | has one proof
binding notice      | d npm:x me --funding-json                         | 64 invalid_request | an address
binding notice      | d npm:x 0x${"1".repeat(40)} --commit @/none       | 66 not_found       | there is no file
binding refuse      | d                                                 | 64 invalid_request | missing required argument
binding refuse      | d npm:x                                           | 64 invalid_request | has one proof
binding refuse      | d npm:x --commit @/none                           | 66 not_found       | there is no file
test key            | a b                                               | 64 invalid_request | too many arguments
test key            | ${"x".repeat(121)}                                | 64 invalid_request | name
test key            | --owner                                           | 64 invalid_request | unknown option
test clock          | --days 0                                          | 64 invalid_request | --days must be
test clock          | --to tomorrow                                     | 64 invalid_request | --to must be
test clock          | --days 1 --to 2027-02-01T00:00:00Z                | 64 invalid_request | by days and hours, or to a time
test event          |                                                   | 64 invalid_request | missing required argument
test event          | everything                                        | 64 invalid_request | <type>
test event          | executed                                          | 66 not_found | nothing at
completion          |                                                   | 64 invalid_request | missing required argument
completion          | tcsh                                              | 64 invalid_request | one of bash, zsh, fish
completion          | bash zsh                                          | 64 invalid_request | too many arguments
`;
const rows = table
  .trim()
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .map(([command, args, ends, words]) => ({ command: command!, args: args!, ends: ends!, words: words! }));

test("the table has three rows of each command", () => {
  const counted = commands.map(({ path }) => [path, rows.filter((row) => row.command === path).length]);
  expect(counted).toEqual(commands.map(({ path }) => [path, 3]));
});

test.each(rows)("$command $args: $ends", async ({ command, args, ends, words }) => {
  const before = await node.state();
  const typed = `${command} ${args}`.replaceAll("@", folder).replaceAll("$URL", node.url);
  const given = typed.split(" ").filter((word) => word !== "");
  const where = given.includes("--url") ? [] : ["--url", node.url, "--key", node.adminSecret];
  const calls = { started: [], shown: [] };
  const { code, out, err } = await runLine([...given, ...where, "--data", folder, "--json"], {}, calls);
  const parsed: unknown = JSON.parse(out);
  const [exit, refusal] = ends.split(" ");
  expect({ code, parsed, err }).toMatchObject({
    ...{ code: Number(exit), err: "" },
    parsed: { error: { code: refusal, message: expect.stringContaining(words) } },
  });
  expect(await node.state()).toBe(before);
  expect(calls).toEqual({ started: [], shown: [] });
});

test("a key that is not known, or not an admin's, is refused and changes nothing", async () => {
  const before = await node.state();
  for (const [key, code] of [
    ["ol_wrong", "unauthenticated"],
    [node.secret, "forbidden"],
  ] as const) {
    const ended = await runLine(["account", "create", "x", "--url", node.url, "--key", key, "--json"]);
    expect(ended).toMatchObject({ code: 77, out: expect.stringContaining(`"${code}"`) });
  }
  expect(await node.state()).toBe(before);
});
