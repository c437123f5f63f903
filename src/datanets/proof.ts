import { type Hex, parseHex, toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { commitSigner, parseCommit } from "./gitCommit.ts";
import { parseIdentity } from "./identity.ts";
import { packFields } from "./pack.ts";
import { isObject, parseId } from "./record.ts";

/**
 * Proofs that somebody is behind an external identity. Each one lies where only the identity can write, and names the datanet and the ledger that it
 * is for, so that it proves nothing anywhere else. A statement by the datanet's owner, or by us, is not among the kinds: there is no such function.
 */
export type ProofAction = "bind" | "refuse" | "redirect" | "leave";

export interface ProofTarget {
  readonly datanet: Hex;
  readonly ledger: Hex;
  readonly identity: string;
}

export interface BindingProof extends ProofTarget {
  readonly kind: "fundingFile" | "signedCommit";
  readonly action: ProofAction;
  /** 20 bytes; null where the action names nobody. */
  readonly address: Hex | null;
  /** SHA-256 over the evidence: the journal keeps this. */
  readonly hash: Hex;
  /** Where anybody can look: a commit id. */
  readonly evidence: string;
}

/** Reads a file of a repository's default branch, as its forge or a clone made by this node has it: never as the claimant sends it. */
export type RepositoryReader = (
  repository: string,
  path: string,
) => Promise<Result<{ readonly bytes: Uint8Array; readonly commit: string }>>;

const FUNDING_FILE = "FUNDING.json";
const FUNDING_BYTES_MAX = 65_536;

/**
 * `FUNDING.json` on the default branch of the repository that the identity names: whoever can write there is the identity. Either our own entry,
 *
 *     { "openledger": [{ "datanet": "0x…", "ledger": "0x…", "address": "0x…", "action": "bind" }] }
 *
 * (`action` may be left out; `refuse` and `leave` need no address), or, where there is no entry for this datanet and ledger, the convention of the
 * Drips Network: { "drips": { "ethereum": { "ownedBy": "0x…" } } }, which says to whom the repository's funds belong and so binds, and nothing else.
 */
export async function proveByFundingFile(target: ProofTarget, read: RepositoryReader): Promise<Result<BindingProof>> {
  const identity = parseIdentity(target.identity);
  if (!identity.ok) return identity;
  if (identity.value.kind !== "repo") {
    return refuse("binding_refused", `${FUNDING_FILE} speaks for repo: identities only`, {
      hint: "use a signed commit for a git: identity",
    });
  }
  const file = await read(identity.value.value, FUNDING_FILE);
  if (!file.ok) return file;
  const { bytes, commit } = file.value;
  if (bytes.length > FUNDING_BYTES_MAX) return invalid(`${FUNDING_FILE} is larger than ${FUNDING_BYTES_MAX} bytes`);
  const stated = parseFunding(Buffer.from(bytes).toString("utf8"), target);
  if (!stated.ok) return stated;
  const hash = toHex(
    sha256(packFields(["openledger.proof.funding.1", target.identity, target.datanet, target.ledger]), sha256(bytes)),
  );
  return ok({ ...proofTarget(target), kind: "fundingFile", ...stated.value, hash, evidence: commit });
}

function parseFunding(text: string, target: ProofTarget): Result<{ action: ProofAction; address: Hex | null }> {
  const funding = parseJson(text);
  if (!isObject(funding)) return invalid(`${FUNDING_FILE} does not hold a JSON object`);
  const own = funding["openledger"];
  const entries: unknown[] = Array.isArray(own) ? own : own === undefined ? [] : [own];
  const meant = entries.filter(
    (entry) =>
      isObject(entry) && parseId(entry["datanet"]) === target.datanet && parseId(entry["ledger"]) === target.ledger,
  );
  if (meant.length > 1) return invalid(`${FUNDING_FILE} has ${meant.length} entries for this datanet and ledger`);
  const entry = meant[0];
  if (isObject(entry)) return statement(entry["action"] ?? "bind", entry["address"]);
  const drips = funding["drips"];
  const chain = isObject(drips) ? drips["ethereum"] : undefined;
  if (isObject(chain) && chain["ownedBy"] !== undefined) return statement("bind", chain["ownedBy"]);
  return invalid(
    `${FUNDING_FILE} has neither an openledger entry for this datanet and ledger nor drips.ethereum.ownedBy`,
  );
}

/**
 * A commit by the identity, signed with a key that had signed commits by the same author in the history from which the records were imported, and with
 *
 *     OpenLedger-Bind: <datanet id> <address> <ledger>
 *
 * as one line of its message (or OpenLedger-Redirect:, or without an address OpenLedger-Refuse: and OpenLedger-Leave:). An author's name and e-mail
 * address are free text that anybody can write into a commit, and a new key proves only that somebody has a key. What ties the claimant to the work
 * is a key that signed part of it before there was money in it: `knownKeys` are those, from {@link signersOf} over the imported history.
 */
export function proveByCommit(
  target: ProofTarget,
  object: Uint8Array,
  knownKeys: ReadonlySet<Hex>,
): Result<BindingProof> {
  const commit = parseCommit(object);
  if (!commit.ok) return commit;
  const { id, author, message } = commit.value;
  if (author !== target.identity)
    return refuse("binding_refused", `commit ${id} is by ${author}, not by ${target.identity}`);
  const signer = commitSigner(commit.value);
  if (!signer.ok) return signer;
  if (!knownKeys.has(signer.value)) {
    return refuse(
      "binding_refused",
      "the key of this commit never signed a commit by this author in the imported history",
      {
        hint: "sign with the key that signed your earlier commits, or use FUNDING.json of the repository",
      },
    );
  }
  const lines = message.match(/^OpenLedger-(?:Bind|Redirect|Refuse|Leave):.*$/gm) ?? [];
  const stated = lines.map((line) => parseLine(line, target)).filter((line) => line !== undefined);
  if (stated.length !== 1)
    return invalid(
      `commit ${id} holds ${stated.length} OpenLedger lines for this datanet and ledger, and one is needed`,
    );
  const said = stated[0]!;
  if (!said.ok) return said;
  const hash = toHex(sha256(utf8("openledger.proof.commit.1"), object));
  return ok({ ...proofTarget(target), kind: "signedCommit", ...said.value, hash, evidence: id });
}

/** Undefined: for another datanet or ledger. */
function parseLine(
  line: string,
  target: ProofTarget,
): Result<{ action: ProofAction; address: Hex | null }> | undefined {
  const [name, ...words] = line.trim().split(/\s+/);
  const action = name!.slice("OpenLedger-".length, -1).toLowerCase();
  const [datanet, ledger] = [parseId(words[0]), parseId(words.at(-1))];
  if (datanet !== target.datanet || ledger !== target.ledger) return undefined;
  const wanted = action === "bind" || action === "redirect" ? 3 : 2;
  if (words.length !== wanted) return invalid(`"${line.slice(0, 160)}" does not have ${wanted} values`);
  return statement(action, wanted === 3 ? words[1] : undefined);
}

function statement(action: unknown, address: unknown): Result<{ action: ProofAction; address: Hex | null }> {
  if (action === "refuse" || action === "leave") return ok({ action, address: null });
  if (action !== "bind" && action !== "redirect") return invalid("an action is bind, redirect, refuse or leave");
  const bytes = typeof address === "string" && address.startsWith("0x") ? parseHex(address) : undefined;
  if (bytes?.length !== 20 || bytes.every((byte) => byte === 0))
    return invalid("the address is not 20 bytes of hex, or it is zero");
  return ok({ action, address: toHex(bytes) });
}

function proofTarget({ datanet, ledger, identity }: ProofTarget): ProofTarget {
  return { datanet, ledger, identity };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function invalid(why: string): Result<never> {
  return refuse("proof_invalid", why);
}
